//! `gc` and a sandbox in which nothing runs, against a Docker daemon, a Kubernetes API and a database in memory.

use std::path::Path;
use std::time::{Duration, SystemTime};

use flyte_sandbox::kubernetes::{client, find_within, save};
use flyte_sandbox::lifecycle::{Fate, Swept, gc, stop, up};
use flyte_sandbox::site::{Halt, Host};
use flyte_sandbox::state::StateRoot;
use serde_json::json;

use crate::support::attached::{AttachedCluster, options, run};
use crate::support::docker::{FakeDocker, World, node_with_api};

const MINUTE: Duration = Duration::from_secs(60);

/// A cluster that a sandbox was brought up on, whose spec says to freeze it after half an hour.
async fn cluster() -> AttachedCluster {
    let cluster = AttachedCluster::start().await;
    let (run, _events) = run();
    up(cluster.request(), &cluster.host, options(), &run).await.expect("brought up");
    let (namespace, client) = (cluster.spec.system_namespace(), client(&cluster.api.kubeconfig()).expect("a client"));
    let mut inventory = find_within(&client, &namespace).await.expect("readable").expect("kept");
    inventory.spec.idle = Some("30m".to_owned());
    save(&client, &namespace, &inventory, &run).await.expect("kept");
    cluster.own();
    cluster.allow_commands();
    cluster
}

/// A machine with this Docker, whose state is in this folder.
fn host_of(docker: &FakeDocker, state: &Path) -> Host {
    Host {
        home: None,
        variables: [("DOCKER_HOST".to_owned(), docker.host.clone())].into(),
        state: StateRoot::new(state.to_owned()),
        program: "none".into(),
        clients: Default::default(),
    }
}

#[tokio::test]
async fn a_sandbox_in_which_nothing_has_run_for_its_limit_is_frozen() {
    let cluster = cluster().await;
    let sandbox = cluster.spec.name.as_str();
    let now = SystemTime::UNIX_EPOCH + 500_000 * MINUTE;
    let port = cluster.port();
    for (what, unfinished, changed, started, dry, fate, why) in [
        ("idle, to be told only", 0, 40, 90, true, Fate::Idle, "nothing has run in it for 40m"),
        ("idle", 0, 40, 90, false, Fate::Frozen, "nothing has run in it for 40m"),
        (
            "started, and nothing has run yet",
            0,
            40,
            5,
            false,
            Fate::Left,
            "nothing has run in it for 5m; 30m is its limit",
        ),
        ("something ran", 0, 10, 90, false, Fate::Left, "nothing has run in it for 10m; 30m is its limit"),
        ("something runs", 2, 40, 90, false, Fate::Left, "2 executions run in it"),
    ] {
        let ago = |minutes: u32| now - minutes * MINUTE;
        cluster.in_database(|database| {
            let since_1970 = ago(changed).duration_since(SystemTime::UNIX_EPOCH).expect("later");
            (database.unfinished, database.last_change) = (unfinished, since_1970.as_secs());
        });
        let (mut container, kubeconfig) = node_with_api(sandbox, port);
        container["StartedAt"] = json!(humantime::format_rfc3339(ago(started)).to_string());
        let world = World { containers: vec![container], files: [kubeconfig].into(), ..World::default() };
        let docker = FakeDocker::start(world).await;
        let folder = tempfile::tempdir().expect("a folder");
        let host = host_of(&docker, folder.path());
        let state = host.state.sandbox(sandbox);
        state.write(&state.kubeconfig(), "").expect("written");
        let sweep = gc(&host, now, dry).await.expect("a sweep");
        let swept = Swept { sandbox: sandbox.to_owned(), snapshot: None, fate, why: why.to_owned() };
        assert_eq!((sweep.sandboxes, sweep.failure), (vec![swept], None), "{what}");
        let node = if fate == Fate::Frozen { "paused" } else { "running" };
        assert_eq!(docker.world().containers[0]["State"], node, "{what}");
    }
}

#[tokio::test]
async fn a_sandbox_that_is_frozen_is_not_said_not_to_run() {
    let (container, kubeconfig) = node_with_api("flyte", 1);
    let world = World { containers: vec![container], files: [kubeconfig].into(), ..World::default() };
    let docker = FakeDocker::start(world).await;
    let folder = tempfile::tempdir().expect("a folder");
    let host = host_of(&docker, folder.path());
    for summary in [
        "sandbox flyte is frozen; `sandbox start` brings it back",
        "sandbox flyte is frozen already; `sandbox start` brings it back",
    ] {
        let (run, _events) = run();
        assert_eq!(stop("flyte", Halt::Freeze, &host, &run).await.expect("frozen").summary, summary);
    }
}
