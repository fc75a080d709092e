//! Volumes that are not there, or are others, where a container mounts them: Docker makes an empty one without labels where
//! it creates the container. Against a Docker daemon, a Kubernetes API and a database in memory.

use std::collections::BTreeMap;

use flyte_sandbox::cluster::{Data, Engine, delete, make_data_volume, reconcile};
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::lifecycle::{save_snapshot, snapshots, start};
use flyte_sandbox::plan::ClusterPlan;
use serde_json::json;

use crate::support::attached::run;
use crate::support::docker::{FakeDocker, World, volume};
use crate::support::on_node::OnNode;

fn volumes(docker: &FakeDocker) -> Vec<String> {
    docker.world().volumes.iter().filter_map(|volume| volume["Name"].as_str().map(str::to_owned)).collect()
}

fn plan(store: Option<&str>) -> ClusterPlan {
    ClusterPlan {
        name: "flyte".into(),
        node_image: "rancher/k3s:v1.21.2-k3s1".parse().expect("image"),
        kubernetes: (1, 21),
        ports: vec![],
        api_port: Some(6550),
        network_policies: false,
        yields: false,
        store: store.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_stopped_node_does_not_start_without_its_data_or_on_other_data() {
    let here = OnNode::start().await;
    let name = here.cluster.spec.name.clone();
    let data = format!("k3d-{name}-data");
    here.docker.world().containers[0]["State"] = json!("exited");
    let theirs = volume(&data, json!({}), "2026-01-01T00:00:00Z");
    // What Docker tells of a volume whose folder is gone.
    let without_files = volume(&data, here.docker.world().volumes[0]["Labels"].clone(), "0001-01-01T00:00:00Z");
    for (what, there) in [("gone", None), ("another", Some(theirs)), ("without files", Some(without_files))] {
        here.docker.world().volumes = there.into_iter().collect();
        let before = volumes(&here.docker);
        let failure = start(&name, &here.host, &run().0).await.expect_err(what);
        assert_eq!(failure.object, Some(format!("volume {data}")), "{what}: {failure:?}");
        let removes = format!("`sandbox down --name {name}`");
        assert!(failure.hints.iter().any(|hint| hint.contains(&removes)), "{what}: {failure:?}");
        assert_eq!(here.docker.world().containers[0]["State"], "exited", "{what}");
        assert_eq!(volumes(&here.docker), before, "{what}");
    }
}

#[tokio::test]
async fn a_stopped_node_that_lacks_another_volume_is_made_anew_with_its_data() {
    let here = OnNode::start().await;
    let name = here.cluster.spec.name.clone();
    {
        let mut world = here.docker.world();
        world.containers[0]["State"] = json!("exited");
        let mounts = world.containers[0]["Mounts"].as_array_mut().expect("mounts");
        mounts.push(json!({ "Type": "volume", "Name": "sandbox-store-1-0", "Destination": "/images" }));
    }
    let failure = start(&name, &here.host, &run().0).await.expect_err("it is gone");
    assert_eq!(failure.object.as_deref(), Some("volume sandbox-store-1-0"), "{failure:?}");
    assert!(failure.hints.iter().any(|hint| hint.contains("down --keep-data")), "{failure:?}");
}

#[tokio::test]
async fn a_volume_that_docker_made_anew_for_a_node_is_told_and_goes() {
    for (is_there, store, object) in
        [(false, None, "volume k3d-flyte-data"), (true, Some("sandbox-store-1-0"), "volume sandbox-store-1-0")]
    {
        let images = [("rancher/k3s:v1.21.2-k3s1".to_owned(), "sha256:1".to_owned())].into();
        let fake = FakeDocker::start(World { images, ..World::default() }).await;
        let docker = fake.connect().await;
        if is_there {
            make_data_volume(&docker, "flyte", &BTreeMap::new()).await.expect("made");
        }
        let made = reconcile(&docker, &Engine::Docker, &plan(store), None, &run().0).await;
        let failure = Failure::from(made.expect_err(object));
        assert_eq!(failure.object.as_deref(), Some(object), "{failure:?}");
        delete(&docker, "flyte", Data::Removed).await.expect("gone");
        assert_eq!(volumes(&fake), Vec::<String>::new(), "{object}");
    }
}

#[tokio::test]
async fn a_volume_without_labels_that_a_node_mounts_goes_with_its_sandbox() {
    let here = OnNode::start().await;
    let name = here.cluster.spec.name.clone();
    // As an earlier version of this program had Docker make it.
    here.docker.world().volumes = vec![volume(&format!("k3d-{name}-data"), json!({}), "2026-01-01T00:00:00Z")];
    let removed = delete(&here.docker.connect().await, &name, Data::Removed).await.expect("gone");
    assert_eq!(removed.volumes, [format!("k3d-{name}-data")]);
    assert_eq!(volumes(&here.docker), Vec::<String>::new());
}

#[tokio::test]
async fn a_node_without_a_data_volume_has_no_snapshot_that_is_empty() {
    let here = OnNode::start().await;
    let name = here.cluster.spec.name.clone();
    {
        let mut world = here.docker.world();
        world.volumes.clear();
        world.containers[0]["Mounts"] = json!([]);
    }
    let failure = save_snapshot(&name, "base", &here.host, &run().0).await.expect_err("no data");
    assert_eq!(failure.object, Some(format!("volume k3d-{name}-data")), "{failure:?}");
    assert_eq!(volumes(&here.docker), Vec::<String>::new());
    assert_eq!(here.docker.world().containers[0]["State"], "running");
}

#[tokio::test]
async fn a_volume_of_a_snapshots_name_that_is_none_is_not_taken_for_one() {
    let here = OnNode::start().await;
    // As an `up --from` leaves it that was killed after its snapshot was removed.
    let labels = json!({ "k3d.cluster": "c", "sandbox.flyte/owner": "c" });
    here.docker.world().volumes.push(volume("sandbox-snapshot-base", labels, "2026-01-01T00:00:00Z"));
    let before = volumes(&here.docker);
    let failure = save_snapshot(&here.cluster.spec.name, "base", &here.host, &run().0).await.expect_err("taken");
    assert_eq!(failure.reason, Reason::NameTaken, "{failure:?}");
    assert_eq!(failure.object.as_deref(), Some("volume sandbox-snapshot-base"));
    assert_eq!(volumes(&here.docker), before);
    assert_eq!(snapshots(&here.host).await.expect("listed").len(), 0);
}
