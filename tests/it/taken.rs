//! A sandbox that took a spare, which is so on a cluster of another name: against a Docker daemon in memory. How it takes one
//! is in `spare.rs`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flyte_sandbox::cluster::{
    Data, cluster_of, expire, expiries, kept_data, make_data_volume, node as node_of, owned, publish_again,
    stop as stop_node, take, taken,
};
use flyte_sandbox::docker::Docker;
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::lifecycle::{Fate, Sweep, down, gc, stop};
use flyte_sandbox::plan::{ClusterPlan, PortMapping};
use flyte_sandbox::report::Outcome;
use flyte_sandbox::site::{self, Halt, Host, ListedSandbox, SandboxState, SpareRecord};
use flyte_sandbox::state::StateRoot;
use serde_json::json;
use tempfile::TempDir;

use crate::support::docker::{FakeDocker, World, node, run};

const HOUR: Duration = Duration::from_secs(3600);
const IMAGE: &str = "rancher/k3s:v1.21.2-k3s1";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + 500_000 * HOUR
}

/// The sandbox `flyte` on the cluster `flyte-spare`, beside one on a cluster of its own.
struct Here {
    fake: FakeDocker,
    docker: Docker,
    host: Host,
    _folder: TempDir,
}

fn plan(cluster: &str) -> ClusterPlan {
    ClusterPlan {
        name: cluster.into(),
        node_image: IMAGE.parse().expect("image"),
        kubernetes: (1, 21),
        ports: vec![PortMapping { host: 31084, node: 30084, purpose: "minio".into() }],
        api_port: Some(6550),
        network_policies: false,
        yields: false,
        store: None,
    }
}

fn host(folder: &Path, docker: &str) -> Host {
    Host {
        home: None,
        variables: [("DOCKER_HOST".to_owned(), docker.to_owned())].into(),
        state: StateRoot::new(folder.join("state")),
        program: "none".into(),
        clients: Default::default(),
    }
}

impl Here {
    async fn start() -> Self {
        let mut spare = node("flyte-spare", Some("flyte-spare"), "running");
        spare["Ports"] = json!([{ "IP": "127.0.0.1", "PrivatePort": 6443, "PublicPort": 40001, "Type": "tcp" }]);
        spare["HostConfig"] = json!({ "NetworkMode": "k3d-flyte-spare" });
        let world = World {
            containers: vec![node("other", Some("other"), "running"), spare],
            networks: vec![json!({ "Name": "k3d-flyte-spare", "Id": "n", "Labels": { "app": "k3d" } })],
            images: [(IMAGE.to_owned(), "sha256:node".to_owned())].into(),
            ..World::default()
        };
        let fake = FakeDocker::start(world).await;
        let docker = fake.connect().await;
        let images = [("postgres".to_owned(), "postgres:10".to_owned())].into();
        make_data_volume(&docker, "flyte-spare", &images).await.expect("made");
        fake.world().content.insert("k3d-flyte-spare-data".to_owned(), "rows".to_owned());
        take(&docker, "flyte", &plan("flyte-spare")).await.expect("taken");
        let folder = tempfile::tempdir().expect("a folder");
        let host = host(folder.path(), &fake.host);
        let state = host.state.sandbox("flyte");
        state.write(&state.kubeconfig(), "").expect("written");
        Self { fake, docker, host, _folder: folder }
    }

    fn names(&self) -> Vec<String> {
        let world = self.fake.world();
        world
            .containers
            .iter()
            .filter_map(|one| Some(one["Names"][0].as_str()?.trim_start_matches('/').to_owned()))
            .collect()
    }

    fn volumes(&self) -> Vec<String> {
        self.fake.world().volumes.iter().filter_map(|volume| volume["Name"].as_str().map(str::to_owned)).collect()
    }

    fn state_of(&self, container: &str) -> String {
        let world = self.fake.world();
        let found = world.containers.iter().find(|one| one["Names"][0] == format!("/{container}"));
        found.and_then(|one| one["State"].as_str()).unwrap_or("gone").to_owned()
    }

    async fn listed(&self) -> Vec<ListedSandbox> {
        let listing = site::list(&self.host, true).await.expect("a list");
        assert_eq!(listing.failure, None);
        listing.sandboxes
    }
}

const FORWARDER: &str = "k3d-flyte-ports";
const NODE: &str = "k3d-flyte-spare-server-0";

#[tokio::test]
async fn docker_says_which_cluster_a_sandbox_is_on() {
    let here = Here::start().await;
    let taken = taken(&here.docker).await.expect("a list");
    for (sandbox, cluster, by) in
        [("flyte", "flyte-spare", Some("flyte")), ("other", "other", None), ("none", "none", None)]
    {
        assert_eq!(cluster_of(&here.docker, sandbox).await.expect("an answer"), cluster);
        assert_eq!((taken.cluster_of(sandbox), taken.taker(cluster)), (cluster, by));
    }
    assert_eq!(taken.sandboxes().collect::<Vec<_>>(), ["flyte"]);
    assert_eq!(owned(&here.docker).await.expect("a list"), ["flyte", "other"]);
    expire(&here.docker, "flyte-spare", now()).await.expect("marked");
    assert_eq!(expiries(&here.docker).await.expect("read"), BTreeMap::from([("flyte".to_owned(), now())]));
    let ports = node_of(&here.docker, "flyte-spare").await.expect("an answer").expect("a node").ports;
    let ports: Vec<_> = ports.iter().map(|port| (port.container, port.host)).collect();
    assert_eq!(ports, [(6443, 6550), (30084, 31084)], "the API's port is the one that was asked for");
}

#[tokio::test]
async fn a_volume_of_that_name_that_no_sandbox_made_leads_nowhere_and_is_not_taken() {
    let here = Here::start().await;
    here.docker.create_volume("k3d-mine-cluster", &[("k3d.cluster", "other")]).await.expect("made");
    assert_eq!(cluster_of(&here.docker, "mine").await.expect("an answer"), "mine");
    let failure = Failure::from(take(&here.docker, "mine", &plan("other")).await.expect_err("somebody's"));
    assert_eq!((failure.reason, failure.object.as_deref()), (Reason::NameTaken, Some("volume k3d-mine-cluster")));
    assert_eq!(cluster_of(&here.docker, "mine").await.expect("an answer"), "mine");
}

#[tokio::test]
async fn a_forwarder_that_somebody_removed_is_made_again_and_nothing_is_lost() {
    let here = Here::start().await;
    here.docker.remove_container(FORWARDER).await.expect("removed");
    assert_eq!(cluster_of(&here.docker, "flyte").await.expect("an answer"), "flyte-spare");
    assert_eq!(owned(&here.docker).await.expect("a list"), ["flyte", "other"]);
    let listed = here.listed().await;
    let told: Vec<_> = listed.iter().map(|one| (one.name.as_str(), &one.state)).collect();
    assert_eq!(told, [("flyte", &SandboxState::Running), ("other", &SandboxState::Running)]);
    for _ in 0..2 {
        publish_again(&here.docker, "flyte", &plan("flyte-spare")).await.expect("published");
        assert_eq!(here.state_of(FORWARDER), "running");
    }
    here.docker.remove_container(FORWARDER).await.expect("removed");
    down("flyte", None, Data::Removed, &here.host, &run()).await.expect("gone");
    assert_eq!((here.names(), here.volumes()), (vec!["k3d-other-server-0".to_owned()], vec![]));
}

#[tokio::test]
async fn data_outlives_a_prune_of_the_containers_of_a_sandbox_that_is_stopped() {
    let here = Here::start().await;
    stop("flyte", Halt::Stop, &here.host, &run()).await.expect("stopped");
    for pruned in [NODE, FORWARDER] {
        here.docker.remove_container(pruned).await.expect("removed");
    }
    down("flyte", None, Data::Kept, &here.host, &run()).await.expect("gone");
    assert_eq!(
        (here.volumes(), here.fake.world().content["k3d-flyte-data"].clone()),
        (vec!["k3d-flyte-data".to_owned()], "rows".to_owned())
    );
}

#[tokio::test]
async fn the_mark_is_removed_after_all_that_it_is_for() {
    let here = Here::start().await;
    here.fake.world().stuck = ["k3d-flyte-spare".to_owned()].into();
    down("flyte", None, Data::Removed, &here.host, &run()).await.expect_err("the network stays");
    assert_eq!(cluster_of(&here.docker, "flyte").await.expect("an answer"), "flyte-spare");
    here.fake.world().stuck.clear();
    down("flyte", None, Data::Removed, &here.host, &run()).await.expect("gone");
    assert_eq!((here.names(), here.volumes()), (vec!["k3d-other-server-0".to_owned()], vec![]));
}

#[tokio::test]
async fn it_is_listed_once_with_its_ports_and_its_limit() {
    let here = Here::start().await;
    expire(&here.docker, "flyte-spare", now()).await.expect("marked");
    // What a run leaves that ends between the forwarder and the record of the spare.
    let record = SpareRecord { of: "flyte".to_owned(), key: "k".to_owned(), made: Some(1) };
    for is_left in [false, true] {
        if is_left {
            record.write(&here.host.state.sandbox("flyte-spare")).expect("written");
        }
        let listed = here.listed().await;
        let told: Vec<_> = listed.iter().map(|one| (one.name.as_str(), &one.state)).collect();
        assert_eq!(told, [("flyte", &SandboxState::Running), ("other", &SandboxState::Running)], "{is_left}");
        assert_eq!(listed[0].ports, BTreeMap::from([("api".to_owned(), 6550), ("minio".to_owned(), 31084)]));
        assert!(listed[0].expires.is_some() && listed[1].expires.is_none(), "{listed:?}");
    }
    here.fake.world().containers.iter_mut().find(|one| one["Names"][0] == format!("/{NODE}")).expect("there")["State"] =
        json!("paused");
    assert_eq!(here.listed().await[0].state, SandboxState::Frozen, "no spare any more");
}

#[tokio::test]
async fn gc_sweeps_it_under_its_own_name_and_nothing_under_the_spares() {
    let here = Here::start().await;
    let told =
        |sweep: &Sweep| -> Vec<_> { sweep.sandboxes.iter().map(|one| (one.sandbox.clone(), one.fate)).collect() };
    let sweep = gc(&here.host, now(), false).await.expect("a sweep");
    assert_eq!(told(&sweep), [("flyte".to_owned(), Fate::Left), ("other".to_owned(), Fate::Left)]);
    expire(&here.docker, "flyte-spare", now() - HOUR).await.expect("marked");
    let sweep = gc(&here.host, now(), false).await.expect("a sweep");
    assert_eq!(told(&sweep), [("flyte".to_owned(), Fate::Removed), ("other".to_owned(), Fate::Left)]);
    assert_eq!((here.names(), here.volumes()), (vec!["k3d-other-server-0".to_owned()], vec![]));
    assert!(!here.host.state.sandbox("flyte").path().exists());
}

#[tokio::test]
async fn down_removes_all_of_it() {
    let here = Here::start().await;
    let done = down("flyte", None, Data::Removed, &here.host, &run()).await.expect("gone");
    assert_eq!(done.outcome, Outcome::Passed);
    assert_eq!((here.names(), here.volumes()), (vec!["k3d-other-server-0".to_owned()], vec![]));
    assert_eq!(here.fake.world().networks, Vec::<serde_json::Value>::new());
    let again = down("flyte", None, Data::Removed, &here.host, &run()).await.expect("nothing to do");
    assert_eq!(
        (again.outcome, again.summary.as_str()),
        (Outcome::Unchanged, "there is no sandbox flyte; other sandboxes: other")
    );
}

#[tokio::test]
async fn data_that_is_kept_is_under_the_sandboxs_name() {
    let here = Here::start().await;
    down("flyte", None, Data::Kept, &here.host, &run()).await.expect("gone");
    assert_eq!(here.names(), ["k3d-other-server-0"]);
    assert_eq!(here.volumes(), ["k3d-flyte-data"]);
    assert_eq!(here.fake.world().content["k3d-flyte-data"], "rows");
    let kept = kept_data(&here.docker).await.expect("a list");
    assert_eq!((kept[0].sandbox.as_str(), kept[0].images["postgres"].as_str()), ("flyte", "postgres:10"));
    let (name, state) = (here.listed().await[0].name.clone(), here.listed().await[0].state.clone());
    assert_eq!((name.as_str(), state), ("flyte", SandboxState::DataKept));
}

#[tokio::test]
async fn data_that_cannot_be_copied_stays_with_its_node() {
    let here = Here::start().await;
    here.fake.world().commands_fail = true;
    down("flyte", None, Data::Kept, &here.host, &run()).await.expect_err("no room");
    assert_eq!(here.state_of(NODE), "exited");
    assert_eq!(here.fake.world().content["k3d-flyte-spare-data"], "rows");
    assert!(kept_data(&here.docker).await.expect("a list").iter().all(|kept| kept.sandbox == "flyte-spare"));
    assert_eq!(owned(&here.docker).await.expect("a list"), ["flyte", "other"]);
    here.fake.world().commands_fail = false;
    down("flyte", None, Data::Kept, &here.host, &run()).await.expect("gone");
    assert_eq!(here.volumes(), ["k3d-flyte-data"]);
}

#[tokio::test]
async fn a_sandbox_that_is_stopped_holds_no_port() {
    let here = Here::start().await;
    let done = stop("flyte", Halt::Freeze, &here.host, &run()).await.expect("frozen");
    assert_eq!(
        (done.outcome, here.state_of(NODE), here.state_of(FORWARDER)),
        (Outcome::Passed, "paused".into(), "running".into())
    );
    stop("flyte", Halt::Stop, &here.host, &run()).await.expect("stopped");
    assert_eq!((here.state_of(NODE), here.state_of(FORWARDER)), ("exited".into(), "exited".into()));
    assert_eq!(here.listed().await[0].state, SandboxState::Stopped);
}

#[tokio::test]
async fn a_freeze_that_did_not_catch_all_processes_is_tried_again_but_not_for_ever() {
    let here = Here::start().await;
    here.fake.world().freezes_failing = 2;
    stop("flyte", Halt::Freeze, &here.host, &run()).await.expect("frozen");
    assert_eq!((here.state_of(NODE), here.fake.world().freezes_failing), ("paused".into(), 0));
    here.docker.unpause_container(NODE).await.expect("thawed");
    here.fake.world().freezes_failing = usize::MAX;
    let failure = stop("flyte", Halt::Freeze, &here.host, &run()).await.expect_err("never");
    assert!(failure.causes[0].contains("unable to freeze"), "{failure:?}");
    assert_eq!(here.state_of(NODE), "running");
}

#[tokio::test]
async fn the_forwarder_of_a_node_that_ended_by_itself_stops_too() {
    let here = Here::start().await;
    here.fake.world().containers.iter_mut().find(|one| one["Names"][0] == format!("/{NODE}")).expect("there")["State"] =
        json!("exited");
    assert!(!stop_node(&here.docker, "flyte-spare").await.expect("nothing ran"));
    assert_eq!(here.state_of(FORWARDER), "exited");
}

#[tokio::test]
async fn ports_that_are_taken_by_then_leave_nothing_behind() {
    let here = Here::start().await;
    down("flyte", None, Data::Removed, &here.host, &run()).await.expect("gone");
    here.fake.world().containers.push(node("flyte-spare", Some("flyte-spare"), "paused"));
    let before = here.names();
    here.fake.world().listeners = [31084].into();
    let failure = Failure::from(take(&here.docker, "flyte", &plan("flyte-spare")).await.expect_err("taken"));
    assert_eq!((failure.reason, failure.object.as_deref()), (Reason::PortTaken, Some("port 31084 (minio)")));
    here.fake.world().listeners = [6550].into();
    let failure = Failure::from(take(&here.docker, "flyte", &plan("flyte-spare")).await.expect_err("taken"));
    assert_eq!(failure.object.as_deref(), Some("port 6550 (the Kubernetes API)"));
    assert_eq!(here.names(), before);
    here.fake.world().listeners.clear();
    take(&here.docker, "flyte", &plan("flyte-spare")).await.expect("taken");
    let failure = take(&here.docker, "flyte", &plan("flyte-spare")).await.expect_err("there is one");
    assert!(Failure::from(failure).causes[0].contains("Conflict"), "Docker has one container of a name");
    assert_eq!(here.state_of(FORWARDER), "running", "the one that is there is left alone");
}

#[tokio::test]
async fn nobody_gets_at_it_under_the_spares_name() {
    let here = Here::start().await;
    let before = (here.names(), here.volumes());
    let refused = [
        down("flyte-spare", None, Data::Removed, &here.host, &run()).await.expect_err("down"),
        stop("flyte-spare", Halt::Stop, &here.host, &run()).await.expect_err("stop"),
        site::running("flyte-spare", &here.host).await.map(drop).expect_err("running"),
    ];
    for failure in refused {
        assert_eq!(failure.reason, Reason::NameTaken, "{failure:?}");
        assert!(failure.causes.iter().chain(&failure.hints).any(|line| line.contains("sandbox flyte")), "{failure:?}");
    }
    assert_eq!((here.names(), here.volumes()), before);
    assert_eq!(here.state_of(NODE), "running");
    assert!(!here.host.state.sandbox("flyte-spare").path().exists());
}
