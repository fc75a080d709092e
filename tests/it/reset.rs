//! `reset`: what users and executions put into a sandbox is gone, and nothing else. Against a Docker daemon, a Kubernetes
//! API, a database and a Minio in memory; `tests/e2e/scenarios` has it on the real thing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::lifecycle::{Done, reset, up};
use flyte_sandbox::report::Outcome;
use flyte_sandbox::run::Deadline;
use flyte_sandbox::smoke::Executions;
use flyte_sandbox::store::{BucketAdmin, Upload};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::attached::{AttachedCluster, options, run};
use crate::support::machine::Machine;
use crate::support::on_node::OnNode;

const WORKFLOWS: &str = "103020-flytepoc-x-d-dev";
const SYSTEM: &str = "103020-flytepoc-dev";

async fn reset_of(here: &OnNode) -> Result<Done, Failure> {
    reset(&here.cluster.spec.name, &here.host, Executions::None, &run().0).await
}

fn object(api_version: &str, kind: &str, name: &str, more: Value) -> Value {
    let mut metadata = json!({"name": name, "namespace": WORKFLOWS});
    metadata.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata})
}

fn flyte_workflow(name: &str) -> Value {
    object("flyte.lyft.com/v1alpha1", "FlyteWorkflow", name, json!({"finalizers": ["flyte-finalizer"]}))
}

fn names(cluster: &AttachedCluster, namespace: &str) -> BTreeSet<String> {
    let within = cluster.api.objects().into_iter().filter(|object| object["metadata"]["namespace"] == namespace);
    within.map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "")).collect()
}

fn store(cluster: &AttachedCluster) -> BucketAdmin {
    let deadline = Deadline::after(Duration::from_secs(30));
    BucketAdmin::new(cluster.spec.ports.minio, cluster.spec.storage.root(), deadline).expect("a client")
}

async fn keep(cluster: &AttachedCluster, bucket: &str, key: &str) {
    let (content, coming) = mpsc::channel(1);
    content.send(Bytes::from_static(b"hello")).await.expect("taken");
    let metadata = BTreeMap::new();
    let object = Upload { bucket, key, size: 5, content_type: None, metadata: &metadata };
    store(cluster).upload(&object, coming).await.expect("kept");
}

async fn objects(cluster: &AttachedCluster) -> u64 {
    let spec = &cluster.spec;
    let mut count = 0;
    let of_projects = spec.projects.iter().map(|project| spec.storage.bucket_of(project));
    for bucket in of_projects.chain([spec.storage.bucket.clone()]) {
        assert!(store(cluster).has_bucket(&bucket).await.expect("an answer"), "{bucket}");
        count += store(cluster).usage(&bucket).await.expect("counted").objects;
    }
    count
}

#[tokio::test]
async fn a_reset_leaves_nothing_that_users_or_executions_made() {
    let here = OnNode::start().await;
    let cluster = &here.cluster;
    let (before, system) = (names(cluster, WORKFLOWS), names(cluster, SYSTEM));
    let of = |account: &str| json!({"annotations": {"kubernetes.io/service-account.name": account}});
    let kubernetes_own = [
        object("v1", "ServiceAccount", "default", json!({})),
        object("v1", "ConfigMap", "kube-root-ca.crt", json!({})),
        object("v1", "Secret", "default-token-abcde", of("default")),
    ];
    let users = [
        flyte_workflow("f1"),
        object("v1", "Pod", "f1-n0-0", json!({"finalizers": ["flyte/flytek8s"]})),
        object("v1", "Secret", "mine", json!({})),
        object("v1", "ServiceAccount", "mine", json!({})),
        object("v1", "Secret", "mine-token-abcde", of("mine")),
        object("v1", "ConfigMap", "held", json!({"finalizers": ["example.com/held"]})),
        object("v1", "PersistentVolumeClaim", "mine", json!({})),
        object("v1", "Service", "mine", json!({})),
        object("v1", "Event", "f1.1", json!({})),
        object("v1", "Event", "f1.2", json!({})),
        object("apps/v1", "Deployment", "mine", json!({})),
        object("batch/v1", "Job", "mine", json!({})),
        object("batch/v1", "CronJob", "mine", json!({})),
    ];
    for object in kubernetes_own.iter().chain(&users) {
        cluster.api.put(object.clone());
    }
    let spec = &cluster.spec;
    keep(cluster, &spec.storage.bucket, "metadata/f1/inputs.pb").await;
    keep(cluster, &spec.storage.bucket_of("x"), "of/users").await;
    assert_eq!(objects(cluster).await, 2);
    let done = reset_of(&here).await.expect("emptied");
    assert_eq!(done.outcome, Outcome::Passed);
    let stays =
        kubernetes_own.map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', ""));
    assert_eq!(names(cluster, WORKFLOWS), before.into_iter().chain(stays).collect());
    assert_eq!(names(cluster, SYSTEM), system);
    assert_eq!(objects(cluster).await, 0);
    cluster.in_database(|database| assert_eq!(database.emptied, 1));
    assert_eq!(cluster.projects(), spec.projects);
}

#[tokio::test]
async fn what_is_put_in_while_a_sandbox_is_emptied_goes_too() {
    let here = OnNode::start().await;
    let before = names(&here.cluster, WORKFLOWS);
    let api = here.cluster.api.clone();
    here.cluster
        .in_database(|database| database.when_emptied = Some(Box::new(move || api.put(flyte_workflow("late")))));
    reset_of(&here).await.expect("emptied");
    assert_eq!(names(&here.cluster, WORKFLOWS), before);
    here.cluster.in_database(|database| assert_eq!(database.emptied, 2, "its rows went in between"));
}

#[tokio::test]
async fn on_a_cluster_of_others_only_what_executions_made_goes() {
    let cluster = AttachedCluster::start().await;
    up(cluster.request(), &cluster.host, options(), &run().0).await.expect("brought up");
    cluster.allow_commands();
    let label = json!({"labels": {"execution-id": "f1"}});
    let theirs = [object("v1", "Secret", "theirs", json!({})), object("v1", "Pod", "theirs", json!({}))];
    let before = names(&cluster, WORKFLOWS);
    for object in [flyte_workflow("f1"), object("v1", "Pod", "f1-n0-0", label)].iter().chain(&theirs) {
        cluster.api.put(object.clone());
    }
    reset(&cluster.spec.name, &cluster.host, Executions::None, &run().0).await.expect("emptied");
    let stays = ["Secret theirs", "Pod theirs"].map(str::to_owned);
    assert_eq!(names(&cluster, WORKFLOWS), before.into_iter().chain(stays).collect());
    assert_eq!(cluster.beyond(), Vec::<String>::new());
    assert_eq!(cluster.projects(), cluster.spec.projects);
}

#[tokio::test]
async fn nothing_is_touched_where_the_database_cannot_be_emptied() {
    let cluster = AttachedCluster::start().await;
    up(cluster.request(), &cluster.host, options(), &run().0).await.expect("brought up");
    cluster.api.put(flyte_workflow("f1"));
    let before = cluster.writes().len();
    let refused = reset(&cluster.spec.name, &cluster.host, Executions::None, &run().0).await;
    assert_eq!(refused.expect_err("no commands may be run").reason, Reason::ResetFailed);
    assert!(names(&cluster, WORKFLOWS).contains("FlyteWorkflow f1"));
    let writes = cluster.writes().split_off(before);
    assert!(writes.iter().all(|request| request.contains("/exec")), "{writes:?}");
}

#[tokio::test]
async fn only_a_sandbox_that_runs_is_emptied() {
    let here = OnNode::start().await;
    let name = here.cluster.spec.name.clone();
    for (state, hint) in [("paused", "sandbox start"), ("exited", "sandbox start"), ("created", "sandbox up")] {
        here.docker.world().containers[0]["State"] = json!(state);
        let failure = reset_of(&here).await.expect_err(state);
        assert_eq!(failure.reason, Reason::NotFound, "{state}");
        assert!(failure.hints.iter().any(|line| line.contains(&format!("{hint} --name {name}"))), "{failure:?}");
    }
    here.docker.world().containers.clear();
    assert_eq!(reset_of(&here).await.expect_err("absent").reason, Reason::NotFound);
    assert!(!here.host.state.sandbox(&name).path().exists(), "a lock without a sandbox is a leftover");
}

#[test]
fn a_rehearsal_says_how_it_begins_anew() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let failure = machine.run(&["reset", "-o", "json"]).exits(2).failure();
    assert!(
        failure["hints"][0].as_str().is_some_and(|hint| hint.contains("up --fresh --engine rehearsal")),
        "{failure}"
    );
}
