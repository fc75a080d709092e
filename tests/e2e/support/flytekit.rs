//! flytekit in a virtual environment of this machine's Python, and an image made of both.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::docker::try_docker;

/// Pythons that flytekit 1.10.7 runs on.
const PYTHONS: [&str; 4] = ["python3.10", "python3.11", "python3.9", "python3.8"];
/// Where a Python's own program and library are. Without `ensurepip` it cannot make an environment.
const WHERE: &str = "import ensurepip, os, sys, sysconfig\n\
    print(os.path.realpath(getattr(sys, '_base_executable', sys.executable)))\n\
    print(sysconfig.get_path('stdlib'))";
/// What a task's image needs beside Python: a shell for `RUN`, and what unpacks code.
const PROGRAMS: [&str; 3] = ["/bin/sh", "/bin/tar", "/bin/gzip"];

/// flytekit in a virtual environment.
#[derive(Debug)]
pub(crate) struct Flytekit {
    /// The environment.
    pub(crate) environment: PathBuf,
    /// The program of the Python that it is of.
    python: PathBuf,
    /// The library of that Python.
    library: PathBuf,
}

impl Flytekit {
    /// The environment that this command makes, in the user's cache, where it stays for the next time.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn find(install: &str) -> Result<Self, String> {
        let (python, library) = PYTHONS.iter().find_map(|name| python(name)).ok_or("no Python 3.8 to 3.11 is here")?;
        let home = std::env::var_os("HOME").ok_or("no HOME")?;
        let version = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let environment = Path::new(&home).join(format!(".cache/flyte-sandbox/flytekit-{version}"));
        let done = environment.join("installed");
        if fs::read_to_string(&done).ok().as_deref() != Some(install) {
            let _ = fs::remove_dir_all(&environment);
            println!("flytekit: installed into {}", environment.display());
            said(Command::new(&python).args(["-m", "venv"]).arg(&environment))?;
            let path = format!("{}/bin:/usr/bin:/bin", environment.display());
            said(Command::new("sh").args(["-c", install]).env("PATH", path))?;
            fs::write(done, install).map_err(|error| error.to_string())?;
        }
        Ok(Self { environment, python, library })
    }

    /// Makes an image of this name, with the environment on its `PATH`: `docker import`, of files of this machine.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub(crate) fn image(&self, name: &str) -> Result<(), String> {
        let Self { environment, python, library } = self;
        let frame = tempfile::tempdir().map_err(|error| error.to_string())?;
        for folder in ["tmp", "root", "etc"] {
            fs::create_dir(frame.path().join(folder)).map_err(|error| error.to_string())?;
        }
        let _ = fs::set_permissions(frame.path().join("tmp"), fs::Permissions::from_mode(0o1777));
        fs::write(frame.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")
            .map_err(|error| error.to_string())?;
        let libraries = self.libraries()?;
        let folders = [python, library, environment].map(|path| path.to_string_lossy().into_owned());
        let files = folders.iter().map(String::as_str).chain(PROGRAMS).chain(libraries.lines());
        let layer = frame.path().join("layer.tar");
        let mut tar = Command::new("tar");
        tar.args(["--create", "--dereference", "--hard-dereference", "--file"]).arg(&layer);
        // A link to `lib`, followed; and what else is installed here.
        for left_out in [environment.join("lib64"), library.join("site-packages")] {
            tar.arg(format!("--exclude={}", left_out.display().to_string().trim_start_matches('/')));
        }
        tar.args(["--exclude=test", "--exclude=idlelib", "--exclude=config-3*", "-C", "/"]);
        tar.args(files.map(|file| file.trim_start_matches('/')));
        said(tar.arg("-C").arg(frame.path()).args(["tmp", "root", "etc"]))?;
        let path = format!("ENV PATH={}/bin:/usr/bin:/bin", environment.display());
        try_docker(&["import", "--change", &path, &layer.to_string_lossy(), name]).map(|_| ())
    }

    /// The system's libraries that all of it loads, one a line.
    fn libraries(&self) -> Result<String, String> {
        let script = r#"{ ldd "$@"; find "$1" "$2" -name '*.so*' -type f | xargs ldd; } 2>/dev/null |
            sed -n 's/^[^/]*\(\/[^ :]*\) (0x.*/\1/p' | sort -u | grep -v "^$1\|^$2""#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(&self.library).arg(&self.environment).arg(&self.python).args(PROGRAMS);
        said(&mut shell)
    }
}

/// A Python's program and library, where it can make environments.
fn python(name: &str) -> Option<(PathBuf, PathBuf)> {
    let told = said(Command::new(name).args(["-c", WHERE])).ok()?;
    let mut lines = told.lines().map(PathBuf::from);
    Some((lines.next()?, lines.next()?))
}

/// What a program prints.
fn said(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let Output { status, stdout, stderr } = output;
    match status.success() {
        true => Ok(String::from_utf8_lossy(&stdout).into_owned()),
        false => Err(format!("{command:?}: {status}: {}", String::from_utf8_lossy(&stderr))),
    }
}
