//! Whether a workflow has run in a sandbox as it is: one in which none has is not taken for ready. In a rehearsal.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::machine::Machine;

/// The checks in which a workflow runs, with how they ended.
fn workflows(events: &[Value]) -> Vec<String> {
    let of_workflow = events.iter().filter(|event| event["id"].as_str().is_some_and(|id| id.starts_with("A3")));
    of_workflow.filter_map(|event| event["outcome"].as_str().map(str::to_owned)).collect()
}

/// An `up` that is killed when its rollout has ended well and its checks begin.
fn up_that_is_killed_before_its_workflow(machine: &Machine) {
    let mut up = machine.command().args(machine.up_args(&[])).stdout(Stdio::piped()).spawn().expect("it runs");
    let events = BufReader::new(up.stdout.take().expect("a pipe")).lines().map(|line| line.expect("text"));
    let mut events = events.map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
    let checks = events.find(|event| event["event"] == "stage-started" && event["stage"] == "smoke");
    up.kill().expect("killed");
    up.wait().expect("ended");
    assert!(checks.is_some(), "its checks never began");
}

#[track_caller]
fn up_runs_one_workflow_now_and_none_the_next_time(machine: &Machine, args: &[&str]) {
    for (outcome, ran) in [("passed", &["passed"][..]), ("unchanged", &[])] {
        let events = machine.up(args).exits(0).events();
        assert_eq!(
            (events.last().expect("the end")["outcome"].as_str(), workflows(&events)),
            (Some(outcome), ran.iter().map(|one| (*one).to_owned()).collect())
        );
    }
}

#[test]
fn an_up_that_was_killed_before_its_workflow_is_not_taken_for_proven() {
    let machine = Machine::new();
    up_that_is_killed_before_its_workflow(&machine);
    up_runs_one_workflow_now_and_none_the_next_time(&machine, &[]);
}

#[test]
fn a_project_that_goes_proves_nothing() {
    let machine = Machine::new();
    up_that_is_killed_before_its_workflow(&machine);
    machine.run(&["project", "remove", "y", "-o", "json"]).exits(0);
    up_runs_one_workflow_now_and_none_the_next_time(&machine, &["--project", "x"]);
}

#[test]
fn a_sandbox_that_is_proven_stays_so_when_a_project_comes_or_goes() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let added = machine.run(&["project", "add", "z", "-o", "json"]).exits(0).events();
    assert_eq!(workflows(&added), ["passed"; 3], "one in each domain");
    for args in [&["remove", "z"], &["remove", "y"]] {
        machine.run(&[&["project"], args.as_slice(), &["-o", "json"]].concat()).exits(0);
        let projects: &[&str] = if args[1] == "z" { &[] } else { &["--project", "x"] };
        let events = machine.up(projects).exits(0).events();
        assert_eq!(
            (events.last().expect("the end")["outcome"].as_str(), workflows(&events).len()),
            (Some("unchanged"), 0)
        );
    }
}
