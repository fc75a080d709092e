//! A machine on which a sandbox is rehearsed by the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::ports;

/// A machine of its own; what is played on it ends with it.
pub(crate) struct Machine {
    pub(crate) folder: TempDir,
    pub(crate) ports: Vec<String>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let ports = ["console", "dashboard", "minio"].into_iter().zip(ports::reserve::<3>());
        let ports = ports.map(|(name, port)| format!("--port-{name}={port}"));
        Self { ports: ports.collect(), folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state of this machine")
    }

    /// The program with this machine's state and without Docker: nothing that a rehearsal does may need it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
        command.env_clear().env("SANDBOX_STATE_DIR", self.state()).current_dir(&self.folder);
        command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran(self.command().args(args).output().expect("it runs"))
    }

    pub(crate) fn run_with_state(&self, state: &Path, args: &[&str]) -> Ran {
        Ran(self.command().env("SANDBOX_STATE_DIR", state).args(args).output().expect("it runs"))
    }

    pub(crate) fn up(&self, args: &[&str]) -> Ran {
        self.run(&self.up_args(args))
    }

    pub(crate) fn up_args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let ports: Vec<_> = self.ports.iter().map(String::as_str).collect();
        [&["up", "--engine", "rehearsal", "-o", "json"], ports.as_slice(), args].concat()
    }

    /// The process that plays.
    pub(crate) fn player(&self) -> u32 {
        let lock = fs::read_to_string(self.state().join("flyte/rehearsal.lock")).expect("played");
        lock.split_once(' ').expect("two numbers").0.parse().expect("a number")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

/// What came of a command.
pub(crate) struct Ran(pub(crate) Output);

impl Ran {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.0.status.code(), Some(code), "{}\n{}", self.out(), String::from_utf8_lossy(&self.0.stderr));
        self
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        self.out().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    pub(crate) fn failure(&self) -> Value {
        self.events().pop().expect("events")["failure"].clone()
    }
}
