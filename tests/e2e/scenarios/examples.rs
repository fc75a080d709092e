//! The way from code to SUCCEEDED that examples/README.md tells, command by command; part of another sandbox's test.

use std::fs;
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use crate::support::docker::try_docker;
use crate::support::flytekit::Flytekit;
use crate::support::sandbox::Sandbox;

/// The image that examples/README.md makes.
const IMAGE: &str = "hello:1";

/// The five commands.
pub(super) fn commands() -> Vec<String> {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/README.md");
    let readme = fs::read_to_string(readme).expect("examples/README.md");
    let commands: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect();
    assert_eq!(commands.len(), 5, "{commands:?}");
    commands
}

/// Runs what is behind `sandbox up`, in a sandbox that is up, with images that are removed in the end.
pub(super) fn run(sandbox: &Sandbox, flytekit: Result<Flytekit, String>) {
    let [_, up, build, import, execute] = &commands()[..] else { unreachable!() };
    assert_eq!(up, "sandbox up");
    let flytekit = match flytekit {
        Ok(flytekit) if sandbox.ground.is_real() => flytekit,
        other => {
            let why = other.err().unwrap_or_else(|| "a node that runs tasks".to_owned());
            println!("NOT HERE: {why}; tests/it/flytekit.rs plays flytekit in a rehearsal");
            return;
        }
    };
    let shell = Shell::of(sandbox, &flytekit);
    flytekit.image(&shell.base).expect("an image");
    let options = format!("docker build --network none --build-arg BASE={}", shell.base);
    shell.run(&build.replacen("docker build", &options, 1));
    shell.run(import);
    let said = shell.run(execute);
    for words in ["| hello flyte", "| SUCCEEDED", r#"| o0 = "HELLO FLYTE""#] {
        assert!(said.contains(words), "{words}: {said}");
    }

    let code = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hello.py")).expect("the example");
    let changed = shell.home.path().join("code");
    fs::create_dir(&changed).expect("made");
    fs::write(changed.join("hello.py"), code.replace("hello {name}", "changed {name}")).expect("written");
    let began = Instant::now();
    let said = shell.run(&execute.replace("examples/", "$HOME/code/"));
    assert!(said.contains("| changed flyte"), "{said}");
    println!("a change ran in {:.1} s", began.elapsed().as_secs_f32());

    // pyflyte reads the file alone.
    let variables = "$(env | sed -n 's/^\\(FLYTE_[A-Z_]*\\)=.*/\\1/p')";
    let register = format!("pyflyte register --non-fast -p x -d d-dev --image {IMAGE} --version v1 examples/hello.py");
    let said = shell.run(&format!("eval \"$(sandbox config --project x)\"; unset {variables}; {register}"));
    assert!(said.contains("Successfully registered"), "{said}");
}

/// A shell in the checkout, with flytekit, Docker and this sandbox.
struct Shell<'a> {
    sandbox: &'a Sandbox,
    flytekit: &'a Flytekit,
    home: TempDir,
    base: String,
    image: String,
}

impl<'a> Shell<'a> {
    fn of(sandbox: &'a Sandbox, flytekit: &'a Flytekit) -> Self {
        let (base, image) = (format!("{}-python:1", sandbox.name), format!("{}-hello:1", sandbox.name));
        Self { sandbox, flytekit, home: tempfile::tempdir().expect("a folder"), base, image }
    }

    /// Runs a command to its success; what it printed.
    fn run(&self, command: &str) -> String {
        let command = command.replace(IMAGE, &self.image);
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_sandbox")).parent().expect("a folder");
        let environment = self.flytekit.environment.join("bin");
        let path = [&environment, program, &self.sandbox.path("bin"), "/usr/bin".as_ref(), "/bin".as_ref()];
        let mut shell = self.sandbox.command_of("/bin/sh".as_ref(), &["-c", &command]);
        shell.env("PATH", std::env::join_paths(path).expect("a PATH")).env("HOME", self.home.path());
        shell.env("SANDBOX_NAME", &self.sandbox.name).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = Command::output(&mut shell).expect("a shell");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{command}: {}\n{said}", output.status);
        said
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        let _ = try_docker(&["image", "rm", "--force", &self.image, &self.base]);
    }
}
