//! Spares: which one an `up` takes, and what becomes of those that it does not. Against a Docker daemon in memory that makes no
//! network, so that nothing is made from cold: what an `up` does about a spare comes before.

use std::path::Path;
use std::time::Duration;

use flyte_sandbox::cluster::{self, Data, taken};
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::lifecycle::{Done, Options, Request, down, make_spare, start, up};
use flyte_sandbox::manifest::Bundle;
use flyte_sandbox::plan::{ClusterPlan, Plan};
use flyte_sandbox::release::Release;
use flyte_sandbox::render::render;
use flyte_sandbox::report::Event;
use flyte_sandbox::run::Run;
use flyte_sandbox::site::{self, Host, SpareRecord};
use flyte_sandbox::spec::{EngineKind, Spec};
use flyte_sandbox::state::StateRoot;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::attached::{options, run};
use crate::support::docker::{FakeDocker, World, node};
use crate::support::ports;

const REFUSED: &str = "no network is made here";
const SPARE: &str = "k3d-flyte-spare-server-0";

/// A machine on which a sandbox named `flyte` is asked for.
struct Here {
    fake: FakeDocker,
    host: Host,
    spec: Spec,
    _folder: TempDir,
}

/// How a run went, and what it told.
struct Told {
    ended: Result<Done, Failure>,
    events: Vec<Event>,
}

impl Told {
    /// What the run said about spares.
    fn about_spares(&self) -> Vec<String> {
        let words = self.events.iter().filter_map(|event| {
            let event = serde_json::to_value(event).expect("JSON");
            match (event["event"].as_str()?, event["stage"].as_str()) {
                ("stage-finished", Some("spare")) => event["summary"].as_str().map(str::to_owned),
                ("warning", _) => event["message"].as_str().filter(|text| text.contains("spare")).map(str::to_owned),
                _ => None,
            }
        });
        words.collect()
    }

    fn failure(&self) -> &Failure {
        self.ended.as_ref().expect_err("nothing can be made here")
    }
}

impl Here {
    async fn start() -> Self {
        let [console, dashboard, minio] = ports::reserve::<3>();
        let mut spec = Spec { engine: Some(EngineKind::Docker), ..Spec::default() };
        (spec.ports.console, spec.ports.dashboard, spec.ports.minio) = (console, dashboard, minio);
        let rendered = render(&spec, Bundle::embedded(Release::default()).expect("built in")).expect("renders");
        let plan = Plan::new(spec.clone(), rendered).expect("a plan");
        let world = World {
            images: plan
                .all_images()
                .chain([&spec.node_image])
                .map(|image| (image.to_string(), "sha256:node".to_owned()))
                .collect(),
            refused: [("network", REFUSED.to_owned())].into(),
            ..World::default()
        };
        let fake = FakeDocker::start(world).await;
        let folder = tempfile::tempdir().expect("a folder");
        let host = host(folder.path(), &fake.host);
        Self { fake, host, spec, _folder: folder }
    }

    fn request(&self) -> Request {
        Request { spec: self.spec.clone(), bundle: Bundle::embedded(Release::default()).expect("built in") }
    }

    async fn told(
        run: Run,
        mut events: tokio::sync::mpsc::UnboundedReceiver<Event>,
        work: impl AsyncFnOnce(Run) -> Result<Done, Failure>,
    ) -> Told {
        let ended = work(run).await;
        Told { ended, events: std::iter::from_fn(|| events.try_recv().ok()).collect() }
    }

    async fn up(&self, options: Options<'_>) -> Told {
        let (run, events) = run();
        Self::told(run, events, async |run| up(self.request(), &self.host, options, &run).await).await
    }

    async fn make_spare(&self) -> Told {
        let (run, events) = run();
        Self::told(run, events, async |run| make_spare(self.request(), &self.host, options(), &run).await).await
    }

    fn record(&self, cluster: &str) -> Option<SpareRecord> {
        SpareRecord::read(&self.host.state.sandbox(cluster))
    }

    /// The key of a spare for the sandbox, from a run that is killed while it makes one.
    async fn key(&self) -> String {
        let known = async {
            while self.record("flyte-spare").is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            biased;
            () = known => {}
            told = self.make_spare() => panic!("it ended: {:?}", told.ended),
        }
        let record = self.record("flyte-spare").expect("written before anything is made");
        assert_eq!((record.of.as_str(), record.made), ("flyte", None));
        record.key
    }

    /// A spare that is whole, as far as the machine can tell.
    fn put(&self, cluster: &str, key: &str, state: &str) {
        let mut container = node(cluster, Some(cluster), state);
        container["Ports"] = json!([{ "IP": "127.0.0.1", "PrivatePort": 6443, "PublicPort": 40001, "Type": "tcp" }]);
        self.fake.world().containers.push(container);
        let record = SpareRecord { of: "flyte".to_owned(), key: key.to_owned(), made: Some(1) };
        record.write(&self.host.state.sandbox(cluster)).expect("written");
    }

    fn names(&self) -> Vec<String> {
        let names = |one: &Value| one["Names"][0].as_str().map(|name| name.trim_start_matches('/').to_owned());
        self.fake.world().containers.iter().filter_map(names).collect()
    }

    /// A sandbox of this name took this cluster.
    async fn give(&self, sandbox: &str, cluster: &str) {
        let plan = ClusterPlan {
            name: cluster.to_owned(),
            node_image: self.spec.node_image.clone(),
            kubernetes: (1, 21),
            ports: vec![],
            api_port: None,
            network_policies: false,
            yields: false,
            store: None,
        };
        cluster::take(&self.fake.connect().await, sandbox, &plan).await.expect("taken");
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

#[tokio::test]
async fn a_spare_that_fits_is_taken_and_one_that_does_not_pass_is_replaced_by_a_cold_start() {
    let here = Here::start().await;
    let key = here.key().await;
    here.put("flyte-spare", &key, "paused");
    // Its node keeps no data, so it is not as planned.
    let told = here.up(options()).await;
    let words = told.about_spares();
    assert!(words[0].starts_with("flyte-spare, made and proven "), "{words:?}");
    assert!(
        words[1].starts_with("the spare does not pass: ") && words[1].ends_with("the sandbox is made without it"),
        "{words:?}"
    );
    assert_eq!(words.len(), 2, "the second time none is looked for: {words:?}");
    assert!(
        told.failure().causes.iter().any(|cause| cause.contains(REFUSED)),
        "it went the long way: {:?}",
        told.ended
    );
    assert_eq!(here.names(), Vec::<String>::new(), "forwarder and node are gone");
    assert!(here.record("flyte-spare").is_none());
    assert_eq!(here.host.state.sandboxes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_spare_that_may_not_be_taken_is_left_as_it_is() {
    let here = Here::start().await;
    let key = here.key().await;
    for what in ["another key", "not whole", "not frozen", "locked", "taken", "somebody else's", "not asked for"] {
        here.fake.world().containers.clear();
        let state = if what == "not frozen" { "exited" } else { "paused" };
        here.put("flyte-spare", if what == "another key" { "other" } else { &key }, state);
        let folder = here.host.state.sandbox("flyte-spare");
        let record = here.record("flyte-spare").expect("written");
        match what {
            "not whole" => SpareRecord { made: None, ..record }.write(&folder).expect("written"),
            "somebody else's" => SpareRecord { of: "other".to_owned(), ..record }.write(&folder).expect("written"),
            "taken" => here.give("other", "flyte-spare").await,
            _ => {}
        }
        let held = (what == "locked").then(|| folder.lock("up --spare").expect("free"));
        let before = here.names();
        let told = here.up(Options { cold: what == "not asked for", ..options() }).await;
        drop(held);
        let none = matches!(what, "somebody else's" | "not asked for");
        let words: &[&str] = if none { &[] } else { &["none that fits"] };
        assert_eq!(told.about_spares(), words, "{what}");
        assert!(told.failure().causes.iter().any(|cause| cause.contains(REFUSED)), "{what}: {:?}", told.ended);
        assert_eq!(here.names(), before, "{what}");
        assert!(here.record("flyte-spare").is_some(), "{what}");
        assert_eq!(here.fake.world().containers[0]["State"], state, "{what}");
    }
}

#[tokio::test]
async fn an_interrupt_while_a_spare_is_taken_removes_it() {
    let here = Here::start().await;
    let key = here.key().await;
    here.put("flyte-spare", &key, "paused");
    let (run, events) = run();
    let stop = run.cancel.clone();
    let taken = Here::told(run, events, async |run| up(here.request(), &here.host, options(), &run).await);
    let interrupt = async {
        while !here.names().contains(&"k3d-flyte-ports".to_owned()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    let (told, ()) = tokio::join!(taken, interrupt);
    assert_eq!(told.failure().reason, Reason::Interrupted, "{:?}", told.ended);
    assert_eq!(here.names(), Vec::<String>::new());
    assert_eq!(here.host.state.sandboxes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_spare_whose_ports_were_taken_meanwhile_is_still_one() {
    let here = Here::start().await;
    let key = here.key().await;
    here.put("flyte-spare", &key, "paused");
    here.fake.world().listeners = [here.spec.ports.minio].into();
    let told = here.up(options()).await;
    assert_eq!(told.failure().reason, Reason::PortTaken, "{:?}", told.ended);
    assert_eq!((here.names(), here.record("flyte-spare").is_some()), (vec![SPARE.to_owned()], true));
    let docker = here.fake.connect().await;
    assert_eq!(taken(&docker).await.expect("an answer").taker("flyte-spare"), None);
}

#[tokio::test]
async fn a_fill_that_was_killed_is_cleaned_away_by_the_next() {
    let here = Here::start().await;
    here.key().await;
    here.fake.world().containers = vec![node("flyte-spare", Some("flyte-spare"), "running")];
    let told = here.make_spare().await;
    assert!(told.failure().causes.iter().any(|cause| cause.contains(REFUSED)), "{:?}", told.ended);
    assert_eq!((here.names(), here.host.state.sandboxes()), (vec![], vec![]));
}

#[tokio::test]
async fn a_spare_that_fits_is_kept_and_any_other_is_removed() {
    let here = Here::start().await;
    let key = here.key().await;
    here.put("flyte-spare", &key, "paused");
    let done = here.make_spare().await.ended.expect("there is one");
    assert_eq!(done.summary, "sandbox flyte has a spare, flyte-spare");
    assert_eq!(here.names(), [SPARE]);
    for (key, state) in [("other", "paused"), (key.as_str(), "running"), (key.as_str(), "exited")] {
        here.fake.world().containers.clear();
        here.put("flyte-spare", key, state);
        here.make_spare().await.failure();
        assert_eq!((here.names(), here.record("flyte-spare")), (vec![], None), "{key} {state}");
    }
}

#[tokio::test]
async fn names_that_are_in_use_are_left_alone() {
    let here = Here::start().await;
    here.put("flyte-spare", "other", "paused");
    here.give("other", "flyte-spare").await;
    here.fake.world().containers.push(node("flyte-spare-2", Some("flyte-spare-2"), "running"));
    let state = here.host.state.sandbox("flyte-spare-3");
    state.write(&state.kubeconfig(), "").expect("written");
    let before = here.names();
    let told = here.make_spare().await;
    let made = told.events.iter().any(|event| format!("{event:?}").contains("create network k3d-flyte-spare-4"));
    assert!(made, "{:?}", told.events);
    assert_eq!(here.names(), before);
    assert_eq!(here.host.state.sandboxes(), ["flyte-spare-3"], "the record of what was taken is of no use");
}

#[tokio::test]
async fn a_spare_is_no_sandbox_to_bring_up_and_some_sandboxes_have_none() {
    let mut here = Here::start().await;
    here.put("flyte-spare", "k", "paused");
    here.spec.name = "flyte-spare".to_owned();
    let told = here.up(options()).await;
    assert_eq!(told.failure().reason, Reason::NameTaken);
    assert!(told.failure().causes[0].contains("sandbox flyte"), "{:?}", told.ended);
    let (run, _events) = run();
    let started = start("flyte-spare", &here.host, &run).await.expect_err("a spare");
    assert_eq!(started.reason, Reason::NameTaken);
    let asked = site::running("flyte-spare", &here.host).await.map(drop).expect_err("a spare");
    assert_eq!(asked.reason, Reason::NameTaken);
    assert_eq!(here.make_spare().await.failure().reason, Reason::NameTaken, "a spare of a spare");
    let kept = down("flyte-spare", None, Data::Kept, &here.host, &run).await.expect_err("it has no data");
    assert_eq!(kept.reason, Reason::Usage);
    let other = down("flyt", None, Data::Removed, &here.host, &run).await.expect("nothing to do");
    assert_eq!(other.summary, "there is no sandbox flyt", "a spare is no other sandbox");
    assert_eq!((here.names(), here.record("flyte-spare").is_some()), (vec![SPARE.to_owned()], true));
    here.spec.engine = Some(EngineKind::Rehearsal);
    here.spec.name = "flyte".to_owned();
    assert_eq!(here.make_spare().await.failure().reason, Reason::Usage);
}
