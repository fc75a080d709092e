//! A whole life on somebody else's cluster, whose user has rights in the sandbox's namespaces and nowhere else.

use std::path::Path;
use std::time::{Duration, Instant};

use flyte_sandbox::cluster::Data;
use flyte_sandbox::context::{ClusterAccess, ClusterLocation, check};
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::lifecycle::{self, Options, Phase, SpecState};
use flyte_sandbox::rehearsal::{Answer, Faults};
use flyte_sandbox::report::{Event, Outcome, Stage};
use flyte_sandbox::run::{Deadline, Run};
use flyte_sandbox::site::Location;
use flyte_sandbox::smoke::Executions;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::support::attached::{AttachedCluster, run};
use crate::support::wait::{HANG, until};

const SYSTEM: &str = "103020-flytepoc-dev";
const WORKFLOWS: &str = "/apis/flyte.lyft.com/v1alpha1/namespaces/103020-flytepoc-x-d-dev/flyteworkflows";

fn options() -> Options<'static> {
    Options {
        keep: false,
        fresh: false,
        cold: false,
        prune: lifecycle::Prune::default(),
        bundle: None,
        restore: None,
        from: None,
        store: true,
        executions: Executions::None,
        ttl: None,
        faults: Faults::default(),
    }
}

async fn up(cluster: &AttachedCluster) -> (Result<Outcome, Failure>, UnboundedReceiver<Event>) {
    let (run, events) = run();
    let done = Box::pin(lifecycle::up(cluster.request(), &cluster.host, options(), &run)).await;
    (done.map(|done| done.outcome), events)
}

async fn down(cluster: &AttachedCluster) -> Result<Outcome, Failure> {
    let wanted = Location::wanted(&cluster.spec);
    let (run, mut events) = run();
    let done = lifecycle::down("flyte", Some(wanted), Data::Removed, &cluster.host, &run).await;
    // A stage that never ends would be told for ever to go on.
    let mut told = std::iter::from_fn(|| events.try_recv().ok());
    assert!(!told.any(|event| matches!(event, Event::Progress { stage: Stage::Rollout, .. })));
    done.map(|done| done.outcome)
}

fn probes(events: &mut UnboundedReceiver<Event>, wanted: Outcome) -> Vec<String> {
    let events = std::iter::from_fn(|| events.try_recv().ok());
    let mut ids: Vec<_> = events
        .filter_map(|event| match event {
            Event::Probe { id, outcome, detail, .. } if outcome == wanted => Some(format!("{id}: {detail}")),
            _ => None,
        })
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_whole_life_asks_for_nothing_beyond_the_namespaces_and_leaves_nothing_in_them() {
    let cluster = AttachedCluster::start().await;
    let before = cluster.kubeconfig();
    let plan = cluster.plan();
    assert!(plan.objects().all(|object| object.namespace.is_some()));

    let (done, mut events) = up(&cluster).await;
    assert_eq!(done.expect("brought up"), Outcome::Passed);
    let skipped = probes(&mut events, Outcome::Skipped);
    insta::assert_snapshot!("skipped", skipped.join("\n"));

    let (again, mut events) = up(&cluster).await;
    assert_eq!(again.expect("as it should be"), Outcome::Unchanged);
    assert_eq!(probes(&mut events, Outcome::Passed).len(), 15);

    let status = lifecycle::status(&plan, &cluster.host).await.expect("seen");
    assert_eq!((status.phase, status.spec), (Phase::Ready, SpecState::Unchanged));
    assert!(status.endpoints[0].url.contains("port-forward service/gateway"), "{:?}", status.endpoints);
    lifecycle::smoke("flyte", &cluster.host, Executions::None, &run().0).await.expect("proven");
    let difference = lifecycle::compare(&plan, Vec::new(), &cluster.host, &run().0).await;
    let difference = difference.expect("seen").expect("there").difference;
    assert!(difference.is_empty(), "{difference:?}");
    let diagnosis = lifecycle::diagnose("flyte", Ok(&plan), &cluster.host, &run().0).await.expect("saved");
    assert!(diagnosis.folder.join("kubernetes/version.json").exists());

    // The dashboard replaces the labels of the Secret that it keeps its key in.
    let key = format!("/api/v1/namespaces/{SYSTEM}/secrets/kubernetes-dashboard-key-holder");
    cluster.api.edit(&key, |secret| secret["metadata"]["labels"] = Value::Null);
    // A workflow that no propeller ends, and what a propeller leads by.
    cluster.api.put(json!({"apiVersion": "flyte.lyft.com/v1alpha1", "kind": "FlyteWorkflow",
        "metadata": {"name": "running", "namespace": "103020-flytepoc-x-d-dev", "finalizers": ["flyte-finalizer"]}}));
    cluster.api.put(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "propeller-leader-x-d-dev", "namespace": SYSTEM}}));
    cluster
        .api
        .put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": SYSTEM}}));
    let (api, ended) = (cluster.api.clone(), format!("{WORKFLOWS}/running"));
    let propeller = tokio::spawn(async move {
        let is_deleted = |workflow: Value| !workflow["metadata"]["deletionTimestamp"].is_null();
        until("the workflow is deleted", || api.get(&ended).is_some_and(is_deleted)).await;
        api.edit(&ended, |workflow| workflow["metadata"]["finalizers"] = Value::Null);
    });
    assert_eq!(down(&cluster).await.expect("taken away"), Outcome::Passed);
    propeller.await.expect("it ended the workflow");
    assert_eq!(cluster.inhabitants().into_iter().collect::<Vec<_>>(), ["ConfigMap theirs"]);
    for namespace in cluster.spec.namespaces() {
        assert!(
            cluster.api.get(&format!("/api/v1/namespaces/{namespace}")).is_some(),
            "{namespace} is not ours to remove"
        );
    }
    assert_eq!(down(&cluster).await.expect("nothing to take away"), Outcome::Unchanged);

    assert_eq!(cluster.beyond(), Vec::<String>::new());
    assert_eq!(cluster.kubeconfig(), before);
}

#[tokio::test]
async fn all_that_is_missing_is_told_at_once_and_nothing_is_touched() {
    let cluster = AttachedCluster::start().await;
    cluster.without_kind();
    cluster.deny("patch deployments");
    cluster.deny("deletecollection flyteworkflows");
    cluster.api.remove("/api/v1/namespaces/103020-flytepoc-y-p-dev");
    let failure = up(&cluster).await.0.expect_err("not with this");
    assert_eq!((failure.reason, failure.exit_code()), (Reason::Preflight, 3));
    insta::assert_snapshot!("missing", format!("{}\n\n{}", failure.causes.join("\n"), failure.hints.join("\n")));
    assert_eq!(cluster.writes(), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(cluster.state()).expect("there").count(), 0);
    assert_eq!(cluster.beyond(), Vec::<String>::new());
}

/// Takes away something that is needed.
type Take = fn(&AttachedCluster);

#[tokio::test]
async fn each_kind_of_missing_thing_is_a_reason_of_its_own() {
    let missing: [(Take, Reason); 5] = [
        (|cluster| cluster.without_kind(), Reason::CrdMissing),
        (|cluster| cluster.deny("get pods/log"), Reason::RightsMissing),
        (|cluster| cluster.api.remove("/api/v1/namespaces/103020-flytepoc-dev"), Reason::NamespaceMissing),
        (
            |cluster| {
                let minio = json!({"name": "minio", "namespace": SYSTEM, "labels": {"app": "theirs"}});
                cluster.api.put(json!({"apiVersion": "v1", "kind": "Service", "metadata": minio}));
            },
            Reason::ObjectForeign,
        ),
        (
            |cluster| std::fs::remove_file(cluster.spec.kubeconfig.as_ref().expect("named")).expect("gone"),
            Reason::ContextUnusable,
        ),
    ];
    for (take, reason) in missing {
        let cluster = AttachedCluster::start().await;
        take(&cluster);
        assert_eq!(up(&cluster).await.0.expect_err("not with this").reason, reason);
        assert_eq!(cluster.writes(), Vec::<String>::new(), "{reason:?}");
    }
}

#[tokio::test]
async fn namespaces_that_cannot_be_seen_are_known_by_the_rights_in_them() {
    let cluster = AttachedCluster::start().await;
    cluster.hide_namespaces();
    up(&cluster).await.0.expect("brought up");
    cluster.deny("list pods");
    let failure = up(&cluster).await.0.expect_err("not with this");
    assert_eq!(failure.reason, Reason::RightsMissing);
    assert!(failure.hints[0].contains("make sure that the namespaces 103020-flytepoc-dev,"), "{:?}", failure.hints);
}

#[tokio::test]
async fn where_nobody_may_be_asked_about_roles_are_read_and_nothing_is_called_passed() {
    let cluster = AttachedCluster::start().await;
    cluster.deny("create localsubjectaccessreviews");
    let (done, mut events) = up(&cluster).await;
    done.expect("brought up");
    let skipped = probes(&mut events, Outcome::Skipped);
    assert_eq!(skipped.iter().map(|probe| &probe[..2]).collect::<Vec<_>>(), ["R1", "R2", "R3"]);
    assert!(skipped[0].contains("access reviews are refused (HTTP 403"), "{skipped:?}");

    cluster.api.put(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "more", "namespace": "103020-flytepoc-y-d-dev"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "flytepropeller-103020-flytepoc-y-d-dev"},
        "subjects": [{"kind": "ServiceAccount", "name": "flytepropeller-x", "namespace": SYSTEM}]}));
    let failure = lifecycle::smoke("flyte", &cluster.host, Executions::None, &run().0).await.expect_err("too much");
    assert_eq!(failure.reason, Reason::PermissionExcess);
    assert_eq!(failure.object.as_deref(), Some("check R2 no other permission is granted"));
    assert_eq!(cluster.beyond(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_failed_up_made_is_taken_back_object_by_object() {
    let cluster = AttachedCluster::start().await;
    let gateway = format!("PATCH /apis/apps/v1/namespaces/{SYSTEM}/deployments/gateway");
    cluster.api.fail(&gateway, 1, Answer::status(422, "spec.replicas: no"));
    let failure = up(&cluster).await.0.expect_err("refused");
    assert_eq!((failure.reason, failure.leftovers), (Reason::Apply, Vec::new()));
    assert!(failure.folder.is_some());
    assert_eq!(cluster.inhabitants().into_iter().collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(cluster.beyond(), Vec::<String>::new());
    assert_eq!(Location::recorded("flyte", &cluster.host), Ok(None));
}

#[tokio::test]
async fn a_sandbox_that_is_elsewhere_is_not_made_twice() {
    let cluster = AttachedCluster::start().await;
    up(&cluster).await.0.expect("brought up");
    let mut moved = cluster.clone();
    moved.spec.env = "test".to_owned();
    let failure = up(&moved).await.0.expect_err("it is elsewhere");
    assert_eq!(failure.reason, Reason::SandboxDiffers);
    let mut here = cluster.request();
    here.spec.engine = None;
    let failure = lifecycle::up(here, &cluster.host, options(), &run().0).await.expect_err("it is elsewhere");
    assert_eq!(failure.reason, Reason::SandboxDiffers);
    let status = lifecycle::status(&cluster.plan(), &cluster.host).await.expect("seen");
    assert_eq!(status.phase, Phase::Ready);
}

/// For what must end by itself, and for nothing that is measured.

#[tokio::test]
async fn an_api_that_accepts_and_is_silent_is_told_at_the_runs_deadline() {
    for silent in ["GET /version", "GET /api/v1/namespaces/103020"] {
        let cluster = AttachedCluster::start().await;
        cluster.api.fail(silent, 1_000, Answer::Silence);
        let (run, _events) = run();
        let run = Run { deadline: Deadline::after(Duration::from_secs(2)), ..run };
        let place = ClusterLocation::of(&cluster.spec).expect("a place");
        let access = ClusterAccess::open(&place, &cluster.host.variables, None).await.expect("a way in");
        let plan = cluster.plan();
        let looked = tokio::time::timeout(HANG, check(&access, &plan, &run)).await.expect("an end");
        let said = match looked {
            Ok(seen) => format!("{:?}", seen.findings),
            Err(failure) => failure.to_string(),
        };
        assert!(said.contains("no answer within"), "{silent}: {said}");
    }
}

#[tokio::test]
async fn an_admin_that_is_silent_or_refuses_ends_a_list_of_projects_in_plain_words() {
    let cluster = AttachedCluster::start().await;
    up(&cluster).await.0.expect("brought up");
    let list = async || {
        let listed = tokio::time::timeout(HANG, lifecycle::projects("flyte", &cluster.host)).await;
        let failure = listed.expect("an end").expect_err("no list");
        assert_eq!(failure.reason, Reason::Registration);
        failure.causes
    };
    cluster.refuse_projects("the database is away");
    assert_eq!(list().await, ["the database is away"]);
    cluster.silence_admin();
    assert_eq!(list().await, ["no answer within 10s"]);
}

#[test]
fn a_credential_plugin_that_takes_its_time_can_be_interrupted() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().expect("a runtime");
    let elapsed = runtime.block_on(async {
        let cluster = AttachedCluster::start().await;
        let file = cluster.spec.kubeconfig.clone().expect("a file");
        let mut config: Value = serde_json::from_str(&cluster.kubeconfig()).expect("JSON");
        // It ends with the test, whose folder it looks for.
        let (script, asked) = (r#": >"$0"; while [ -e "$0" ]; do sleep 0.02; done"#, format!("{file}.asked"));
        let plugin =
            json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script, asked]});
        config["users"] = json!([{"name": "rehearsal", "user": {"exec": plugin}}]);
        std::fs::write(file, config.to_string()).expect("written");
        let (run, _events) = run();
        let cancel = run.cancel.clone();
        tokio::spawn(async move {
            until("the plugin is asked", || Path::new(&asked).exists()).await;
            cancel.cancel();
        });
        let started = Instant::now();
        let failure = lifecycle::doctor(&cluster.plan(), &cluster.host, &run).await.expect_err("stopped");
        assert_eq!(failure.reason, Reason::Interrupted);
        started.elapsed()
    });
    runtime.shutdown_background();
    assert!(elapsed < HANG, "{elapsed:?}");
}
