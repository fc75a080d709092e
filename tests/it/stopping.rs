//! How the real binary ends when it is asked to: Ctrl-C and `--timeout`, whatever it waits for.

mod exit;
mod files;

use std::fs;
use std::io::{PipeReader, PipeWriter, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::ports;
use crate::support::wait::wait_for;

const INTERRUPTED: i32 = 130;
const TIMED_OUT: i32 = 124;

/// A machine of its own, without Docker; what is rehearsed on it ends with it.
struct Machine {
    folder: TempDir,
    ports: Vec<String>,
}

impl Machine {
    fn new() -> Self {
        let ports = ["console", "dashboard", "minio"].into_iter().zip(ports::reserve::<3>());
        let ports = ports.map(|(name, port)| format!("--port-{name}={port}")).collect();
        Self { folder: tempfile::tempdir().expect("a folder"), ports }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).expect("written");
        self.path(name)
    }

    /// `program args`, in the machine's environment.
    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.folder).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("SANDBOX_STATE_DIR", self.path("state"));
        command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn sandbox(&self, args: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_sandbox"), args)
    }

    /// `up --engine rehearsal`, on ports of its own.
    fn up(&self, args: &[&str]) -> Command {
        let ports: Vec<_> = self.ports.iter().map(String::as_str).collect();
        self.sandbox(&[&["up", "--engine", "rehearsal"], ports.as_slice(), args].concat())
    }

    /// A FIFO that nobody has opened.
    fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        path
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for name in ["flyte", "from-file"] {
            let _ = self.sandbox(&["down", "--name", name]).output();
        }
    }
}

/// A process that is killed where the test ends before it does.
struct Running(Option<Child>);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(Some(command.spawn().expect("it starts")))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("still there")
    }

    fn signal(&mut self, signal: Signal) {
        let pid = i32::try_from(self.child().id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("it is there");
    }

    fn has_ended(&mut self) -> bool {
        self.child().try_wait().expect("it can be asked").is_some()
    }

    /// Whether the process catches SIGINT, which it does not when it has just been started.
    fn listens(&mut self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child().id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default().trim();
        u64::from_str_radix(caught, 16).is_ok_and(|caught| caught & 0b10 != 0)
    }

    /// Its exit code and what it wrote, where nothing but a hang keeps it from ending.
    #[track_caller]
    fn ends(mut self, what: &str) -> (Option<i32>, Output) {
        wait_for(&format!("{what}: its end"), || self.has_ended().then_some(()));
        let output = self.0.take().expect("still there").wait_with_output().expect("its output");
        assert_eq!(output.status.signal(), None, "{what}");
        (output.status.code(), output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

/// A pipe that takes nothing more, and the end that would have to be read first.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let flags = rustix::fs::fcntl_getfl(&writer).expect("flags");
    rustix::fs::fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("set");
    while writer.write(&[b'x'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).expect("set");
    (reader, writer)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn ctrl_c_ends_a_command_whose_standard_input_has_no_end() {
    for args in [&["render", "--manifests", "-"][..], &["plan", "--manifests", "-"]] {
        let (what, machine) = (args.join(" "), Machine::new());
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(b"a: 1\n").expect("written");
        let mut process = Running::start(machine.sandbox(args).stdin(reader));
        wait_for(&what, || (rustix::io::ioctl_fionread(&writer).expect("asked") == 0).then_some(()));
        wait_for(&what, || process.listens().then_some(()));
        process.signal(Signal::INT);
        assert_eq!(process.ends(&what).0, Some(INTERRUPTED), "{what}");
    }
}

/// On one processor, so that whoever waits for the reader must not be who listens for signals.
#[test]
fn ctrl_c_ends_a_command_that_nobody_reads() {
    let machine = Machine::new();
    let projects: Vec<_> = (0..40).map(|number| format!("p{number}")).collect();
    let up = machine.up(&["-o", "json", "--project", &projects.join(",")]);
    let args: Vec<_> = up.get_args().map(|arg| arg.to_str().expect("text")).collect();
    let pinned = [&["-c", "0", env!("CARGO_BIN_EXE_sandbox")], args.as_slice()].concat();
    for (what, mut command) in [
        ("up", machine.command("taskset", &pinned)),
        ("render", machine.sandbox(&["render"])),
        ("a failure", machine.sandbox(&["status", "-o", "json", "--appid", "-"])),
    ] {
        let (_reader, writer) = full_pipe();
        let mut process = Running::start(command.stdout(writer));
        wait_for(what, || process.listens().then_some(()));
        for _ in 0..3 {
            process.signal(Signal::INT);
        }
        process.signal(Signal::TERM);
        assert_eq!(process.ends(what).0, Some(INTERRUPTED), "{what}");
    }
}

#[test]
fn the_timeout_ends_a_command_that_nobody_reads() {
    let machine = Machine::new();
    let (_reader, writer) = full_pipe();
    let (code, _) = Running::start(machine.up(&["-o", "json", "--timeout", "3s"]).stdout(writer)).ends("up");
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
}

#[test]
fn a_plugin_that_never_answers_is_not_waited_for() {
    let machine = Machine::new();
    let plugin = "{apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, 'echo >started; exec sleep 60'], interactiveMode: Never}";
    machine.write(
        "kubeconfig",
        &format!(
            "{{apiVersion: v1, kind: Config, clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:1'}}}}], \
             users: [{{name: u, user: {{exec: {plugin}}}}}], contexts: [{{name: x, context: {{cluster: c, user: u}}}}]}}"
        ),
    );
    let args = ["up", "--engine", "context", "--context", "x", "--kubeconfig", "kubeconfig"];
    let mut process = Running::start(&mut machine.sandbox(&args));
    wait_for("the plugin is started", || machine.path("started").exists().then_some(()));
    process.signal(Signal::INT);
    assert_eq!(process.ends("Ctrl-C").0, Some(INTERRUPTED));
    let (code, output) = Running::start(machine.sandbox(&args).args(["--timeout", "1s"])).ends("--timeout");
    assert!(text(&output).contains("timed out after 1s"), "{code:?} {}", text(&output));
}

#[test]
fn time_that_the_process_was_stopped_does_not_count() {
    let machine = Machine::new();
    let source = r"#!/bin/sh
        echo >started; sleep 1; echo these are no keys of {project}";
    machine.write(
        "spec.yaml",
        &format!("projects: [x]\nstorage: {{credentials: {{command: [sh, -c, {source:?}, '{{project}}']}}}}\n"),
    );
    let mut process = Running::start(&mut machine.up(&["--timeout", "4s", "--config", "spec.yaml"]));
    wait_for("the source is asked", || machine.path("started").exists().then_some(()));
    process.signal(Signal::STOP);
    // Longer than the budget: that is what is tried.
    std::thread::sleep(Duration::from_secs(6));
    process.signal(Signal::CONT);
    let (code, output) = process.ends("up");
    assert_eq!((code, text(&output).contains("time")), (Some(3), false), "{}", text(&output));
}

#[test]
fn a_duration_that_no_clock_can_count_is_refused() {
    let machine = Machine::new();
    for args in [
        &["up", "--timeout"][..],
        &["up", "--ttl"],
        &["down", "--timeout"],
        &["smoke", "--timeout"],
        &["images", "pull", "--timeout"],
        &["images", "load", "file", "--timeout"],
        &["project", "add", "z", "--timeout"],
        &["credentials", "renew", "--within"],
        &["credentials", "renew", "--timeout"],
    ] {
        let output = machine.sandbox(&[args, &["18446744073709551615s"]].concat()).output().expect("it runs");
        let told = text(&output);
        assert_eq!((output.status.code(), told.contains("more than 100 years")), (Some(2), true), "{args:?}: {told}");
    }
}
