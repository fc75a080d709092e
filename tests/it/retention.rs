//! Projects that the spec lacks: kept with what users ran in them, or removed. The real binary, on a rehearsal.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::machine::Machine;

impl Machine {
    /// Each project that runs, and whether the spec has it.
    fn listed(&self) -> BTreeMap<String, bool> {
        let list: Value =
            serde_json::from_str(&self.run(&["project", "list", "-o", "json"]).exits(0).out()).expect("JSON");
        let rows = list["projects"].as_array().expect("rows").iter();
        rows.map(|row| (row["project"].as_str().expect("a name").to_owned(), row["inSpec"] == true)).collect()
    }

    fn projects(&self, projects: &str) {
        fs::write(self.folder.path().join("sandbox.yaml"), format!("projects: {projects}\n")).expect("written");
    }

    /// A user's execution, as the console launches it.
    fn execute(&self, project: &str, name: &str) {
        self.execute_in(project, "d-dev", name);
    }

    fn execute_in(&self, project: &str, domain: &str, name: &str) {
        let launch = json!({"launch_plan": {"name": "of.the.user"}});
        self.post("executions", &json!({"project": project, "domain": domain, "name": name, "spec": launch}));
    }

    /// The domains that `project list` has of each project.
    fn domains(&self) -> Vec<String> {
        let list: Value =
            serde_json::from_str(&self.run(&["project", "list", "-o", "json"]).exits(0).out()).expect("JSON");
        let namespaces = list["projects"][0]["namespaces"].as_array().expect("namespaces").iter();
        namespaces.map(|one| one["domain"].as_str().expect("a domain").to_owned()).collect()
    }

    /// Something that a user makes through admin's API.
    fn post(&self, kind: &str, body: &Value) {
        let console = self.ports[0].split_once('=').expect("a port").1.to_owned();
        let (url, body) = (format!("http://127.0.0.1:{console}/api/v1/{kind}"), body.to_string());
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let status = runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            client.post(url).body(body).send().await.expect("an answer").status().as_u16()
        });
        assert_eq!(status, 200);
    }

    fn asked(&self, command: &str) -> Value {
        let ports: Vec<_> = self.ports.iter().map(String::as_str).collect();
        let args = [&[command, "--engine", "rehearsal", "-o", "json"], ports.as_slice()].concat();
        serde_json::from_str(&self.run(&args).out()).expect("JSON")
    }
}

fn warnings(events: &[Value]) -> Vec<&str> {
    let warned = events.iter().filter(|event| event["event"] == "warning");
    warned.map(|event| event["message"].as_str().expect("text")).collect()
}

fn outcome(events: &[Value]) -> &str {
    events.last().expect("the end")["outcome"].as_str().expect("text")
}

#[test]
fn a_project_that_was_added_stays_through_up() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    machine.run(&["project", "add", "z"]).exits(0);
    assert_eq!(machine.asked("status")["spec"], "unchanged");
    let events = machine.up(&[]).exits(0).events();
    assert_eq!((outcome(&events), warnings(&events)), ("unchanged", vec![]));
    let kept = [("x".to_owned(), true), ("y".to_owned(), true), ("z".to_owned(), false)];
    assert_eq!(machine.listed(), kept.into());

    // Once the spec has had it, it leaves as every other.
    machine.projects("[x, y, z]");
    machine.up(&[]).exits(0);
    machine.projects("[x, y]");
    machine.up(&[]).exits(0);
    assert_eq!(machine.listed().len(), 2);
}

#[test]
fn a_project_that_leaves_the_spec_stays_while_it_has_executions() {
    let machine = Machine::new();
    machine.projects("[x, y, z]");
    // The smoke workflow's executions are nobody's.
    machine.up(&["--full"]).exits(0);
    machine.execute("z", "mine");
    machine.projects("[x]");
    let plan = machine.asked("plan");
    let leaving = plan["running"]["leaving"].as_array().expect("a list").clone();
    let told = leaving.iter().map(|one| (one["project"].clone(), one["kept"].clone(), one["executions"].clone()));
    assert_eq!(
        Vec::from_iter(told),
        [(json!("y"), json!(false), json!(0)), (json!("z"), json!(true), json!(1))],
        "{leaving:?}"
    );
    assert!(leaving.iter().all(|one| one["objects"].is_u64() && one["bytes"].is_u64()), "{leaving:?}");
    assert_eq!(plan["running"]["projectsRemoved"], json!(["y"]));

    let events = machine.up(&[]).exits(0).events();
    let told = warnings(&events);
    assert_eq!(told.len(), 1, "{told:?}");
    for words in ["project z", "1 execution", "--prune-projects", "sandbox project remove z"] {
        assert!(told[0].contains(words), "{told:?} without {words}");
    }
    assert_eq!(Vec::from_iter(machine.listed().into_keys()), ["x", "z"]);
    assert_eq!(machine.asked("status")["spec"], "unchanged");

    machine.up(&["--prune-projects"]).exits(0);
    assert_eq!(Vec::from_iter(machine.listed().into_keys()), ["x"]);
}

#[test]
fn a_domain_that_leaves_the_spec_stays_while_it_has_executions() {
    let machine = Machine::new();
    // The smoke workflow's executions are nobody's.
    machine.up(&["--full", "--domain", "d-dev,development,empty"]).exits(0);
    machine.execute_in("y", "development", "mine");
    fs::write(machine.folder.path().join("sandbox.yaml"), "domains: [{id: d-dev}]\n").expect("written");
    let plan = machine.asked("plan");
    let leaving = plan["running"]["leaving"].as_array().expect("a list").clone();
    let told = leaving.iter().map(|one| (one["domain"].clone(), one["kept"].clone(), one["executions"].clone()));
    assert_eq!(
        Vec::from_iter(told),
        [(json!("development"), json!(true), json!(1)), (json!("empty"), json!(false), json!(0))],
        "{leaving:?}"
    );
    let ports: Vec<_> = machine.ports.iter().map(String::as_str).collect();
    let shown = machine.run(&[&["plan", "--engine", "rehearsal"], ports.as_slice()].concat()).exits(0).out();
    for line in [
        "domain development is not in the spec and stays: 1 execution; `sandbox up --prune-domains` removes it\n",
        "domain empty would be removed, with all that runs in it: 0 executions\n",
    ] {
        assert!(shown.contains(line), "{shown} without {line}");
    }

    let events = machine.up(&[]).exits(0).events();
    let told = warnings(&events);
    assert_eq!(told.len(), 1, "{told:?}");
    for words in ["domain development", "1 execution", "`sandbox up --prune-domains`"] {
        assert!(told[0].contains(words), "{told:?} without {words}");
    }
    assert_eq!(machine.domains(), ["d-dev", "development"]);
    assert_eq!(machine.asked("status")["spec"], "unchanged");
    // To prune projects takes no domain, and the domain is as before: nothing is to be done.
    assert_eq!(outcome(&machine.up(&["--prune-projects"]).exits(0).events()), "unchanged");
    assert_eq!(machine.domains(), ["d-dev", "development"]);

    machine.up(&["--prune-domains"]).exits(0);
    assert_eq!(machine.domains(), ["d-dev"]);
}

/// What was executed in a domain by a project that goes with all its data holds the domain no longer.
#[test]
fn a_domain_with_executions_of_pruned_projects_alone_goes_with_them() {
    let machine = Machine::new();
    machine.up(&["--project", "x,z", "--domain", "d-dev,development"]).exits(0);
    machine.execute_in("z", "development", "mine");
    let only = ["--project", "x", "--domain", "d-dev"];
    machine.up(&only).exits(0);
    assert_eq!(machine.domains(), ["d-dev", "development"]);
    let events = machine.up(&[&only[..], &["--prune-projects"]].concat()).exits(0).events();
    assert_eq!((machine.domains(), warnings(&events)), (vec!["d-dev".to_owned()], vec![]));
}

#[test]
fn an_up_that_removes_a_project_from_admin_alone_has_changed_something() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let labels = json!({"values": {"managed-by": "sandbox"}});
    machine.post("projects", &json!({"project": {"id": "w", "name": "w", "labels": labels}}));
    assert_eq!(outcome(&machine.up(&["--prune-projects"]).exits(0).events()), "passed");
    assert_eq!(outcome(&machine.up(&["--prune-projects"]).exits(0).events()), "unchanged");
}

#[test]
fn a_project_is_removed_by_its_name_whatever_it_has() {
    let machine = Machine::new();
    machine.projects("[x, z]");
    machine.up(&[]).exits(0);
    machine.execute("z", "mine");
    machine.run(&["project", "remove", "z"]).exits(0);
    assert_eq!(Vec::from_iter(machine.listed().into_keys()), ["x"]);
}

/// The stages of a run, in their order.
fn stages(events: &[Value]) -> Vec<&str> {
    let begun = events.iter().filter(|event| event["event"] == "stage-started");
    begun.map(|event| event["stage"].as_str().expect("a stage")).collect()
}

#[test]
fn a_fresh_start_removes_nothing_before_all_is_known_that_could_stand_in_its_way() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    machine.run(&["project", "add", "z"]).exits(0);
    fs::write(machine.folder.path().join("bad.yaml"), "kind: [\n").expect("written");
    let refused = machine.up(&["--fresh", "--manifests", "bad.yaml"]);
    assert_eq!(refused.failure()["stage"], "plan");
    assert!(machine.listed().contains_key("z"), "it was removed");

    let events = machine.up(&["--fresh"]).exits(0).events();
    assert_eq!(stages(&events)[..3], ["plan", "preflight", "down"]);
    assert_eq!(outcome(&events), "passed");
    assert!(!machine.listed().contains_key("z"), "what was added to the old one is in the new one");
    // A rehearsal that is not as asked for is one to begin anew, too.
    let fault = ["--rehearse-fault", "pod=minio,reason=OOMKilled"];
    assert_eq!(machine.up(&fault).exits(3).failure()["reason"], "sandbox-differs");
    machine.up(&[&fault[..], &["--fresh", "--keep"]].concat()).exits(9);
}
