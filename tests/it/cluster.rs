//! The cluster against a Docker daemon in memory and a k3d that is a script.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use flyte_sandbox::cluster::{Data, Engine, K3d, NodeState, delete, owned, reconcile, state, wait_for_dns, watch_node};
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::plan::ClusterPlan;
use flyte_sandbox::rehearsal::{Answer, ApiServer};
use flyte_sandbox::run::{Deadline, Run};
use serde_json::json;

use crate::support::docker::{FakeDocker, World, node, run, volume};
use crate::support::wait::until;

fn plan() -> ClusterPlan {
    ClusterPlan {
        name: "flyte".into(),
        node_image: "rancher/k3s:v1.21.2-k3s1".parse().expect("image"),
        kubernetes: (1, 21),
        ports: vec![],
        api_port: Some(6550),
        network_policies: false,
        yields: false,
        store: None,
    }
}

/// A directory with a `k3d` that says it is 5.9.0 and answers `cluster create` with this shell text.
fn fake_k3d(create: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("k3d");
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in version) echo 'k3d version v5.9.0';; *) printf '%s\\n' \"$@\" >{0}/argv; env >{0}/env; {create};; esac\n",
        dir.path().display()
    );
    std::fs::write(&path, script).expect("write");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    dir
}

async fn find(dir: &Path, host: &str) -> Engine {
    let env = BTreeMap::from([
        ("PATH".to_owned(), format!("{}:/usr/bin:/bin", dir.display())),
        ("K3D_TOKEN".to_owned(), "the user's".to_owned()),
    ]);
    Engine::K3d(K3d::find(&env, host, dir, &run()).await.expect("a usable k3d"))
}

fn own_cluster() -> World {
    World {
        containers: vec![
            node("flyte", Some("flyte"), "running"),
            json!({ "Names": ["/k3d-flyte-tools"], "Labels": { "k3d.cluster": "flyte" }, "State": "running" }),
            node("other", Some("other"), "running"),
        ],
        volumes: vec![
            volume("k3d-flyte-images", json!({ "app": "k3d", "k3d.cluster": "flyte" }), "2026-01-01T00:00:00Z"),
            volume("sandbox-store-1-0", json!({ "sandbox.flyte/store": "1" }), "2026-01-01T00:00:00Z"),
        ],
        networks: vec![
            json!({ "Name": "k3d-flyte", "Id": "n1", "Labels": { "app": "k3d" } }),
            json!({ "Name": "k3d-flyte-2", "Id": "n2", "Labels": { "app": "k3d" } }),
        ],
        ..World::default()
    }
}

#[tokio::test]
async fn removing_takes_all_that_is_ours_and_nothing_else() {
    let fake = FakeDocker::start(own_cluster()).await;
    let docker = fake.connect().await;
    let removed = delete(&docker, "flyte", Data::Removed).await.expect("removed");
    assert_eq!(removed.containers, ["k3d-flyte-server-0", "k3d-flyte-tools"]);
    assert_eq!(
        (removed.networks, removed.volumes),
        (vec!["k3d-flyte".to_owned()], vec!["k3d-flyte-images".to_owned()])
    );
    assert_eq!(owned(&docker).await.expect("list"), ["other"]);
    let world = fake.world();
    assert_eq!(world.volumes[0]["Name"], "sandbox-store-1-0");
    assert_eq!(world.networks[0]["Name"], "k3d-flyte-2");
}

/// Docker up to 24 lets two networks have one name: two runs that created theirs at the same moment.
#[tokio::test]
async fn two_networks_of_the_clusters_name_are_both_removed() {
    let network = |id: &str| json!({ "Name": "k3d-flyte", "Id": id, "Labels": { "app": "k3d" } });
    let fake = FakeDocker::start(World { networks: vec![network("n1"), network("n2")], ..World::default() }).await;
    let removed = delete(&fake.connect().await, "flyte", Data::Removed).await.expect("removed");
    assert_eq!(removed.networks, ["k3d-flyte", "k3d-flyte"]);
    assert!(fake.world().networks.is_empty());
}

#[tokio::test]
async fn a_daemon_that_cannot_answer_for_a_moment_does_not_end_the_watch_of_a_node() {
    let fake = FakeDocker::start(World {
        containers: vec![node("flyte", Some("flyte"), "exited")],
        inspections_refused: 3,
        ..World::default()
    })
    .await;
    let failure = Failure::from(watch_node(&fake.connect().await, "flyte").await);
    assert_eq!((failure.reason, fake.world().inspections_refused), (Reason::NodeCrash, 0), "{failure}");
}

#[tokio::test]
async fn a_daemon_that_goes_on_refusing_ends_the_watch_of_a_node() {
    let fake = FakeDocker::start(World { inspections_refused: usize::MAX, ..World::default() }).await;
    let docker = fake.connect().await;
    let error = tokio::time::timeout(Duration::from_secs(60), watch_node(&docker, "flyte")).await.expect("an end");
    assert_eq!(Failure::from(error).causes, ["the daemon is starting (status 503)"]);
}

#[tokio::test]
async fn removing_nothing_is_a_success() {
    let fake = FakeDocker::start(World::default()).await;
    assert!(delete(&fake.connect().await, "flyte", Data::Removed).await.expect("success").is_empty());
}

#[tokio::test]
async fn what_cannot_be_removed_is_named_with_the_reason() {
    let fake = FakeDocker::start(World { stuck: ["k3d-flyte".to_owned()].into(), ..own_cluster() }).await;
    let failure = Failure::from(delete(&fake.connect().await, "flyte", Data::Removed).await.expect_err("a leftover"));
    assert_eq!((failure.reason, failure.object.as_deref()), (Reason::Leftovers, Some("network k3d-flyte")));
    assert!(failure.causes[0].contains("it is in use"), "{failure}");
}

/// A k3d that is ended while Docker makes its network.
#[tokio::test]
async fn a_network_that_is_still_being_made_is_removed_when_it_is_there() {
    let fake = FakeDocker::start(World { coming: [("k3d-flyte".to_owned(), 2)].into(), ..own_cluster() }).await;
    let removed = delete(&fake.connect().await, "flyte", Data::Removed).await.expect("removed");
    assert_eq!(removed.networks, ["k3d-flyte"]);
    assert_eq!(fake.world().networks.len(), 1);
}

/// A run that was stopped twice leaves at once, and Docker finishes what it was asked for.
#[tokio::test]
async fn a_network_that_an_earlier_run_has_begun_to_remove_is_waited_for() {
    let fake = FakeDocker::start(World { leaving: [("k3d-flyte".to_owned(), 4)].into(), ..own_cluster() }).await;
    let removed = delete(&fake.connect().await, "flyte", Data::Removed).await.expect("removed");
    assert_eq!(removed.networks, ["k3d-flyte"]);
    assert_eq!(fake.world().networks.len(), 1);
}

#[tokio::test]
async fn somebody_elses_cluster_of_the_name_is_left_alone() {
    let fake = FakeDocker::start(World { containers: vec![node("flyte", None, "running")], ..World::default() }).await;
    let docker = fake.connect().await;
    assert_eq!(state(&docker, "flyte").await.expect("state"), NodeState::Foreign);
    assert_eq!(
        Failure::from(delete(&docker, "flyte", Data::Removed).await.expect_err("refused")).reason,
        Reason::NotFound
    );
    assert_eq!(fake.world().containers.len(), 1);
    let dir = fake_k3d("exit 0");
    let k3d = find(dir.path(), &fake.host).await;
    assert_eq!(
        Failure::from(reconcile(&docker, &k3d, &plan(), None, &run()).await.expect_err("refused")).reason,
        Reason::NameTaken
    );
    assert!(!dir.path().join("argv").exists(), "k3d was asked to create something");
}

#[tokio::test]
async fn states_of_our_node_are_told_apart() {
    for (word, expected) in [
        ("running", NodeState::Running),
        ("created", NodeState::Unstarted),
        ("exited", NodeState::Stopped),
        ("restarting", NodeState::Restarting { restarts: 0, exit_code: 1 }),
    ] {
        let world = World { containers: vec![node("flyte", Some("flyte"), word)], ..World::default() };
        let fake = FakeDocker::start(world).await;
        assert_eq!(state(&fake.connect().await, "flyte").await.expect("state"), expected);
    }
}

#[tokio::test]
async fn a_k3d_that_fails_is_told_with_its_own_error_after_leftovers_were_cleared_away() {
    let orphan = json!({ "Name": "k3d-flyte", "Id": "n1", "Labels": { "app": "k3d" } });
    let fake = FakeDocker::start(World { networks: vec![orphan], ..World::default() }).await;
    let dir = fake_k3d(
        r#"echo 'time="t" level=error msg="Failed: no room"' >&2; echo 'time="t" level=fatal msg="FAILED"' >&2; exit 1"#,
    );
    let k3d = find(dir.path(), &fake.host).await;
    let failure =
        Failure::from(reconcile(&fake.connect().await, &k3d, &plan(), None, &run()).await.expect_err("k3d failed"));
    assert_eq!((failure.reason, failure.causes), (Reason::K3d, vec!["Failed: no room".to_owned()]));
    assert!(fake.world().networks.is_empty());
    let env = std::fs::read_to_string(dir.path().join("env")).expect("env");
    assert!(env.contains(&format!("DOCKER_HOST={}", fake.host)) && !env.contains("K3D_TOKEN"), "{env}");
}

#[tokio::test]
async fn a_k3d_whose_words_are_known_is_told_by_what_they_mean() {
    const BIND: &str = "driver failed programming external connectivity on endpoint k3d-x-server-0 (55a2): Bind for 127.0.0.1:30081 failed: port is already allocated";
    const POOL: &str =
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network";
    for (words, reason) in
        [(BIND, Reason::PortTaken), (POOL, Reason::SubnetsExhausted), ("something nobody has seen", Reason::K3d)]
    {
        let fake = FakeDocker::start(World::default()).await;
        let dir = fake_k3d(&format!(r#"echo 'time="t" level=error msg="Failed Cluster Start: {words}"' >&2; exit 1"#));
        let k3d = find(dir.path(), &fake.host).await;
        let failure =
            Failure::from(reconcile(&fake.connect().await, &k3d, &plan(), None, &run()).await.expect_err("k3d failed"));
        assert_eq!((failure.reason, failure.causes), (reason, vec![format!("Failed Cluster Start: {words}")]));
    }
}

#[tokio::test]
async fn a_k3d_that_does_not_end_is_given_up_and_so_is_one_that_does_not_tell_its_version() {
    let fake = FakeDocker::start(World::default()).await;
    let dir = fake_k3d("sleep 60");
    let k3d = find(dir.path(), &fake.host).await;
    let soon = Run { deadline: Deadline::after(Duration::from_secs(1)), ..run() };
    let failure =
        Failure::from(reconcile(&fake.connect().await, &k3d, &plan(), None, &soon).await.expect_err("it hangs"));
    assert_eq!(failure.reason, Reason::K3dTimeout);
    assert_eq!(failure.causes.last().map(String::as_str), Some("timed out after 1s (`--timeout`)"));

    std::fs::write(dir.path().join("k3d"), "#!/bin/sh\nsleep 60\n").expect("write");
    let env = BTreeMap::from([("PATH".to_owned(), format!("{}:/usr/bin:/bin", dir.path().display()))]);
    let failure = Failure::from(K3d::find(&env, &fake.host, dir.path(), &run()).await.expect_err("no version"));
    assert_eq!(
        (failure.reason, failure.object),
        (Reason::K3dUnusable, Some(dir.path().join("k3d").display().to_string()))
    );
}

#[tokio::test]
async fn a_k3d_that_says_success_without_a_node_is_not_believed() {
    let fake = FakeDocker::start(World::default()).await;
    let dir = fake_k3d("exit 0");
    let k3d = find(dir.path(), &fake.host).await;
    let failure =
        Failure::from(reconcile(&fake.connect().await, &k3d, &plan(), None, &run()).await.expect_err("no node"));
    assert_eq!((failure.reason, failure.object.as_deref()), (Reason::K3dNoNode, Some("container k3d-flyte-server-0")));
}

#[tokio::test]
async fn a_node_that_loops_is_told_with_the_cause_from_its_log() {
    let log = "time=\"t\" level=info msg=\"Starting k3s\"\ntime=\"t\" level=fatal msg=\"no cgroup\"\n";
    let fake = FakeDocker::start(World {
        containers: vec![node("flyte", Some("flyte"), "restarting")],
        logs: [("k3d-flyte-server-0".to_owned(), log.to_owned())].into(),
        ..World::default()
    })
    .await;
    let dir = fake_k3d("exit 0");
    let k3d = find(dir.path(), &fake.host).await;
    let failure =
        Failure::from(reconcile(&fake.connect().await, &k3d, &plan(), None, &run()).await.expect_err("a crash loop"));
    assert_eq!(failure.reason, Reason::NodeCrash);
    assert_eq!(failure.causes, ["k3s ended with exit code 1", "no cgroup"]);
}

#[tokio::test]
async fn an_interrupt_ends_k3d_at_once() {
    let fake = FakeDocker::start(World::default()).await;
    let dir = fake_k3d("sleep 60");
    let k3d = find(dir.path(), &fake.host).await;
    let run = run();
    let cancel = run.cancel.clone();
    let argv = dir.path().join("argv");
    tokio::spawn(async move {
        until("k3d is started", || argv.exists()).await;
        cancel.cancel();
    });
    let failure =
        Failure::from(reconcile(&fake.connect().await, &k3d, &plan(), None, &run).await.expect_err("interrupted"));
    assert_eq!(failure.reason, Reason::Interrupted);
}

/// The deadline ends a look that is under way, and not only the pause after it.
#[tokio::test]
async fn a_wait_for_dns_ends_at_its_deadline_in_the_middle_of_a_silent_request() {
    let api = ApiServer::start(21).await.expect("a free port");
    api.fail("/deployments", usize::MAX, Answer::Silence);
    let client = flyte_sandbox::kubernetes::client(&api.kubeconfig()).expect("a client");
    let run = Run { deadline: Deadline::after(Duration::from_millis(500)), ..run() };
    let failure = wait_for_dns(&client, &run).await.expect_err("no answer");
    assert_eq!(failure.causes, ["timed out after 500ms (`--timeout`)", "the API does not answer"]);
}
