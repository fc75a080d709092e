//! Half copies of data that killed runs left: of a snapshot, and of a data volume that was to begin with one. Against a
//! Docker daemon, a Kubernetes API and a database in memory.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use flyte_sandbox::cluster::{Data, fill_from_snapshot};
use flyte_sandbox::lifecycle::{Fate, Swept, down, gc, save_snapshot, start};
use serde_json::{Value, json};

use crate::support::attached::run;
use crate::support::docker::FakeDocker;
use crate::support::on_node::OnNode;

const HOUR: Duration = Duration::from_secs(3600);

fn things(docker: &FakeDocker) -> Vec<String> {
    let world = docker.world();
    let volumes = world.volumes.iter().map(|volume| &volume["Name"]);
    let all = volumes.chain(world.containers.iter().map(|container| &container["Names"][0]));
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Waits until a command in a container has begun, and does not end.
async fn copying(docker: &FakeDocker) {
    while docker.world().beside.is_empty() {
        tokio::task::yield_now().await;
    }
    docker.world().beside.clear();
}

/// A `snapshot save` that is killed while it copies: what it waits for is dropped, and nothing is tidied up.
async fn killed_save(here: &OnNode, snapshot: &str) {
    here.docker.world().beside.clear();
    here.docker.world().commands_hang = true;
    let (alone, _events) = run();
    tokio::select! {
        _ = save_snapshot(&here.cluster.spec.name, snapshot, &here.host, &alone) => panic!("it hangs"),
        () = copying(&here.docker) => {}
    }
    here.docker.world().commands_hang = false;
}

/// The copy ends some time after the run that waited for it.
fn end_copy(here: &OnNode, container: &str) {
    let mut world = here.docker.world();
    let name = json!(format!("/{container}"));
    world.containers.iter_mut().filter(|one| one["Names"][0] == name).for_each(|one| one["State"] = json!("exited"));
}

/// An `up --from` that is killed while it copies.
async fn killed_fill(here: &OnNode, cluster: &str) {
    here.docker.world().beside.clear();
    here.docker.world().commands_hang = true;
    let docker = here.docker.connect().await;
    let ((alone, _events), image, images) = (run(), &here.cluster.spec.node_image, BTreeMap::new());
    let fill = fill_from_snapshot(&docker, cluster, "base", &images, image, &alone);
    tokio::select! {
        _ = fill => panic!("it hangs"),
        () = copying(&here.docker) => {}
    }
    here.docker.world().commands_hang = false;
}

async fn swept(here: &OnNode, now: SystemTime, dry: bool, name: &str) -> Option<Swept> {
    let sweep = gc(&here.host, now, dry).await.expect("a sweep");
    assert_eq!(sweep.failure, None);
    sweep.sandboxes.into_iter().find(|one| one.snapshot.as_deref() == Some(name) || one.sandbox == name)
}

#[tokio::test]
async fn half_a_snapshot_goes_with_gc() {
    let here = OnNode::start().await;
    let before = things(&here.docker);
    killed_save(&here, "base").await;
    let half = things(&here.docker);
    assert_eq!(half.len(), before.len() + 2);
    assert_eq!(swept(&here, SystemTime::now(), false, "base").await.expect("told").fate, Fate::Left, "it is copied");
    end_copy(&here, "sandbox-snapshot-base.copy");
    let dry = swept(&here, SystemTime::now(), true, "base").await.expect("told");
    assert_eq!(dry.fate, Fate::Due, "{dry:?}");
    assert_eq!(things(&here.docker), half);
    let removed = swept(&here, SystemTime::now(), false, "base").await.expect("told");
    assert_eq!((removed.sandbox.as_str(), removed.fate), (here.cluster.spec.name.as_str(), Fate::Removed));
    assert_eq!(things(&here.docker), before);
    assert_eq!(swept(&here, SystemTime::now(), false, "base").await, None);
    assert!(!here.host.state.path().join("snapshot.base.lock").exists());
}

#[tokio::test]
async fn half_a_snapshot_stays_while_a_run_may_still_be_at_it() {
    let here = OnNode::start().await;
    killed_save(&here, "base").await;
    end_copy(&here, "sandbox-snapshot-base.copy");
    let half = things(&here.docker);
    {
        let _held = here.host.state.snapshot("base").lock("snapshot save").expect("free");
        let left = swept(&here, SystemTime::now(), false, "base").await.expect("told");
        assert_eq!(left.fate, Fate::Left, "{left:?}");
        assert!(left.why.contains("sandbox snapshot save"), "{left:?}");
    }
    // Of another state folder: who knows whether that run lives?
    std::fs::remove_file(here.host.state.path().join("snapshot.base.lock")).expect("there");
    let made = json!(humantime::format_rfc3339_seconds(SystemTime::now()).to_string());
    let of_now = |volume: &mut Value| volume["CreatedAt"] = made.clone();
    here.docker.world().volumes.iter_mut().for_each(of_now);
    assert_eq!(swept(&here, SystemTime::now(), false, "base").await.expect("told").fate, Fate::Left);
    assert_eq!(things(&here.docker), half);
    assert_eq!(swept(&here, SystemTime::now() + HOUR, false, "base").await.expect("told").fate, Fate::Removed);
}

#[tokio::test]
async fn half_a_snapshot_goes_with_the_next_start_and_the_end_of_its_sandbox() {
    let here = OnNode::start().await;
    let name = here.cluster.spec.name.clone();
    let before = things(&here.docker);
    killed_save(&here, "base").await;
    here.docker.world().containers[0]["State"] = json!("running");
    start(&name, &here.host, &run().0).await.expect("it runs");
    assert_eq!(things(&here.docker), before);

    killed_save(&here, "base").await;
    assert_eq!(here.docker.world().containers[0]["State"], "paused");
    // The rest of `start` wants more than this daemon has.
    let thawed = async {
        while here.docker.world().containers[0]["State"] != "running" {
            tokio::task::yield_now().await;
        }
    };
    let (alone, _events) = run();
    tokio::select! {
        _ = start(&name, &here.host, &alone) => {}
        () = thawed => {}
    }
    assert_eq!(here.docker.world().containers[0]["State"], "running");
    assert_eq!(things(&here.docker), before);

    save_snapshot(&name, "whole", &here.host, &run().0).await.expect("saved");
    killed_save(&here, "base").await;
    down(&name, None, Data::Removed, &here.host, &run().0).await.expect("gone");
    assert_eq!(things(&here.docker), ["sandbox-snapshot-whole", "sandbox-snapshot-whole.whole"]);
}

#[tokio::test]
async fn half_a_data_volume_goes_with_gc() {
    let here = OnNode::start().await;
    save_snapshot(&here.cluster.spec.name, "base", &here.host, &run().0).await.expect("saved");
    let before = things(&here.docker);
    let state = here.host.state.sandbox("c");
    for has_container in [true, false] {
        killed_fill(&here, "c").await;
        if !has_container {
            here.docker.world().containers.retain(|container| container["Names"][0] != "/k3d-c-fill");
        }
        state.write(&state.kubeconfig(), "").expect("written");
        let half = things(&here.docker);
        {
            let _held = state.lock("up").expect("free");
            assert_eq!(swept(&here, SystemTime::now(), false, "c").await.expect("told").fate, Fate::Left);
        }
        if has_container {
            assert_eq!(
                swept(&here, SystemTime::now(), false, "c").await.expect("told").fate,
                Fate::Left,
                "it is copied"
            );
            end_copy(&here, "k3d-c-fill");
        }
        assert_eq!(swept(&here, SystemTime::now(), true, "c").await.expect("told").fate, Fate::Due);
        assert_eq!(things(&here.docker), half);
        let removed = swept(&here, SystemTime::now(), false, "c").await.expect("told");
        assert_eq!((removed.sandbox.as_str(), removed.fate), ("c", Fate::Removed));
        assert_eq!(things(&here.docker), before);
        assert!(!state.path().exists());
    }
    assert_eq!(swept(&here, SystemTime::now(), false, "c").await, None);
}

#[tokio::test]
async fn half_a_copy_beside_the_data_that_it_is_of_goes_alone() {
    let here = OnNode::start().await;
    save_snapshot(&here.cluster.spec.name, "base", &here.host, &run().0).await.expect("saved");
    // As a `down --keep-data` of a sandbox on another cluster leaves it that is killed while it copies.
    let (taker, image) = (("sandbox.flyte/taken-by", "c"), ("sandbox.flyte/node-image", "rancher/k3s:v1.21.2-k3s1"));
    let docker = here.docker.connect().await;
    docker.create_volume("k3d-c-cluster", &[taker, image, ("k3d.cluster", "c-spare")]).await.expect("made");
    let before = things(&here.docker);
    killed_fill(&here, "c").await;
    end_copy(&here, "k3d-c-fill");
    let state = here.host.state.sandbox("c");
    drop(state.lock("down").expect("free"));
    let left = swept(&here, SystemTime::now(), false, "c").await.expect("told");
    assert_eq!(left.fate, Fate::Left, "{left:?}");
    assert_eq!(things(&here.docker), before);
}
