//! Output that nobody can take: a disk without room, and a device in place of a file.

use std::fs::{self, File};
use std::os::unix::fs::FileTypeExt;
use std::process::Stdio;

use crate::support::machine::Machine;

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("a device").into()
}

/// A command with its standard output on a full disk: its exit code, and what standard error says.
fn on_full_disk(machine: &Machine, args: &[&str]) -> (Option<i32>, String) {
    let output = machine.command().args(args).stdout(full()).output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_a_full_disk_does_not_take_is_a_failure_with_its_cause() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let ports = machine.ports.iter().map(String::as_str);
    let rehearsed: Vec<&str> = ["--engine", "rehearsal"].into_iter().chain(ports).collect();
    let with_spec = |args: &[&'static str]| [args, &rehearsed].concat();
    for args in [
        vec!["--help"],
        vec!["--version"],
        vec!["up", "--help"],
        vec!["images", "-h"],
        vec!["completions", "bash"],
        vec!["schema", "spec"],
        vec!["schema", "event"],
        vec!["render"],
        vec!["render", "--explain"],
        vec!["render", "--diff"],
        with_spec(&["plan"]),
        with_spec(&["plan", "-o", "json"]),
        with_spec(&["status"]),
        with_spec(&["status", "-o", "json"]),
        with_spec(&["doctor", "-o", "json"]),
        vec!["logs"],
        vec!["logs", "flyteadmin"],
        vec!["config"],
        vec!["credentials"],
        vec!["kubeconfig"],
        vec!["project", "list"],
        vec!["list"],
        vec!["list", "-o", "json"],
        vec!["smoke", "-o", "json"],
        vec!["diagnose"],
    ] {
        let (code, said) = on_full_disk(&machine, &args);
        assert_eq!(code, Some(2), "{args:?}: {said}");
        assert!(said.contains("error[report-unwritable]: cannot write"), "{args:?}: {said}");
        assert!(said.contains("No space left on device"), "{args:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("internal"), "{args:?}: {said}");
    }
}

#[test]
fn a_failure_that_the_events_cannot_tell_is_told_all_the_same() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    for (args, code, reason) in [
        (&["logs", "nobody", "-o", "json"][..], 13, "not-found"),
        (&["up", "--engine", "rehearsal", "--port-console", "70000", "-o", "json"], 2, "usage"),
        (&["up", "--engine", "docker", "--name", "other", "-o", "json"], 4, "docker-absent"),
    ] {
        let (exit, said) = on_full_disk(&machine, args);
        assert_eq!(exit, Some(code), "{args:?}: {said}");
        assert!(said.contains(&format!("error[{reason}]")), "{args:?}: {said}");
        assert_eq!(said.matches("error[").count(), 1, "{args:?}: {said}");
    }
}

#[test]
fn a_junit_report_on_a_full_disk_has_its_cause() {
    let machine = Machine::new();
    let ran = machine.up(&["--junit", "/dev/full"]).exits(2);
    let told = String::from_utf8_lossy(&ran.0.stderr).into_owned();
    assert!(told.contains("/dev/full: No space left on device"), "{told}");
}

#[test]
fn a_device_is_not_replaced_by_a_file() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    // Only root may make a device.
    let pipe = machine.folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o600), 0)
        .expect("made");
    let path = pipe.to_str().expect("text");
    for args in [&["diagnose", "--archive", path][..], &["kubeconfig", "--merge", path]] {
        let (code, said) = {
            let output = machine.command().args(args).output().expect("it runs");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        assert_eq!(code, Some(2), "{args:?}: {said}");
        assert!(said.contains("it is not a file"), "{args:?}: {said}");
        assert!(fs::metadata(&pipe).expect("there").file_type().is_fifo(), "{args:?}: it is a pipe no longer");
    }
}

/// Ports are published on 127.0.0.1 alone; many machines look `localhost` up as ::1 first, where another may listen.
#[test]
fn every_address_that_is_printed_or_rendered_is_the_published_one() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let ports: Vec<_> = machine.ports.iter().map(String::as_str).collect();
    let rehearsed = |command| [&[command, "--engine", "rehearsal"][..], &ports].concat();
    for (args, addresses) in [
        (rehearsed("up"), 4),
        (rehearsed("status"), 4),
        ([&rehearsed("status")[..], &["-o", "json"]].concat(), 4),
        (rehearsed("render"), 2 * 6),
        (vec!["config"], 2),
        (vec!["kubeconfig"], 1),
    ] {
        let output = machine.run(&args).exits(0).0;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!text.contains("localhost"), "{args:?}: {text}");
        assert!(text.matches("127.0.0.1:").count() >= addresses, "{args:?}: {text}");
    }
}
