//! Sandboxes whose time is over, against a Docker daemon in memory.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use flyte_sandbox::cluster::{
    Data, Engine, delete, expire, expiries, forget_expiry, kept_data, make_data_volume, reconcile,
};
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::lifecycle::{Fate, Swept, gc};
use flyte_sandbox::plan::ClusterPlan;
use flyte_sandbox::site::Host;
use flyte_sandbox::state::StateRoot;
use serde_json::json;

use crate::support::docker::{FakeDocker, World, node, run, volume};

const HOUR: Duration = Duration::from_secs(3600);

/// A whole second: that is what a mark keeps.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + 500_000 * HOUR
}

fn host(folder: &std::path::Path, docker: &str) -> Host {
    let variables = [("DOCKER_HOST".to_owned(), docker.to_owned())];
    Host {
        home: None,
        variables: variables.into(),
        state: StateRoot::new(folder.join("state")),
        program: "none".into(),
        clients: Default::default(),
    }
}

fn volumes(fake: &FakeDocker) -> Vec<String> {
    fake.world().volumes.iter().filter_map(|volume| volume["Name"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_renewal_takes_the_place_of_what_was_said_before_for_this_sandbox_alone() {
    let fake = FakeDocker::start(World::default()).await;
    let docker = fake.connect().await;
    for (sandbox, at) in [("a", now() + HOUR), ("b", now()), ("a", now() + 2 * HOUR), ("a", now() + HOUR)] {
        expire(&docker, sandbox, at).await.expect("marked");
    }
    let both = BTreeMap::from([("a".to_owned(), now() + HOUR), ("b".to_owned(), now())]);
    assert_eq!(expiries(&docker).await.expect("read"), both);
    assert_eq!(volumes(&fake).len(), 2);
    forget_expiry(&docker, "a").await.expect("forgotten");
    assert_eq!(expiries(&docker).await.expect("read").into_keys().collect::<Vec<_>>(), ["b"]);
    delete(&docker, "b", Data::Removed).await.expect("removed");
    assert_eq!(volumes(&fake), Vec::<String>::new());
}

#[tokio::test]
async fn a_cluster_made_anew_keeps_its_limit_and_nothing_else_of_before() {
    let labels = json!({ "app": "k3d", "k3d.cluster": "flyte" });
    let left = volume("left-by-an-earlier-run", labels, "2026-01-01T00:00:00Z");
    let refused = [("network", "no".to_owned())].into();
    let fake = FakeDocker::start(World { volumes: vec![left], refused, ..World::default() }).await;
    let docker = fake.connect().await;
    expire(&docker, "flyte", now()).await.expect("marked");
    let plan = ClusterPlan {
        name: "flyte".into(),
        node_image: "rancher/k3s:v1.21.2-k3s1".parse().expect("image"),
        kubernetes: (1, 21),
        ports: vec![],
        api_port: Some(6550),
        network_policies: false,
        yields: false,
        store: None,
    };
    reconcile(&docker, &Engine::Docker, &plan, None, &run()).await.expect_err("it is not made");
    assert_eq!(expiries(&docker).await.expect("read").into_keys().collect::<Vec<_>>(), ["flyte"]);
    assert!(volumes(&fake).iter().all(|name| name != "left-by-an-earlier-run"), "{:?}", volumes(&fake));
}

#[tokio::test]
async fn what_is_over_is_removed_and_everything_else_is_left_and_named() {
    let network = |name: &str| json!({ "Name": name, "Id": name, "Labels": { "app": "k3d" } });
    let fake = FakeDocker::start(World {
        containers: vec![
            node("busy", Some("busy"), "running"),
            node("over", Some("over"), "running"),
            node("plain", Some("plain"), "running"),
            node("stuck", Some("stuck"), "exited"),
            node("theirs", None, "running"),
            node("unmarked", None, "running"),
            node("young", Some("young"), "running"),
        ],
        networks: vec![network("k3d-over"), network("k3d-stuck"), network("k3d-theirs")],
        stuck: ["k3d-stuck".to_owned()].into(),
        ..World::default()
    })
    .await;
    let docker = fake.connect().await;
    for (sandbox, at) in [
        ("busy", now() - HOUR),
        ("half-made", now() - HOUR),
        ("over", now() - HOUR),
        ("stuck", now() - HOUR),
        ("theirs", now() - HOUR),
        ("young", now() + HOUR),
    ] {
        expire(&docker, sandbox, at).await.expect("marked");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let outside = folder.path().join("precious");
    std::fs::create_dir(&outside).expect("a folder");
    let forged = json!({
        "app": "k3d", "sandbox.flyte/owner": "../precious", "sandbox.flyte/expires": "2001-01-01T00:00:00Z",
    });
    fake.world().volumes.push(volume("forged", forged, "2026-01-01T00:00:00Z"));

    let host = host(folder.path(), &fake.host);
    let over = host.state.sandbox("over");
    over.write(&over.kubeconfig(), "").expect("written");
    let _held = host.state.sandbox("busy").lock("up").expect("free");

    let things = || {
        let world = fake.world();
        (world.containers.len(), world.volumes.len())
    };
    let before = things();
    let dry = gc(&host, now(), true).await.expect("a list");
    let fates = |swept: &[Swept]| swept.iter().map(|one| (one.sandbox.clone(), one.fate)).collect::<BTreeMap<_, _>>();
    assert_eq!((fates(&dry.sandboxes)["over"], fates(&dry.sandboxes)["young"]), (Fate::Due, Fate::Left));
    assert_eq!(things(), before, "it was only to say so");

    let sweep = gc(&host, now(), false).await.expect("a sweep");
    let expected = [
        ("../precious", Fate::Left, "no sandbox has such a name".to_owned()),
        ("busy", Fate::Left, format!("`sandbox up` with pid {} holds it", std::process::id())),
        ("half-made", Fate::Removed, "its time has been over for 1h".to_owned()),
        ("over", Fate::Removed, "its time has been over for 1h".to_owned()),
        ("plain", Fate::Left, "it has no time limit (`up --ttl`)".to_owned()),
        ("stuck", Fate::Stuck, sweep.sandboxes[5].why.clone()),
        ("theirs", Fate::Left, "this cluster was not made by a sandbox, so it is left alone".to_owned()),
        ("young", Fate::Left, "its time is over in 1h".to_owned()),
    ];
    let expected =
        expected.map(|(sandbox, fate, why)| Swept { sandbox: sandbox.to_owned(), snapshot: None, fate, why });
    assert_eq!(sweep.sandboxes, expected);
    let failure = sweep.failure.expect("one is stuck");
    assert_eq!((failure.reason, failure.exit_code()), (Reason::Leftovers, 12));
    assert_eq!(failure.leftovers, ["network k3d-stuck"]);

    assert!(outside.exists() && !over.path().exists());
    let names: Vec<_> = fake.world().containers.iter().map(|container| container["Names"][0].clone()).collect();
    let kept = ["busy", "plain", "theirs", "unmarked", "young"];
    assert_eq!(names, kept.map(|name| format!("/k3d-{name}-server-0")));
    assert_eq!(
        expiries(&docker).await.expect("read").into_keys().collect::<Vec<_>>(),
        ["../precious", "busy", "theirs", "young"]
    );
    assert!(!host.state.path().join("theirs.lock").exists(), "a lock without a sandbox");
}

#[tokio::test]
async fn data_that_is_kept_is_named_and_left_and_goes_with_its_sandbox() {
    let fake =
        FakeDocker::start(World { containers: vec![node("lives", Some("lives"), "running")], ..World::default() })
            .await;
    let docker = fake.connect().await;
    let images = [("postgres".to_owned(), "postgres:10".to_owned())].into();
    for sandbox in ["kept", "lives"] {
        make_data_volume(&docker, sandbox, &images).await.expect("made");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let sweep = gc(&host(folder.path(), &fake.host), now(), false).await.expect("a sweep");
    let told: Vec<_> = sweep.sandboxes.iter().map(|one| (one.sandbox.as_str(), one.fate, one.why.as_str())).collect();
    assert_eq!(told[0], ("lives", Fate::Left, "it has no time limit (`up --ttl`)"));
    assert_eq!((told[1].0, told[1].1, told.len()), ("kept", Fate::Left, 2));
    assert!(told[1].2.ends_with("is kept: `up` takes it up, `down` removes it"), "{told:?}");
    let kept = kept_data(&docker).await.expect("a list");
    assert_eq!(kept.iter().find(|one| one.sandbox == "kept").expect("it is there").images, images);

    let removed = delete(&docker, "lives", Data::Kept).await.expect("removed");
    assert_eq!((removed.containers.len(), removed.volumes.len()), (1, 0));
    assert_eq!(volumes(&fake), ["k3d-kept-data", "k3d-lives-data"]);
    assert_eq!(delete(&docker, "kept", Data::Removed).await.expect("removed").volumes, ["k3d-kept-data"]);
}

#[tokio::test]
async fn a_volume_of_somebody_elses_is_not_taken_for_a_sandboxs_data() {
    let theirs = volume("k3d-flyte-data", json!({}), "2026-01-01T00:00:00Z");
    let fake = FakeDocker::start(World { volumes: vec![theirs], ..World::default() }).await;
    let refused = make_data_volume(&fake.connect().await, "flyte", &BTreeMap::new()).await.expect_err("it is theirs");
    let failure = Failure::from(refused);
    assert_eq!((failure.reason, failure.object.as_deref()), (Reason::NameTaken, Some("volume k3d-flyte-data")));
    assert_eq!(volumes(&fake), ["k3d-flyte-data"]);
}
