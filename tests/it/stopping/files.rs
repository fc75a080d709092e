//! Files that are no files: a FIFO, a pipe by its descriptor.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::OFlags;
use rustix::process::Signal;

use super::{INTERRUPTED, Machine, Running, TIMED_OUT, text};
use crate::support::docker::{FakeDocker, World};
use crate::support::wait::wait_for;

/// The other end of a FIFO, once the process reads it.
#[track_caller]
fn reader_of(fifo: &Path, process: &mut Running, what: &str) -> File {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag");
    wait_for(&format!("{what}: it does not read the file"), || {
        assert!(!process.has_ended(), "{what}: ended before it read the file");
        fs::OpenOptions::new().write(true).custom_flags(nonblocking).open(fifo).ok()
    })
}

/// Every command line that reads a file which may be a FIFO; `FIFO` stands for it.
const READS: &[&[&str]] = &[
    &["plan", "--config", "FIFO"],
    &["status", "--config", "FIFO"],
    &["down", "--config", "FIFO"],
    &["doctor", "--config", "FIFO"],
    &["logs", "--config", "FIFO"],
    &["up", "--engine", "rehearsal", "--config", "FIFO"],
    &["render", "--manifests", "FIFO"],
    &["plan", "--manifests", "FIFO"],
    &["up", "--engine", "rehearsal", "--manifests", "FIFO"],
    &["project", "add", "z", "--manifests", "FIFO"],
    &["credentials", "renew", "--manifests", "FIFO"],
    &["up", "--engine", "rehearsal", "--config", "credentials.yaml"],
];

/// The machine of [`READS`].
fn reading(machine: &Machine, args: &[&str]) -> (Command, PathBuf) {
    let fifo = machine.fifo("x.fifo");
    machine.write("credentials.yaml", "projects: [x]\nstorage: {credentials: {file: './{project}.fifo'}}\n");
    let path = fifo.display().to_string();
    let args: Vec<_> = args.iter().map(|arg| if *arg == "FIFO" { path.as_str() } else { *arg }).collect();
    let command =
        if args[0] == "up" && args[2] == "rehearsal" { machine.up(&args[3..]) } else { machine.sandbox(&args) };
    (command, fifo)
}

#[test]
fn ctrl_c_ends_a_command_that_reads_what_never_comes() {
    for args in READS {
        let (what, machine) = (args.join(" "), Machine::new());
        let (mut command, fifo) = reading(&machine, args);
        let mut process = Running::start(&mut command);
        let _writer = reader_of(&fifo, &mut process, &what);
        wait_for(&what, || process.listens().then_some(()));
        process.signal(Signal::INT);
        let (code, output) = process.ends(&what);
        assert_eq!(code, Some(INTERRUPTED), "{what}: {}", text(&output));
    }
}

#[test]
fn the_timeout_ends_a_command_that_reads_what_never_comes() {
    let timed = READS.iter().filter(|args| ["up", "project", "credentials"].contains(&args[0]) || args[0] == "down");
    for args in timed {
        let (what, machine) = (args.join(" "), Machine::new());
        let (mut command, _fifo) = reading(&machine, args);
        let (code, output) = Running::start(command.args(["--timeout", "1s"])).ends(&what);
        let told = text(&output);
        assert!(told.contains("timed out after 1s") || code == Some(TIMED_OUT), "{what}: {code:?} {told}");
        assert_ne!(code, Some(0), "{what}");
    }
}

/// A daemon that has nothing, and the runtime that it lives on.
fn empty_docker() -> (tokio::runtime::Runtime, FakeDocker) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let fake = runtime.block_on(FakeDocker::start(World::default()));
    (runtime, fake)
}

/// What is read twice, or replaced, must be a file; it is said at once, and nothing waits for a writer.
#[test]
fn a_fifo_in_the_place_of_a_file_that_is_read_twice_is_refused() {
    let (_runtime, docker) = empty_docker();
    for args in [
        &["images", "load", "FIFO"][..],
        &["up", "--engine", "docker", "--bundle", "FIFO"],
        &["up", "--engine", "context", "--context", "x", "--kubeconfig", "FIFO"],
        &["doctor", "--engine", "context", "--context", "x", "--kubeconfig", "FIFO"],
    ] {
        let (what, machine) = (args.join(" "), Machine::new());
        let ports = if args[0] == "images" { &[][..] } else { &machine.ports };
        let fifo = machine.fifo("x.fifo").display().to_string();
        let args: Vec<_> = args.iter().map(|arg| if *arg == "FIFO" { fifo.as_str() } else { arg }).collect();
        let mut command = machine.sandbox(&args);
        let (code, output) = Running::start(command.env("DOCKER_HOST", &docker.host).args(ports)).ends(&what);
        let told = text(&output);
        assert_eq!((code, told.contains("it is not a file")), (Some(2), true), "{what}: {code:?} {told}");
    }
}

#[test]
fn a_fifo_is_not_merged_into() {
    let machine = Machine::new();
    assert!(machine.up(&[]).output().expect("it runs").status.success());
    let fifo = machine.fifo("x.fifo").display().to_string();
    let (code, output) = Running::start(&mut machine.sandbox(&["kubeconfig", "--merge", &fifo])).ends("merge");
    assert_eq!((code, text(&output).contains("it is not a file")), (Some(2), true), "{}", text(&output));
}

/// A pipe may be where a report goes; nobody has to read it.
#[test]
fn a_command_whose_report_nobody_reads_ends() {
    let machine = Machine::new();
    let fifo = machine.fifo("x.fifo").display().to_string();
    let mut process = Running::start(&mut machine.up(&["--junit", &fifo]));
    wait_for("it starts", || process.listens().then_some(()));
    process.signal(Signal::INT);
    let (code, output) = process.ends("Ctrl-C");
    assert_eq!((code, text(&output).contains("stopped at once")), (Some(INTERRUPTED), false), "{}", text(&output));
    let (code, output) = Running::start(&mut machine.up(&["--junit", &fifo, "--timeout", "1s"])).ends("--timeout");
    assert_eq!((code, text(&output).contains("stopped at once")), (Some(TIMED_OUT), false), "{}", text(&output));
}

#[test]
fn a_spec_that_can_be_read_only_once_names_and_makes_the_sandbox() {
    let machine = Machine::new();
    machine.write("spec.yaml", "name: from-file\nprojects: [only]\n");
    let up = machine.up(&["-o", "json"]);
    let args: Vec<_> = up.get_args().map(|arg| arg.to_str().expect("text")).collect();
    let line = format!("exec {} {} --config <(cat spec.yaml)", env!("CARGO_BIN_EXE_sandbox"), args.join(" "));
    let output = machine.command("bash", &["-c", &line]).output().expect("it runs");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("sandbox from-file is ready"), "{}", text(&output));
    let projects = machine.sandbox(&["project", "list", "--name", "from-file"]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&projects.stdout).starts_with("only "), "{}", text(&projects));
}

/// `/dev/fd/N` of a shell's `<(…)` is a pipe, and that of `N<FILE` a file.
#[test]
fn manifests_come_by_a_descriptor() {
    let machine = Machine::new();
    let set = machine.sandbox(&["render"]).output().expect("it runs");
    assert!(set.status.success(), "{}", text(&set));
    fs::write(machine.path("set.yaml"), &set.stdout).expect("written");
    let render = |line: &str| {
        let line = format!("exec {} render {line}", env!("CARGO_BIN_EXE_sandbox"));
        let output = machine.command("bash", &["-c", &line]).output().expect("it runs");
        assert!(output.status.success(), "{line}: {}", text(&output));
        output.stdout
    };
    let by_name = render("--manifests set.yaml");
    for line in ["--manifests <(cat set.yaml)", "--manifests /dev/fd/9 9<set.yaml", "--manifests - <set.yaml"] {
        assert!(render(line) == by_name, "{line}: another set");
    }
}

#[test]
fn a_bundle_comes_by_the_descriptor_of_a_file_and_not_of_a_pipe() {
    let ((_runtime, docker), machine) = (empty_docker(), Machine::new());
    machine.write("bundle", "no archive");
    let load = |line: &str| {
        let line = format!("exec {} images load {line}", env!("CARGO_BIN_EXE_sandbox"));
        let mut command = machine.command("bash", &["-c", &line]);
        let (code, output) = Running::start(command.env("DOCKER_HOST", &docker.host)).ends(&line);
        (code, text(&output))
    };
    let (_, as_file) = load("/dev/fd/9 9<bundle");
    assert!(as_file.contains("this is no bundle of images"), "{as_file}");
    let (code, as_pipe) = load("<(cat bundle)");
    assert_eq!((code, as_pipe.contains("it is not a file")), (Some(2), true), "{as_pipe}");
}
