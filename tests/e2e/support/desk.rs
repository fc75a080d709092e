//! A folder to run the binary in: a home, a place for state, a spec, a `PATH`, and nothing of this process's
//! environment. Its Docker is a socket that only notices whether somebody asks.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flyte_sandbox::spec::COMPONENTS;
use tempfile::TempDir;

use super::ran::Ran;
use super::running::Running;
use super::{docker, images, ports};
use crate::standin::Part;

/// A folder to run the binary in.
pub(crate) struct Desk {
    pub(crate) name: String,
    pub(crate) ports: [u16; 3],
    /// What the binary is told to be Docker's address.
    pub(crate) docker_host: String,
    folder: TempDir,
    unasked: UnixListener,
}

impl Desk {
    /// With a name and ports of its own, and a k3d that plays this part.
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for inner in ["home", "state", "bin"] {
            std::fs::create_dir(folder.path().join(inner)).expect("a folder");
        }
        symlink(docker::program(), folder.path().join("bin/docker")).expect("a link");
        let socket = folder.path().join("docker.sock");
        let unasked = UnixListener::bind(&socket).expect("a socket");
        unasked.set_nonblocking(true).expect("a socket");
        let docker_host = format!("unix://{}", socket.display());
        let name = format!("e2e-{name}-{}", checkout());
        let desk = Self { name, ports: ports::reserve(), docker_host, folder, unasked };
        desk.write("sandbox.yaml", desk.spec());
        desk.play(&Part::default());
        desk
    }

    /// Puts a stand-in of k3d in the place of whichever is there.
    pub(crate) fn play(&self, part: &Part) {
        self.link_k3d(&std::env::current_exe().expect("this program"));
        part.write(&self.path("bin"));
    }

    pub(crate) fn link_k3d(&self, k3d: &Path) {
        let link = self.path("bin/k3d");
        let _ = std::fs::remove_file(&link);
        symlink(k3d, link).expect("a link");
    }

    /// The spec, without images.
    pub(crate) fn bare_spec(&self) -> String {
        let [console, dashboard, minio] = self.ports;
        format!("name: {}\nports: {{console: {console}, dashboard: {dashboard}, minio: {minio}}}\n", self.name)
    }

    /// The spec, with the images of stand-ins.
    pub(crate) fn spec(&self) -> String {
        let images = COMPONENTS.iter().map(|component| format!("  {component}: {}\n", images::name(component)));
        format!("{}images:\n{}", self.bare_spec(), images.collect::<String>())
    }

    /// Has the spec ask for NetworkPolicies from now on.
    pub(crate) fn ask_for_policies(&self) {
        let spec = std::fs::read_to_string(self.path("sandbox.yaml")).expect("a spec");
        self.write("sandbox.yaml", format!("{spec}networkPolicies: true\n"));
    }

    /// A path in the folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file in the folder.
    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(relative), content).expect("a file");
    }

    /// The binary, with nothing of this process's environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_sandbox")), args)
    }

    /// The same of another program.
    pub(crate) fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        let path = std::env::join_paths([self.path("bin"), "/usr/bin".into(), "/bin".into()]);
        command
            .args(args)
            .env_clear()
            .env("PATH", path.expect("a PATH"))
            .env("HOME", self.path("home"))
            .env("SANDBOX_STATE_DIR", self.path("state"))
            .env("DOCKER_HOST", &self.docker_host)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.start(args).end()
    }

    /// Starts the binary.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args), args)
    }

    /// Holds that Docker was not asked for anything.
    #[track_caller]
    pub(crate) fn assert_docker_not_asked(&self) {
        assert!(self.unasked.accept().is_err(), "Docker was asked for something");
    }

    /// Holds that nothing is left in the state folder, and that the home is as it was.
    #[track_caller]
    pub(crate) fn assert_no_state(&self) {
        Self::assert_no_state_in(&self.path("state"));
        let home = std::fs::read_dir(self.path("home")).expect("the home").flatten();
        let written: Vec<_> = home.map(|entry| entry.file_name()).collect();
        assert!(written.is_empty(), "the user's home was written to: {written:?}");
    }

    /// Holds that no sandbox has anything in this folder for state.
    #[track_caller]
    pub(crate) fn assert_no_state_in(folder: &Path) {
        let left = std::fs::read_dir(folder).expect("the state folder").flatten();
        let left = left.map(|entry| entry.file_name().to_string_lossy().into_owned());
        // Locks of the image stores and the key belong to the machine; what a failure left to read is kept for the user.
        let of_the_machine = |name: &String| {
            name.starts_with("sandbox-store-") || ["failures", "machine.key", "recorded.runs"].contains(&name.as_str())
        };
        let left: Vec<_> = left.filter(|name| !of_the_machine(name)).collect();
        assert_eq!(left, Vec::<String>::new(), "left in the state folder");
    }
}

/// A mark of this checkout, so that the tests of two on one daemon do not meet.
fn checkout() -> String {
    let sum = env!("CARGO_MANIFEST_DIR").bytes().fold(0_u8, |sum, byte| sum.rotate_left(3) ^ byte);
    format!("{sum:02x}")
}
