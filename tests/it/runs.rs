//! Recorded runs, from the run to what is shown of it elsewhere.

use std::fs;

use serde_json::Value;

use crate::support::machine::Machine;

/// The ids of the recorded runs, oldest first.
fn ids(machine: &Machine) -> Vec<String> {
    let rows: Value = serde_json::from_str(&machine.run(&["runs", "list", "-o", "json"]).exits(0).out()).expect("JSON");
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_run_is_listed_shown_compared_and_read_elsewhere() {
    let machine = Machine::new();
    let said = machine.up(&["--full"]).exits(0).events();
    machine.run(&["smoke"]).exits(0);
    let ids = ids(&machine);
    assert_eq!(ids.len(), 2, "a list is no run: {ids:?}");

    let file = machine.state().join("a run.ndjson").display().to_string();
    machine.run(&["runs", "export", &ids[0], &file]).exits(0);
    let elsewhere = Machine::new();
    let shown = elsewhere.run(&["runs", "show", &file, "-o", "json"]).exits(0).events();
    for kind in ["run-started", "facts", "stage-finished", "applied", "probe", "ready", "run-finished"] {
        let of = |events: &[Value]| events.iter().filter(|event| event["event"] == kind).cloned().collect::<Vec<_>>();
        assert_eq!(of(&shown), of(&said), "{kind}");
        assert!(!of(&said).is_empty(), "{kind}");
    }
    assert!(elsewhere.run(&["runs", "show", &file]).exits(0).out().contains("sandbox flyte is ready"));
    let page = elsewhere.run(&["runs", "show", &file, "--html"]).exits(0).out();
    assert!(page.contains("deployment/flyteadmin") && page.contains("A rehearsal"), "{page}");
    let written = elsewhere.state().join("junit.xml").display().to_string();
    elsewhere.run(&["runs", "show", &file, "--junit", &written]).exits(0);
    assert!(fs::read_to_string(written).expect("there").contains("<testcase name=\"rollout\""));

    let differences = machine.run(&["runs", "diff", &ids[0], &ids[1]]).exits(0).out();
    assert!(differences.lines().any(|line| line.starts_with("stages") && line.contains("rollout")), "{differences}");
    assert!(machine.run(&["runs", "show", "1999"]).exits(13).0.stdout.is_empty());
}

#[test]
fn a_run_that_cannot_be_recorded_says_so_and_goes_on() {
    let machine = Machine::new();
    machine.run(&["plan"]).exits(0);
    fs::write(machine.state().join("recorded.runs"), "in the way").expect("written");
    let events = machine.up(&[]).exits(0).events();
    let warned = |event: &&Value| event["message"].as_str().is_some_and(|text| text.contains("is not recorded"));
    assert_eq!(events.iter().filter(warned).count(), 1, "{events:?}");
}

#[test]
fn no_secret_of_the_spec_is_in_what_a_run_leaves() {
    const SECRET: &str = "never-to-be-seen-2026";
    let machine = Machine::new();
    machine.run(&["plan"]).exits(0);
    let file = machine.state().join("spec.yaml");
    fs::write(&file, format!("storage: {{accessKey: anybody, secretKey: {SECRET}}}\n")).expect("written");
    let [config, page, summary, trace] = ["spec.yaml", "page.html", "summary.md", "trace.json"]
        .map(|name| machine.state().join(name).display().to_string());
    let fault = format!("workflow=failed,message=it says {SECRET} aloud");
    let files = ["--report", &page, "--summary", &summary, "--trace", &trace];
    let failure =
        machine.up(&[&["--config", &config, "--rehearse-fault", &fault], &files[..]].concat()).exits(10).failure();
    let evidence = failure["folder"].as_str().expect("evidence");
    let recording = fs::read_dir(machine.state().join("recorded.runs")).expect("there").flatten().next().expect("one");
    for path in [page, summary, trace, format!("{evidence}/index.html"), recording.path().display().to_string()] {
        let text = fs::read_to_string(&path).expect("there");
        assert!(!text.contains(SECRET), "{path}: {text}");
    }
    let page = fs::read_to_string(format!("{evidence}/index.html")).expect("there");
    assert!(page.contains("it says *** aloud"), "{page}");
}

#[test]
fn the_page_of_a_sandbox_that_runs_has_its_last_run_and_what_was_found_now() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let page = machine.state().join("page.html").display().to_string();
    machine.run(&["diagnose", "--report", &page]).exits(0);
    let page = fs::read_to_string(page).expect("there");
    for words in ["What follows is its last run.", "sandbox up flyte", "every pod in a line", "deployment/flyteadmin"] {
        assert!(page.contains(words), "no {words}: {page}");
    }
}
