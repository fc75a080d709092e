//! The state folder, from outside: whose it may be, and what is said of one that others can write.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A machine without `$HOME`: the state folder is in its temporary folder.
struct Homeless(TempDir);

impl Homeless {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn state(&self) -> std::path::PathBuf {
        self.0.path().join("flyte-sandbox")
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
        command.env_clear().env("TMPDIR", self.0.path()).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        let output = command.current_dir(&self.0).args(args).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, Permissions::from_mode(0o777)).expect("set");
}

#[test]
fn a_state_folder_that_others_can_write_is_refused_and_nothing_in_it_is_used() {
    let machine = Homeless::new();
    fs::create_dir(machine.state()).expect("made");
    open_to_all(&machine.state());
    fs::write(machine.state().join("machine.key"), [0; 32]).expect("planted");
    for args in [&["render"][..], &["up"], &["plan"], &["down"], &["status"], &["diagnose"], &["project", "list"]] {
        let (code, said) = machine.run(args);
        assert_eq!(code, Some(2), "{args:?}: {said}");
        assert!(said.contains("error[state-unwritable]"), "{args:?}: {said}");
        assert!(said.contains("other users can write to it (mode 0777)"), "{args:?}: {said}");
        assert!(said.contains("SANDBOX_STATE_DIR"), "{args:?}: {said}");
    }
    let mode = fs::metadata(machine.state()).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o777, "what is not known to be only ours is left as it is");
    let names: Vec<_> = fs::read_dir(machine.state()).expect("there").flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    for args in [&["completions", "bash"][..], &["schema", "spec"], &["render", "--upstream-credentials"]] {
        assert_eq!(machine.run(args).0, Some(0), "{args:?} needs no state");
    }
}

#[test]
fn a_link_to_an_open_folder_is_as_good_as_the_folder() {
    let machine = Homeless::new();
    let real = machine.0.path().join("real");
    fs::create_dir(&real).expect("made");
    open_to_all(&real);
    symlink(&real, machine.state()).expect("linked");
    assert_eq!(machine.run(&["render"]).0, Some(2));
    fs::set_permissions(&real, Permissions::from_mode(0o755)).expect("set");
    assert_eq!(machine.run(&["render"]).0, Some(0));
}
