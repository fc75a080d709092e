//! From `up` to `down`, with all that comes between.

use super::Scenario;
use crate::support::docker::docker;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::ran::{applied, outcome};
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] = &[
    ("a_sandbox_lives_from_up_to_down_and_leaves_nothing", whole),
    ("a_sandbox_made_with_k3d_4_works_and_leaves_nothing", with_k3d_4),
];

fn whole() {
    let sandbox = Sandbox::new("life", &Ground::find(Wish::Real, Major::Five));
    let events = sandbox.up(&[]).exits(0).events();
    for stage in ["plan", "preflight", "cluster", "images", "apply", "rollout", "smoke"] {
        assert_eq!(outcome(&events, stage), "passed", "{stage}");
    }
    let made = applied(&events, "created").len();
    assert!(made > 80, "{made} objects made");
    let probes = events.iter().filter(|event| event["event"] == "probe" && event["outcome"] == "passed");
    assert_eq!(probes.count(), 19, "16 checks, and a workflow in the first project and domain");
    let node = sandbox.node_id();

    sandbox.run(&["smoke"]).exits(0).says("16 of 16 checks").says("is a working Flyte");
    sandbox.run(&["smoke", "--full"]).exits(0).says("34 of 34 checks; 6 workflows ran");

    let again = sandbox.up(&[]).exits(0).events();
    assert_eq!(again.last().expect("events")["outcome"], "unchanged");
    assert_eq!(outcome(&again, "apply"), "absent", "there is nothing to apply");
    assert_eq!(sandbox.node_id(), node);

    sandbox.run(&["status"]).exits(0).says("is ready").says("would change nothing");
    sandbox.run(&["status", "--project", "x,y,z"]).exits(0).says("would apply the difference");

    let more = sandbox.up(&["--project", "x,y,z"]).exits(0).events();
    let created = applied(&more, "created");
    assert!(created.iter().all(|object| object.contains("-z")), "{created:?}");
    assert_eq!(created.iter().filter(|object| object.starts_with("namespace ")).count(), 3);
    assert!(applied(&more, "unchanged").len() > 60, "all else stays");
    assert_eq!(applied(&more, "pruned"), Vec::<&str>::new());

    let less = sandbox.up(&[]).exits(0).events();
    let pruned = applied(&less, "pruned");
    assert_eq!(pruned.iter().filter(|object| object.starts_with("namespace ")).count(), 3, "{pruned:?}");
    assert!(pruned.iter().all(|object| object.contains("-z")), "{pruned:?}");
    assert_eq!(applied(&less, "created"), Vec::<&str>::new());
    assert_eq!(sandbox.node_id(), node);

    docker(&["stop", &sandbox.node()]);
    sandbox.run(&["status"]).exits(5).says("is stopped");
    sandbox.up(&[]).exits(0).events();
    assert_eq!(sandbox.node_id(), node);
    sandbox.run(&["status"]).exits(0).says("is ready");

    sandbox.run(&["down"]).exits(0).says("is gone");
    sandbox.assert_gone();
    sandbox.run(&["down"]).exits(0).says(&format!("there is no sandbox {}", sandbox.name));
    sandbox.run(&["status"]).exits(13);
    sandbox.assert_gone();
}

fn with_k3d_4() {
    let sandbox = Sandbox::new("life-4", &Ground::find(Wish::Real, Major::Four));
    let events = sandbox.up(&[]).exits(0).events();
    assert_eq!(outcome(&events, "smoke"), "passed");
    let cluster = events.iter().find(|event| event["event"] == "stage-finished" && event["stage"] == "cluster");
    assert!(cluster.expect("a stage")["summary"].as_str().is_some_and(|summary| summary.contains("k3d v4")));
    sandbox.run(&["smoke"]).exits(0);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}
