//! Projects that come and go while the sandbox runs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Scenario;
use crate::support::cluster;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::ran::{Ran, applied, outcome};
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] =
    &[("a_project_comes_and_goes_while_the_others_do_not_notice", comes_and_goes)];

fn comes_and_goes() {
    let sandbox = Sandbox::new("projects", &Ground::find(Wish::Real, Major::Five));
    sandbox.run(&["project", "add", "z"]).exits(13).says("there is no such sandbox");
    sandbox.up(&[]).exits(0);
    let (node, pods) = (sandbox.node_id(), cluster::pods(&sandbox, SYSTEM));

    let long = "p".repeat(42);
    sandbox.run(&["project", "add", &long]).exits(2).says("1 characters too long for Kubernetes");
    sandbox.run(&["project", "add", "x"]).exits(0).says("has project x already");

    let added = sandbox.run(&["project", "add", "z", "--output", "json"]).exits(0).events();
    assert!(applied(&added, "created").iter().all(|object| object.contains("-z")));
    let ran = added.iter().filter(|event| event["event"] == "probe" && event["outcome"] == "passed");
    assert_eq!(ran.count(), 26, "17 checks, and a workflow in each of its three domains");
    let now = cluster::pods(&sandbox, SYSTEM);
    assert_eq!(others(&now), pods, "the pods of the others are the same");
    assert_eq!(now.len(), pods.len() + 3);
    assert_eq!(listed(&sandbox.run(&["project", "list", "--output", "json"])), ["x: true", "y: true", "z: false"]);

    let keys = |project: &str| sandbox.run(&["credentials", "--project", project]);
    keys("z").exits(0).says("my-s3-bucket-z");
    assert_ne!(keys("x").out, keys("y").out);

    sandbox.run(&["plan"]).exits(0).says("nothing would change");
    sandbox.run(&["status"]).exits(0).says("the spec says the same");
    let again = sandbox.run(&["project", "add", "z", "--output", "json"]).exits(0).events();
    assert_eq!(again.last().expect("events")["outcome"], "unchanged");
    assert_eq!(outcome(&again, "apply"), "absent", "there is nothing to apply");

    let removed = sandbox.run(&["project", "remove", "z", "--output", "json"]).exits(0).events();
    let pruned = applied(&removed, "pruned");
    assert!(pruned.iter().all(|object| object.contains("-z")), "{pruned:?}");
    assert_eq!(pruned.iter().filter(|object| object.starts_with("namespace ")).count(), 3);
    let left = cluster::pods(&sandbox, SYSTEM);
    assert_eq!((others(&left), sandbox.node_id()), (pods, node));
    assert_eq!(listed(&sandbox.run(&["project", "list", "--output", "json"])), ["x: true", "y: true"]);
    sandbox.run(&["plan"]).exits(0).says("nothing would change");
    sandbox.run(&["project", "remove", "z"]).exits(0).says("has no project z");
    keys("z").exits(2).says("there is no such project");

    sandbox.run(&["project", "add", "z"]).exits(0).says("has project z");
    sandbox.up(&[]).exits(0);
    assert_eq!(listed(&sandbox.run(&["project", "list", "--output", "json"])), ["x: true", "y: true", "z: false"]);
    sandbox.run(&["project", "remove", "z"]).exits(0).says("has no project z any more");

    sandbox.run(&["project", "remove", "y"]).exits(0).says("would bring it back");
    sandbox.run(&["project", "remove", "x"]).exits(2).says("`projects` is empty");
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

const SYSTEM: &str = "103020-flytepoc-dev";

/// Those that are not project z's.
fn others(pods: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    pods.iter().filter(|(name, _)| !name.contains("-z-")).map(|(name, uid)| (name.clone(), uid.clone())).collect()
}

/// Each project, and whether the spec has it.
#[track_caller]
fn listed(ran: &Ran) -> Vec<String> {
    assert!(ran.status.success(), "{}", ran.err);
    let list: Value = serde_json::from_str(&ran.out).expect("JSON");
    let rows = list["projects"].as_array().expect("rows").iter();
    let row = |row: &Value| {
        assert_eq!(row["registered"], true, "{row}");
        assert_eq!(row["namespaces"].as_array().map(Vec::len), Some(3), "{row}");
        format!("{}: {}", row["project"].as_str().unwrap_or_default(), row["inSpec"])
    };
    rows.map(row).collect()
}
