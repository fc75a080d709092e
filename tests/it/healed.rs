//! What is broken in a sandbox that runs: `status` and `plan` name it, `up` mends it.
//!
//! What the API alone decides, against one in memory with a user's rights. `tests/e2e/scenarios/healed.rs` has the same on
//! the real thing.

use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::kubernetes::client;
use flyte_sandbox::lifecycle::{self, Phase, SpecState, Status};
use flyte_sandbox::plan::Difference;
use flyte_sandbox::rehearsal::Answer;
use flyte_sandbox::report::{Change, Event, Outcome, Waiting};
use kube::Client;
use serde_json::{Value, json};

use crate::support::attached::{AttachedCluster, options, run};
use crate::support::database::DATABASE;

const SYSTEM: &str = "103020-flytepoc-dev";

/// A way to break a sandbox.
enum Break {
    /// `kubectl patch --type merge`, `kubectl edit`.
    Patch(Value),
    /// `kubectl delete`.
    Delete,
    /// `kubectl scale` before Kubernetes 1.22, which leaves no trace in `managedFields`.
    Scale(u64),
}

fn path(kind: &str, name: &str) -> String {
    let root = match kind {
        "deployments" => "apis/apps/v1",
        "roles" | "rolebindings" => "apis/rbac.authorization.k8s.io/v1",
        _ => "api/v1",
    };
    format!("/{root}/namespaces/{SYSTEM}/{kind}/{name}")
}

async fn send(client: &Client, method: &str, path: &str, body: &Value) {
    let request = http::Request::builder().method(method).uri(format!("{path}?fieldManager=kubectl-edit"));
    let request = request.header("content-type", "application/merge-patch+json").body(body.to_string().into_bytes());
    let _: Value = client.request(request.expect("a request")).await.expect("taken");
}

async fn up(cluster: &AttachedCluster) -> Result<(Outcome, Vec<Event>), Failure> {
    let (run, mut events) = run();
    let done = lifecycle::up(cluster.request(), &cluster.host, options(), &run).await?;
    Ok((done.outcome, std::iter::from_fn(|| events.try_recv().ok()).collect()))
}

async fn seen(cluster: &AttachedCluster) -> (Status, Difference) {
    let plan = cluster.plan();
    let status = lifecycle::status(&plan, &cluster.host).await.expect("seen");
    let difference = lifecycle::compare(&plan, Vec::new(), &cluster.host, &run().0).await;
    let difference = difference.expect("seen").expect("there").difference;
    (status, difference)
}

fn restarted(cluster: &AttachedCluster, deployment: &str) -> bool {
    let found = cluster.api.get(&path("deployments", deployment)).expect("there");
    found["spec"]["template"]["metadata"]["annotations"]["sandbox.flyte/restarted-at"].is_string()
}

/// A kind, a name, what is done to it, and the field that tells of it.
type Row = (&'static str, &'static str, Break, &'static str);

/// A sandbox in which each of these was named by `status` and `plan`, and mended by `up`.
async fn mended<const N: usize>(rows: [Row; N]) -> AttachedCluster {
    let cluster = AttachedCluster::start().await;
    up(&cluster).await.expect("brought up");
    let client = client(&cluster.api.kubeconfig()).expect("a client");
    for (kind, name, how, field) in rows {
        let at = path(kind, name);
        let before = cluster.api.get(&at).expect("there");
        match &how {
            Break::Patch(body) => send(&client, "PATCH", &at, body).await,
            Break::Delete => send(&client, "DELETE", &at, &json!({})).await,
            Break::Scale(replicas) => {
                let mut scaled = before.clone();
                scaled["spec"]["replicas"] = (*replicas).into();
                cluster.api.put(scaled);
            }
        }
        let (status, difference) = seen(&cluster).await;
        assert_eq!(status.spec, SpecState::Drifted, "{kind} {name}");
        let names = |objects: &[flyte_sandbox::manifest::ObjectRef]| {
            objects.iter().map(|one| one.name.clone()).collect::<Vec<_>>()
        };
        let change = if matches!(how, Break::Delete) {
            assert_eq!((status.phase, names(&status.missing)), (Phase::NotReady, vec![name.to_owned()]), "{kind}");
            assert_eq!((names(&difference.created), difference.edited), (vec![name.to_owned()], vec![]), "{kind}");
            Change::Created
        } else {
            assert_eq!(status.edited, difference.edited, "{kind} {name}");
            let [edit] = difference.edited.as_slice() else { panic!("{kind} {name}: {difference:?}") };
            assert_eq!(
                (edit.object.name.as_str(), edit.fields.first().map(String::as_str)),
                (name, Some(field)),
                "{kind}"
            );
            Change::Changed
        };
        let (outcome, events) = up(&cluster).await.expect("mended");
        assert_eq!(outcome, Outcome::Passed, "{kind} {name}");
        let applied = |event: &&Event| matches!(event, Event::Applied { change, .. } if *change != Change::Unchanged);
        let applied: Vec<_> = events.iter().filter(applied).collect();
        assert!(
            matches!(applied[..], [Event::Applied { object, change: done }] if object.ends_with(name) && *done == change),
            "{applied:?}"
        );
        let after = cluster.api.get(&at).expect("there again");
        for part in ["spec", "data", "rules"] {
            assert_eq!(after[part], before[part], "{kind} {name}");
        }
        let (status, difference) = seen(&cluster).await;
        assert_eq!((status.phase, status.spec), (Phase::Ready, SpecState::Unchanged), "{kind} {name}: {status:?}");
        assert!(difference.is_empty(), "{kind} {name}: {difference:?}");
    }
    assert_eq!(cluster.beyond(), Vec::<String>::new());
    cluster
}

#[tokio::test]
async fn configuration_that_was_edited_is_put_back_and_read_again() {
    let cluster = mended([
        (
            "configmaps",
            "flyte-admin-config",
            Break::Patch(json!({"data": {"db.yaml": "database: {}"}})),
            ".data.db.yaml",
        ),
        ("configmaps", "gateway-config", Break::Patch(json!({"data": null})), ".data"),
        ("secrets", "flyte-propeller-auth", Break::Patch(json!({"data": {"client_secret": "bm8="}})), ".data"),
    ])
    .await;
    assert!(restarted(&cluster, "flyteadmin"), "it may have read the edit");
    assert!(restarted(&cluster, "flytepropeller-x-d-dev"), "its Secret was edited");
    assert!(!restarted(&cluster, "flyteconsole"), "it reads nothing of these");
}

#[tokio::test]
async fn what_reads_an_edit_restarts_although_the_first_run_failed_once_it_had_put_it_back() {
    let cluster = AttachedCluster::start().await;
    up(&cluster).await.expect("brought up");
    let client = client(&cluster.api.kubeconfig()).expect("a client");
    let config = path("configmaps", "flyte-admin-config");
    send(&client, "PATCH", &config, &json!({"data": {"db.yaml": "database: {}"}})).await;
    let first_wave = format!("PATCH {}", path("deployments", "postgres"));
    for _ in 0..2 {
        cluster.api.fail(&first_wave, 1, Answer::status(403, "not now"));
        let failure = up(&cluster).await.expect_err("the first wave is refused");
        assert_eq!(failure.reason, Reason::ApplyForbidden, "{failure:?}");
        assert!(!restarted(&cluster, "flyteadmin"));
    }
    up(&cluster).await.expect("mended");
    assert!(restarted(&cluster, "flyteadmin"), "its pod may have read the edit");
    assert!(!restarted(&cluster, "flyteconsole"), "it reads nothing of it");
    let template = || cluster.api.get(&path("deployments", "flyteadmin")).expect("there")["spec"]["template"].clone();
    let before = template();
    up(&cluster).await.expect("unchanged");
    assert_eq!(template(), before, "once is enough");
}

#[tokio::test]
async fn specifications_that_were_edited_are_put_back() {
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "flyteconsole", "image": "other"}]}}}});
    mended([
        ("roles", "flytepropeller-leader-x", Break::Patch(json!({"rules": []})), ".rules"),
        (
            "services",
            "minio",
            Break::Patch(json!({"spec": {"ports": [{"port": 1, "protocol": "TCP"}]}})),
            ".spec.ports",
        ),
        ("deployments", "flyteconsole", Break::Patch(image), ".spec.template.spec.containers"),
        ("deployments", "flytepropeller-x-d-dev", Break::Scale(0), ".spec.replicas"),
    ])
    .await;
}

#[tokio::test]
async fn what_was_added_is_taken_away() {
    let cluster = mended([
        (
            "configmaps",
            "flyte-propeller-config-x-t-dev",
            Break::Patch(json!({"data": {"own.yaml": "database: {}"}})),
            ".data.own.yaml (added)",
        ),
        (
            "services",
            "postgres",
            Break::Patch(json!({"spec": {"selector": {"own": "nobody"}}})),
            ".spec.selector.own (added)",
        ),
        ("deployments", "gateway", Break::Patch(json!({"spec": {"paused": true}})), ".spec.paused (added)"),
    ])
    .await;
    assert!(restarted(&cluster, "flytepropeller-x-t-dev"), "it may have read what was added");
}

#[tokio::test]
async fn what_was_deleted_is_made_again() {
    let cluster = mended([
        ("configmaps", "flyte-console-config", Break::Delete, ""),
        ("serviceaccounts", "kubernetes-dashboard", Break::Delete, ""),
        ("secrets", "flyte-storage-x", Break::Delete, ""),
        ("rolebindings", "flytepropeller-leader-x", Break::Delete, ""),
        ("deployments", "datacatalog", Break::Delete, ""),
    ])
    .await;
    assert!(restarted(&cluster, "kubernetes-dashboard"), "the token of an account that was deleted opens nothing");
    assert!(!restarted(&cluster, "flyteconsole"), "what was deleted was read by nobody");
}

#[tokio::test]
async fn what_controllers_write_and_metadata_of_others_is_no_edit() {
    let cluster = AttachedCluster::start().await;
    up(&cluster).await.expect("brought up");
    let client = client(&cluster.api.kubeconfig()).expect("a client");
    let add = |field: &str| json!({"metadata": {"annotations": {field: "1"}}});
    send(&client, "PATCH", &path("deployments", "flyteadmin"), &add("deployment.kubernetes.io/revision")).await;
    send(&client, "PATCH", &path("configmaps", "flyte-admin-config"), &add("own")).await;
    cluster
        .api
        .edit(&path("deployments", "flyteadmin"), |deployment| deployment["status"]["observedGeneration"] = 99.into());
    let (status, difference) = seen(&cluster).await;
    assert_eq!((status.phase, status.spec), (Phase::Ready, SpecState::Unchanged), "{status:?}");
    assert!(difference.is_empty(), "{difference:?}");
    assert_eq!(up(&cluster).await.expect("as it was").0, Outcome::Unchanged);
}

#[tokio::test]
async fn a_database_that_was_emptied_is_migrated_again_by_new_pods() {
    let cluster = AttachedCluster::start().await;
    up(&cluster).await.expect("brought up");
    for table in ["projects", "executions"] {
        cluster.drop_table(table, true);
        let (status, _) = seen(&cluster).await;
        assert_eq!((status.phase, status.spec), (Phase::NotReady, SpecState::Drifted), "{table}");
        assert!(status.waiting[0].object.ends_with("flyteadmin"), "{:?}", status.waiting);
        let (outcome, events) = up(&cluster).await.expect("mended");
        assert_eq!(outcome, Outcome::Passed);
        let warned = |event: &Event| matches!(event, Event::Warning { message } if message.contains(table));
        assert!(events.iter().any(warned), "{table}");
        assert!(restarted(&cluster, "flyteadmin") && restarted(&cluster, "datacatalog"));
        let (status, difference) = seen(&cluster).await;
        assert_eq!((status.phase, status.spec), (Phase::Ready, SpecState::Unchanged), "{status:?}");
        assert!(difference.is_empty(), "a restart is no edit: {difference:?}");
    }
}

#[tokio::test]
async fn a_table_that_no_migration_makes_again_has_a_reason_of_its_own() {
    let cluster = AttachedCluster::start().await;
    up(&cluster).await.expect("brought up");
    cluster.drop_table("projects", false);
    let failure = up(&cluster).await.expect_err("not without its data");
    assert_eq!(failure.reason, Reason::DatabaseIncomplete);
    assert!(failure.causes.iter().any(|cause| cause.contains("relation \"projects\" does not exist")), "{failure}");
}

fn warned(events: &[Event], word: &str) -> bool {
    events.iter().any(|event| matches!(event, Event::Warning { message } if message.contains(word)))
}

/// What `status` and `plan` say is gone, and that `up` makes it again.
async fn named_and_mended(cluster: &AttachedCluster, workload: &str, what: &str) -> Vec<Event> {
    let (status, _) = seen(cluster).await;
    assert_eq!((status.phase, status.spec), (Phase::NotReady, SpecState::Drifted), "{what}");
    let told = |one: &Waiting| one.object.ends_with(workload) && one.reason.contains(what);
    assert!(status.waiting.iter().any(told), "{what}: {:?}", status.waiting);
    let compared = lifecycle::compare(&cluster.plan(), Vec::new(), &cluster.host, &run().0).await;
    let lacking = compared.expect("seen").expect("there").lacking;
    assert!(lacking.iter().any(told), "{what}: {lacking:?}");
    let (outcome, events) = up(cluster).await.expect("mended");
    assert_eq!(outcome, Outcome::Passed, "{what}");
    let (status, difference) = seen(cluster).await;
    assert_eq!((status.phase, status.spec), (Phase::Ready, SpecState::Unchanged), "{what}: {status:?}");
    assert!(difference.is_empty(), "{what}: {difference:?}");
    events
}

#[tokio::test]
async fn a_bucket_that_was_deleted_is_made_again() {
    let cluster = AttachedCluster::start().await;
    up(&cluster).await.expect("brought up");
    let storage = &cluster.spec.storage;
    for (bucket, lost) in [(storage.bucket_of("x"), false), (storage.bucket.clone(), true)] {
        cluster.drop_bucket(&bucket);
        let events = named_and_mended(&cluster, "minio", &format!("bucket {bucket} does not exist")).await;
        assert_eq!(warned(&events, &format!("bucket {bucket}")), lost, "{bucket}");
    }
}

#[tokio::test]
async fn any_table_that_was_dropped_is_made_again_without_a_restart() {
    let cluster = AttachedCluster::start().await;
    cluster.allow_commands();
    up(&cluster).await.expect("brought up");
    for table in ["projects", "task_executions", "migrations", "artifacts"] {
        cluster.in_database(|database| _ = database.tables.remove(table));
        let events = named_and_mended(&cluster, "postgres", &format!("table {DATABASE}.{table} is gone")).await;
        assert!(warned(&events, table), "{table}");
    }
    cluster.in_database(|database| database.tables.clear());
    named_and_mended(&cluster, "postgres", "is gone").await;
    assert!(!restarted(&cluster, "flyteadmin") && !restarted(&cluster, "datacatalog"));
}

#[tokio::test]
async fn a_table_that_a_later_admin_has_as_made_is_named() {
    let cluster = AttachedCluster::start().await;
    cluster.allow_commands();
    up(&cluster).await.expect("brought up");
    cluster.in_database(|database| {
        database.reads_options = false;
        database.tables.remove("task_executions");
    });
    let failure = up(&cluster).await.expect_err("not without its data");
    assert_eq!(failure.reason, Reason::DatabaseIncomplete);
    assert!(failure.to_string().contains("flyte_development.task_executions"), "{failure}");
}

#[tokio::test]
async fn a_table_of_the_users_own_may_come_and_go() {
    let cluster = AttachedCluster::start().await;
    cluster.allow_commands();
    up(&cluster).await.expect("brought up");
    cluster.in_database(|database| _ = database.tables.insert("own".to_owned()));
    assert_eq!(up(&cluster).await.expect("as it was").0, Outcome::Unchanged);
    cluster.in_database(|database| _ = database.tables.remove("own"));
    assert_eq!(seen(&cluster).await.0.spec, SpecState::Unchanged);
    // It is recorded where an `up` applies something while it is there.
    cluster.in_database(|database| _ = database.tables.insert("own".to_owned()));
    cluster.api.remove(&path("configmaps", "gateway-config"));
    up(&cluster).await.expect("mended");
    cluster.in_database(|database| _ = database.tables.remove("own"));
    named_and_mended(&cluster, "postgres", "table flyte_development.own is gone").await;
}

#[tokio::test]
async fn a_lock_whose_holder_is_gone_is_released() {
    let cluster = AttachedCluster::start().await;
    up(&cluster).await.expect("brought up");
    let lock = |name: &str, holder: &str| {
        let record = json!({"holderIdentity": holder}).to_string();
        let annotations = json!({"control-plane.alpha.kubernetes.io/leader": record});
        cluster.api.put(json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": SYSTEM, "annotations": annotations}}));
    };
    lock("propeller-leader-x-d-dev", "flytepropeller-x-d-dev-gone");
    lock("propeller-leader-x-t-dev", "flytepropeller-x-t-dev-0");
    lock("of-somebody-else", "gone");
    up(&cluster).await.expect("as it was");
    let is_there = |name: &str| cluster.api.get(&path("configmaps", name)).is_some();
    let left = ["propeller-leader-x-d-dev", "propeller-leader-x-t-dev", "of-somebody-else"].map(is_there);
    assert_eq!(left, [false, true, true]);
}
