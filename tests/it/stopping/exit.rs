//! Signals that come when there is nothing left to do, and machines that lack what others have.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};

use rustix::process::Signal;
use serde_json::Value;

use super::{INTERRUPTED, Machine, Running, text};
use crate::support::wait::wait_for;

/// Reads a run's events up to the last, and says its exit code.
fn told_exit_code(process: &mut Running) -> i64 {
    let out = process.child().stdout.take().expect("a pipe");
    for line in BufReader::new(out).lines() {
        let event: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        if event["event"] == "run-finished" {
            return event["exit_code"].as_i64().expect("a number");
        }
    }
    panic!("the stream of events has no end");
}

/// Whoever reads the events believes the last one.
#[test]
fn a_signal_after_the_last_event_does_not_change_what_it_said() {
    let machine = Machine::new();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        for args in [&["up"][..], &["up", "--appid", "-"]] {
            let what = format!("{args:?} {signal:?}");
            let mut command = machine.up(&[&["-o", "json"], &args[1..]].concat());
            let mut process = Running::start(&mut command);
            let told = told_exit_code(&mut process);
            process.signal(signal);
            let (code, output) = process.ends(&what);
            assert_eq!(code.map(i64::from), Some(told), "{what}: {}", text(&output));
        }
    }
}

/// All that the process writes has been read when the signals come; it may say that it was stopped, and dies of none.
#[test]
fn many_signals_at_the_exit_kill_nothing() {
    let machine = Machine::new();
    for round in 0..20 {
        let mut process = Running::start(&mut machine.sandbox(&["render"]));
        let mut out = process.child().stdout.take().expect("a pipe");
        let mut first = [0; 1 << 12];
        out.read_exact(&mut first).expect("it writes");
        wait_for("it listens", || process.listens().then_some(()));
        let rest = std::thread::spawn(move || out.read_to_end(&mut Vec::new()).expect("read"));
        for signal in [Signal::INT, Signal::TERM].iter().cycle().take(round) {
            if process.has_ended() {
                break;
            }
            process.signal(*signal);
        }
        let (code, output) = process.ends("render");
        assert!([Some(0), Some(INTERRUPTED)].contains(&code), "{code:?} {}", text(&output));
        assert!(!text(&output).contains("panicked"), "{}", text(&output));
        rest.join().expect("read");
    }
}

/// As in a service or a container that has no account.
#[test]
fn a_machine_without_a_home_has_its_state_in_the_temporary_folder() {
    let machine = Machine::new();
    fs::create_dir(machine.path("tmp")).expect("made");
    let run = |mut command: std::process::Command| {
        command.env_remove("SANDBOX_STATE_DIR").env_remove("HOME").env("TMPDIR", machine.path("tmp"));
        let output = command.output().expect("it runs");
        (output.status.code(), text(&output))
    };
    let (code, told) = run(machine.up(&[]));
    assert_eq!(code, Some(0), "{told}");
    assert!(machine.path("tmp/flyte-sandbox/flyte/rehearsal.lock").exists(), "{told}");
    for args in [&["status"][..], &["kubeconfig"], &["down"]] {
        let (code, told) = run(machine.sandbox(args));
        assert_eq!(code, Some(0), "{args:?}: {told}");
    }
    let (code, told) = run(machine.sandbox(&["up", "--engine", "context", "--context", "x"]));
    assert_eq!((code, told.contains("context x")), (Some(2), true), "{code:?} {told}");
}

/// The state folder is where the command was started, whatever it is called there.
#[test]
fn ctrl_c_leaves_nothing_in_a_relative_state_folder() {
    let machine = Machine::new();
    machine.write("credentials.yaml", "projects: [x]\nstorage: {credentials: {file: './{project}.fifo'}}\n");
    machine.fifo("x.fifo");
    let mut up = machine.up(&["--config", "credentials.yaml"]);
    let mut process = Running::start(up.env("SANDBOX_STATE_DIR", "here"));
    wait_for("it holds the lock", || machine.path("here/flyte.lock").exists().then_some(()));
    wait_for("it listens", || process.listens().then_some(()));
    process.signal(Signal::INT);
    let (code, output) = process.ends("up");
    assert_eq!(code, Some(INTERRUPTED), "{}", text(&output));
    let names = fs::read_dir(machine.path("here")).expect("there").flatten().map(|entry| entry.file_name());
    let left: BTreeSet<_> = names.filter_map(|name| name.into_string().ok()).collect();
    assert_eq!(left, ["machine.key", "recorded.runs"].map(str::to_owned).into(), "{}", text(&output));
}
