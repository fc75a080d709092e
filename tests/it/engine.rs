//! The engine `docker` against a daemon in memory, and which engine is taken.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flyte_sandbox::cluster::{Data, Engine, delete, make_data_volume, reconcile};
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::plan::{ClusterPlan, PortMapping};
use flyte_sandbox::spec::NodeEngine;

use crate::support::docker::{FakeDocker, World, run};

const NODE: &str = "k3d-flyte-server-0";

fn plan() -> ClusterPlan {
    ClusterPlan {
        name: "flyte".into(),
        node_image: "rancher/k3s:v1.21.2-k3s1".parse().expect("image"),
        kubernetes: (1, 21),
        ports: vec![PortMapping { host: 31084, node: 30084, purpose: "minio".into() }],
        api_port: Some(6550),
        network_policies: false,
        yields: false,
        store: None,
    }
}

/// A daemon that has the node's image.
fn with_image() -> World {
    World { images: [("rancher/k3s:v1.21.2-k3s1".to_owned(), "sha256:1".to_owned())].into(), ..World::default() }
}

/// What becomes of the cluster on this daemon, which does not bring it up.
async fn made_on(fake: &FakeDocker) -> Failure {
    let docker = fake.connect().await;
    make_data_volume(&docker, "flyte", &BTreeMap::new()).await.expect("made");
    let failure =
        Failure::from(reconcile(&docker, &Engine::Docker, &plan(), None, &run()).await.expect_err("no cluster"));
    let left = || {
        let world = fake.world();
        world.containers.len() + world.networks.len() + world.volumes.len()
    };
    let before = left();
    let removed = delete(&docker, "flyte", Data::Removed).await.expect("removed");
    assert_eq!(removed.containers.len() + removed.networks.len() + removed.volumes.len(), before);
    assert_eq!(left(), 0, "{failure}");
    failure
}

#[tokio::test]
async fn the_node_is_found_by_its_labels_and_watched_from_its_start() {
    let log = "time=\"t\" level=fatal msg=\"no cgroup\"\n";
    let fake = FakeDocker::start(World {
        started: Some("restarting".to_owned()),
        logs: [(NODE.to_owned(), log.to_owned())].into(),
        ..with_image()
    })
    .await;
    let docker = fake.connect().await;
    make_data_volume(&docker, "flyte", &BTreeMap::new()).await.expect("made");
    let failure =
        Failure::from(reconcile(&docker, &Engine::Docker, &plan(), None, &run()).await.expect_err("a crash loop"));
    assert_eq!((failure.reason, failure.causes.last().map(String::as_str)), (Reason::NodeCrash, Some("no cgroup")));
    let removed = delete(&docker, "flyte", Data::Removed).await.expect("removed");
    assert_eq!(removed.containers, [NODE]);
    assert_eq!(
        (removed.networks, removed.volumes),
        (vec!["k3d-flyte".into()], ["k3d-flyte-data", "k3d-flyte-images"].map(str::to_owned).into())
    );
}

#[tokio::test]
async fn a_port_that_is_taken_by_the_start_is_told_by_its_number() {
    let words = "driver failed programming external connectivity on endpoint k3d-flyte-server-0 (1f): \
        Bind for 127.0.0.1:31084 failed: port is already allocated";
    let fake = FakeDocker::start(World { refused: [("start", words.to_owned())].into(), ..with_image() }).await;
    let failure = made_on(&fake).await;
    assert_eq!((failure.reason, failure.object.as_deref()), (Reason::PortTaken, Some("port 31084 (minio)")));
    assert!(failure.next_steps()[0].contains("sandbox doctor"), "{:?}", failure.next_steps());
}

#[tokio::test]
async fn an_api_that_may_have_any_port_gets_another_where_the_daemon_knows_better() {
    for (api_taken, asked_for, reason) in
        [(2, None, Reason::NodeCrash), (3, None, Reason::PortTaken), (1, Some(6550), Reason::PortTaken)]
    {
        let fake = FakeDocker::start(World {
            api_taken,
            started: Some("restarting".to_owned()),
            logs: [(NODE.to_owned(), "time=\"t\" level=fatal msg=\"no cgroup\"\n".to_owned())].into(),
            ..with_image()
        })
        .await;
        let docker = fake.connect().await;
        make_data_volume(&docker, "flyte", &BTreeMap::new()).await.expect("made");
        let plan = ClusterPlan { api_port: asked_for, ..plan() };
        let failed = reconcile(&docker, &Engine::Docker, &plan, None, &run()).await.expect_err("no cluster");
        assert_eq!(Failure::from(failed).reason, reason, "{api_taken} taken");
    }
}

#[tokio::test]
async fn an_image_that_is_not_here_is_not_pulled_behind_anybodys_back() {
    let registry = [("docker.io/rancher/k3s:v1.21.2-k3s1".to_owned(), "sha256:1".to_owned())].into();
    let fake = FakeDocker::start(World { registry, ..World::default() }).await;
    let failure = made_on(&fake).await;
    assert_eq!(failure.reason, Reason::ImagesMissing);
    assert!(failure.causes[0].contains("No such image: rancher/k3s:v1.21.2-k3s1"), "{failure}");
    assert!(fake.world().images.is_empty());
}

#[tokio::test]
async fn a_daemon_without_subnets_is_told_as_that() {
    let words = "could not find an available, non-overlapping IPv4 address pool among the defaults";
    let fake = FakeDocker::start(World { refused: [("network", words.to_owned())].into(), ..with_image() }).await;
    let failure = made_on(&fake).await;
    assert_eq!((failure.reason, failure.object.as_deref()), (Reason::SubnetsExhausted, Some("network k3d-flyte")));
}

/// The engine for a `PATH` of this folder alone, as it is shown.
async fn found(folder: &Path, wanted: Option<NodeEngine>) -> Result<String, Reason> {
    let env = BTreeMap::from([("PATH".to_owned(), folder.display().to_string())]);
    let found = Engine::find(wanted, &env, "unix:///none", folder, &run()).await;
    found.map(|engine| engine.to_string()).map_err(|error| {
        let failure = Failure::from(error);
        assert!(failure.hints.iter().any(|hint| hint.contains("--engine docker")), "{failure:?}");
        failure.reason
    })
}

#[tokio::test]
async fn k3d_is_taken_where_it_is_and_docker_where_it_is_not_or_is_asked_for() {
    let with = |says: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("k3d");
        std::fs::write(&path, format!("#!/bin/sh\necho 'k3d version {says}'\n")).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a program");
        folder
    };
    let (none, new, old) = (tempfile::tempdir().expect("a folder"), with("v5.9.0"), with("v3.0.0"));
    let (k3d, docker) = (Some(NodeEngine::K3d), Some(NodeEngine::Docker));
    for (folder, wanted, expected) in [
        (&none, None, Ok("Docker")),
        (&none, docker, Ok("Docker")),
        (&none, k3d, Err(Reason::K3dAbsent)),
        (&new, None, Ok("k3d v5.9.0")),
        (&new, k3d, Ok("k3d v5.9.0")),
        (&new, docker, Ok("Docker")),
        (&old, None, Err(Reason::K3dUnusable)),
        (&old, docker, Ok("Docker")),
    ] {
        let found = found(folder.path(), wanted).await;
        assert_eq!(found.as_deref().map_err(|reason| *reason), expected, "{wanted:?}");
    }
}
