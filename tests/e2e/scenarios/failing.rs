//! k3d, nodes and images that fail.

use serde_json::Value;

use super::Scenario;
use crate::standin::{Failing, Faults};
use crate::support::ran::Ran;
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] = &[
    ("a_k3d_that_fails_is_heard_and_what_it_made_is_removed", k3d_fails),
    ("a_k3d_that_makes_nothing_and_says_that_it_did_is_not_believed", k3d_lies),
    ("a_node_that_does_not_stay_up_is_told_by_its_own_last_words", node_crashes),
    ("images_that_cannot_be_had_are_all_named_at_once", images_missing),
];

fn causes(failure: &Value) -> Vec<&str> {
    failure["causes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn hinted(ran: Ran) -> Ran {
    assert!(ran.failure()["hints"].as_array().is_some_and(|hints| !hints.is_empty()), "no next step");
    ran
}

fn k3d_fails() {
    let sandbox = Sandbox::failing(
        "k3d-1",
        Failing::Says("Failed Cluster Start: Bind for 127.0.0.1:30082 failed: port is already allocated".to_owned()),
    );
    let failure = hinted(sandbox.up(&[]).exits(5)).failure();
    assert_eq!(failure["reason"], "k3d");
    assert!(causes(&failure).iter().any(|cause| cause.contains("port is already allocated")), "{failure}");
    sandbox.assert_gone();
    let shown = sandbox.run(&["up"]).exits(5);
    let last = shown.err.rfind("port is already allocated").expect("the cause");
    assert!(shown.err[last..].lines().count() <= 6, "the cause is not near the end:\n{}", shown.err);
    sandbox.assert_gone();
}

fn k3d_lies() {
    let sandbox = Sandbox::failing("k3d-0", Failing::Nothing);
    let failure = sandbox.up(&[]).exits(5).failure();
    assert_eq!(failure["what"], "k3d said that it made the cluster, and there is no node");
    sandbox.assert_gone();
}

fn node_crashes() {
    let cause = "starting kubernetes: preparing server: no room for a datastore";
    let sandbox = Sandbox::faulty("crash", Faults { ends: Some((cause.to_owned(), 1)), ..Faults::default() });
    let ran = hinted(sandbox.up(&[]).exits(5));
    let failure = ran.failure();
    assert_eq!(failure["reason"], "node-crash");
    assert_eq!(causes(&failure).last(), Some(&cause), "{failure}");
    sandbox.assert_gone();
    let log = sandbox.path(&format!("state/failures/{}/node.log", sandbox.name));
    assert!(std::fs::read_to_string(&log).is_ok_and(|log| log.contains(cause)), "the node's log is not kept");

    sandbox.run(&["up", "--keep", "--no-cache"]).exits(5).says(cause);
    sandbox.run(&["status"]).exits(5).says("is broken");
    // Between two of its lives the node looks like one that runs; then it is its next end that tells.
    let again = sandbox.run(&["up", "--no-cache"]);
    assert!([Some(3), Some(5)].contains(&again.status.code()), "{again:?}");
    assert!(again.err.contains(&sandbox.name) && !again.err.contains("`kill "), "{}", again.err);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn images_missing() {
    let sandbox = Sandbox::failing("images", Failing::No);
    let (one, other) = ("registry.invalid/nope:1", "registry.invalid/neither:2");
    let (minio, postgres) = (format!("minio={one}"), format!("postgres={other}"));
    let ran = hinted(sandbox.up(&["--image", &minio, "--image", &postgres]).exits(6));
    let failure = ran.failure();
    let object = failure["object"].as_str().unwrap_or_default();
    assert!(object.contains(one) && object.contains(other), "{failure}");
    sandbox.assert_gone();
}
