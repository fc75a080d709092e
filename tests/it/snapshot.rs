//! Snapshots: a sandbox's data at one moment, and what is left of a run that does not come to its end. Against a Docker
//! daemon, a Kubernetes API and a database in memory; `tests/e2e/scenarios` has it on the real thing.

use std::collections::BTreeMap;
use std::time::Duration;

use flyte_sandbox::cluster::{Data, delete, discard_unfilled, fill_from_snapshot, kept_data, make_data_volume, owned};
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::lifecycle::{Done, Options, remove_snapshot, save_snapshot, snapshot, snapshots, up};
use flyte_sandbox::report::Outcome;
use flyte_sandbox::run::{Deadline, Run};
use flyte_sandbox::spec::EngineKind;
use serde_json::json;

use crate::support::attached::{options, run};
use crate::support::docker::{FakeDocker, World};
use crate::support::on_node::OnNode;

async fn save(here: &OnNode, name: &str) -> Result<Done, Failure> {
    save_snapshot(&here.cluster.spec.name, name, &here.host, &run().0).await
}

fn volumes(docker: &FakeDocker) -> Vec<String> {
    docker.world().volumes.iter().filter_map(|volume| volume["Name"].as_str().map(str::to_owned)).collect()
}

/// That the node runs, and there is nothing but the sandbox.
#[track_caller]
fn is_as_before(here: &OnNode) {
    let data = format!("k3d-{}-data", here.cluster.spec.name);
    assert_eq!(volumes(&here.docker), [data]);
    let world = here.docker.world();
    assert_eq!(world.containers.len(), 1, "{:?}", world.containers);
    assert_eq!(world.containers[0]["State"], "running");
    assert_eq!(here.host.state.snapshots(), Vec::<String>::new());
}

#[tokio::test]
async fn the_node_is_frozen_while_its_data_is_copied_and_no_longer() {
    let here = OnNode::start().await;
    let name = here.cluster.spec.name.clone();
    here.docker.world().content.insert(format!("k3d-{name}-data"), "rows and objects".to_owned());
    assert_eq!(save(&here, "base").await.expect("saved").outcome, Outcome::Passed);
    {
        let world = here.docker.world();
        assert_eq!(world.beside, ["paused"]);
        assert_eq!(world.containers.len(), 1, "{:?}", world.containers);
        assert_eq!(world.containers[0]["State"], "running");
        assert_eq!(world.content["sandbox-snapshot-base"], "rows and objects");
    }
    let saved = snapshot("base", &here.host).await.expect("there");
    let of = saved.of.expect("told");
    assert_eq!((saved.bytes, of.sandbox.as_str(), of.postgres), (48 << 10, name.as_str(), 10));
    assert_eq!(of.projects, here.cluster.spec.projects);
    assert_eq!(here.host.state.snapshots(), ["base"], "a shell completes it");
}

#[tokio::test]
async fn a_snapshot_is_nobodys_and_stays_when_its_sandbox_goes() {
    let here = OnNode::start().await;
    save(&here, "base").await.expect("saved");
    let docker = here.docker.connect().await;
    delete(&docker, &here.cluster.spec.name, Data::Removed).await.expect("gone");
    assert_eq!(owned(&docker).await.expect("listed"), Vec::<String>::new());
    assert_eq!(kept_data(&docker).await.expect("listed"), []);
    assert_eq!(snapshots(&here.host).await.expect("listed").len(), 1);
}

#[tokio::test]
async fn nothing_is_left_of_a_copy_that_fails() {
    let here = OnNode::start().await;
    here.docker.world().commands_fail = true;
    let failure = save(&here, "base").await.expect_err("no room");
    assert_eq!(failure.reason, Reason::DiskFull);
    assert!(failure.causes.iter().any(|cause| cause.contains("no space left on device")), "{failure:?}");
    is_as_before(&here);
}

#[tokio::test]
async fn a_copy_that_is_stopped_or_late_leaves_a_node_that_runs() {
    let here = OnNode::start().await;
    here.docker.world().commands_hang = true;
    let name = here.cluster.spec.name.clone();
    let (stopped, _events) = run();
    let saved = async { save_snapshot(&name, "base", &here.host, &stopped).await.expect_err("stopped").reason };
    let stop = async {
        while here.docker.world().beside.is_empty() {
            tokio::task::yield_now().await;
        }
        stopped.cancel.cancel();
    };
    assert_eq!(tokio::join!(saved, stop).0, Reason::Interrupted);
    is_as_before(&here);
    let late = Run { deadline: Deadline::after(Duration::from_secs(2)), ..run().0 };
    save_snapshot(&name, "base", &here.host, &late).await.expect_err("late");
    is_as_before(&here);
}

#[tokio::test]
async fn what_a_killed_run_left_is_no_snapshot_and_goes_with_the_next() {
    let here = OnNode::start().await;
    save(&here, "base").await.expect("saved");
    {
        let mut world = here.docker.world();
        // As a run leaves it that is killed while it copies: no mark, and the container with the volume.
        world.volumes.retain(|volume| volume["Name"] != "sandbox-snapshot-base.whole");
        world.containers.push(json!({"Id": "left", "Names": ["/sandbox-snapshot-base.copy"], "State": "exited",
            "Labels": {"sandbox.flyte/snapshot": "{}"}, "Ports": [], "Mounts": [{"Name": "sandbox-snapshot-base"}]}));
    }
    assert_eq!(snapshots(&here.host).await.expect("listed").len(), 0);
    assert_eq!(snapshot("base", &here.host).await.expect_err("not whole").reason, Reason::NotFound);
    save(&here, "base").await.expect("saved anew");
    assert_eq!(snapshots(&here.host).await.expect("listed").len(), 1);
}

#[tokio::test]
async fn only_a_sandbox_that_runs_is_saved_and_under_a_name_that_is_free() {
    let here = OnNode::start().await;
    for name in ["No", "../x", "a.b", ""] {
        assert_eq!(save(&here, name).await.expect_err(name).reason, Reason::Usage, "{name}");
    }
    save(&here, "base").await.expect("saved");
    let before = volumes(&here.docker);
    let taken = save(&here, "base").await.expect_err("taken");
    assert_eq!(taken.reason, Reason::Usage);
    assert!(taken.hints[0].contains("sandbox snapshot remove base"), "{taken:?}");
    for state in ["paused", "exited"] {
        here.docker.world().containers[0]["State"] = json!(state);
        let halted = save(&here, "other").await.expect_err(state);
        assert!(halted.hints.iter().any(|hint| hint.contains("sandbox start")), "{halted:?}");
        assert_eq!(here.docker.world().containers[0]["State"], state);
    }
    assert_eq!(volumes(&here.docker), before);
    let attached = save_snapshot(&here.cluster.spec.name, "other", &here.cluster.host, &run().0).await;
    let attached = attached.expect_err("on a cluster of others");
    assert!(attached.hints.iter().any(|hint| hint.contains("sandbox backup")), "{attached:?}");
}

#[tokio::test]
async fn a_snapshot_that_is_used_stays_whole_and_one_that_is_gone_is_no_failure() {
    let here = OnNode::start().await;
    save(&here, "base").await.expect("saved");
    let filler = json!({"Id": "f", "Names": ["/k3d-b-fill"], "State": "running", "Labels": {}, "Ports": [],
        "Mounts": [{"Name": "sandbox-snapshot-base"}]});
    here.docker.world().containers.push(filler);
    remove_snapshot("base", &here.host, &run().0).await.expect_err("a sandbox is being made from it");
    assert_eq!(snapshots(&here.host).await.expect("listed").len(), 1);
    here.docker.world().containers.pop();
    for outcome in [Outcome::Passed, Outcome::Unchanged] {
        assert_eq!(remove_snapshot("base", &here.host, &run().0).await.expect("gone").outcome, outcome);
        is_as_before(&here);
    }
}

#[tokio::test]
async fn a_data_volume_is_no_data_before_it_is_whole() {
    let here = OnNode::start().await;
    let (docker, image, images) = (here.docker.connect().await, &here.cluster.spec.node_image, BTreeMap::new());
    here.docker.world().content.insert("k3d-flyte-data".to_owned(), "rows".to_owned());
    save(&here, "base").await.expect("saved");
    let fill = async |cluster: &str, run: &Run| fill_from_snapshot(&docker, cluster, "base", &images, image, run).await;
    fill("b", &run().0).await.expect("filled");
    assert_eq!(here.docker.world().content["k3d-b-data"], "rows");
    let with_data = async || {
        let listed = kept_data(&docker).await.expect("listed");
        listed.into_iter().map(|kept| kept.sandbox).collect::<Vec<_>>()
    };
    assert_eq!(with_data().await, ["flyte", "b"]);
    // A run that is killed: what it waits for is dropped, and nothing is tidied up.
    here.docker.world().commands_hang = true;
    here.docker.world().beside.clear();
    for then in ["down --keep-data", "up"] {
        let begun = async {
            while here.docker.world().beside.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let alone = run().0;
        tokio::select! {
            _ = fill("c", &alone) => panic!("it hangs"),
            () = begun => {}
        }
        here.docker.world().beside.clear();
        assert!(volumes(&here.docker).contains(&"k3d-c-data".to_owned()));
        assert_eq!(with_data().await, ["flyte", "b"]);
        match then {
            "up" => discard_unfilled(&docker, "c").await.expect("gone"),
            _ => drop(delete(&docker, "c", Data::Kept).await.expect("gone")),
        }
        assert!(volumes(&here.docker).iter().all(|volume| !volume.contains("k3d-c-")), "{then}");
    }
    discard_unfilled(&docker, "b").await.expect("nothing to do");
    assert_eq!(here.docker.world().content["k3d-b-data"], "rows");
    assert_eq!(with_data().await, ["flyte", "b"]);
}

#[tokio::test]
async fn a_snapshot_that_goes_meanwhile_is_no_empty_one() {
    let docker = FakeDocker::start(World::default()).await;
    let image = "rancher/k3s:v1.21.2-k3s1".parse().expect("an image");
    docker.world().images.insert("rancher/k3s:v1.21.2-k3s1".to_owned(), "sha256:node".to_owned());
    let client = docker.connect().await;
    let filled = fill_from_snapshot(&client, "b", "base", &BTreeMap::new(), &image, &run().0).await;
    let failure = Failure::from(filled.expect_err("gone"));
    assert!(failure.causes.iter().any(|cause| cause.contains("the snapshot is gone")), "{failure:?}");
    assert!(!volumes(&docker).contains(&"sandbox-snapshot-base".to_owned()), "Docker had made one");
    assert_eq!(kept_data(&client).await.expect("listed"), []);
}

#[tokio::test]
async fn an_up_from_a_snapshot_that_is_not_there_or_does_not_fit_removes_nothing() {
    let here = OnNode::start().await;
    save(&here, "base").await.expect("saved");
    let docker = here.docker.connect().await;
    make_data_volume(&docker, "kept", &BTreeMap::new()).await.expect("made");
    let before = volumes(&here.docker);
    for (from, lacks, reason) in [("bas", false, Reason::NotFound), ("base", true, Reason::BackupMismatch)] {
        let mut request = here.cluster.request();
        (request.spec.engine, request.spec.name) = (Some(EngineKind::Docker), "kept".to_owned());
        if lacks {
            request.spec.projects = vec!["other".to_owned()];
        }
        let options = Options { fresh: true, from: Some(from), ..options() };
        let failure = up(request, &here.host, options, &run().0).await.expect_err(from);
        assert_eq!(failure.reason, reason, "{failure:?}");
        assert!(failure.what.contains("snapshot"), "{failure:?}");
        assert_eq!(volumes(&here.docker), before);
    }
}
