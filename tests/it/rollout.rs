//! Waiting for workloads against a Kubernetes API in memory, whose watches a test feeds.

use std::time::Duration;

use flyte_sandbox::failure::Reason;
use flyte_sandbox::kubernetes::client;
use flyte_sandbox::manifest::ObjectRef;
use flyte_sandbox::report::{Event, Reporter};
use flyte_sandbox::rollout::{ready_now, wait};
use flyte_sandbox::run::{Deadline, Run};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use flyte_sandbox::rehearsal::{Answer, ApiServer};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(500);

fn run() -> (Run, UnboundedReceiver<Event>) {
    let (report, events) = Reporter::channel();
    (Run { report, deadline: Deadline::after(LONG), cancel: CancellationToken::new() }, events)
}

fn target(name: &str) -> ObjectRef {
    let [api_version, kind, namespace, name] = ["apps/v1", "Deployment", "default", name].map(str::to_owned);
    ObjectRef { api_version, kind, namespace: Some(namespace), name }
}

/// A Deployment of one replica, its ReplicaSet, and the pod with these container statuses.
fn put(server: &ApiServer, name: &str, available: u64, container: Option<Value>) {
    let meta = |suffix: &str, owner: &str| {
        json!({"name": format!("{name}{suffix}"), "namespace": "default", "uid": format!("uid-{name}{suffix}"),
            "labels": {"app": name}, "annotations": {"deployment.kubernetes.io/revision": "1"},
            "ownerReferences": [{"uid": format!("uid-{name}{owner}")}]})
    };
    let spec = json!({"replicas": 1, "selector": {"matchLabels": {"app": name}}});
    server.put(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("", "-none"), "spec": spec,
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available}}));
    server.put(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta("-1", "")}));
    if let Some(container) = container {
        server.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta("-1-a", "-1"),
            "status": {"phase": "Pending", "containerStatuses": [container]}}));
    }
}

fn crash_loop(restarts: u64) -> Value {
    json!({"name": "main", "restartCount": restarts, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 7, "reason": "Error"}}})
}

async fn progress(events: &mut UnboundedReceiver<Event>) -> (usize, Vec<String>) {
    loop {
        if let Event::RolloutProgress { ready, waiting, .. } = events.recv().await.expect("the wait still speaks") {
            return (
                ready,
                waiting.into_iter().map(|waiting| format!("{}: {}", waiting.object, waiting.reason)).collect(),
            );
        }
    }
}

#[tokio::test]
async fn the_wait_follows_the_watches_and_ends_when_all_are_ready() {
    let server = ApiServer::start(21).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, mut events) = run();
    put(&server, "a", 1, None);
    put(&server, "b", 0, None);
    let targets = [target("a"), target("b")];
    let waiting = tokio::spawn(async move { wait(&client, &targets, &run, LONG).await });
    let one = |reason: &str| (1, vec![format!("deployment/b: {reason}")]);
    assert_eq!(progress(&mut events).await, one("0 of 1 pods available"));
    put(&server, "b", 0, Some(json!({"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}})));
    while progress(&mut events).await != one("container main: ContainerCreating") {}
    put(&server, "b", 1, None);
    while progress(&mut events).await != (2, vec![]) {}
    waiting.await.expect("no panic").expect("ready");
}

#[tokio::test]
async fn a_workload_that_was_ready_all_along_needs_no_event() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    put(&server, "a", 1, None);
    wait(&client, &[target("a")], &run().0, LONG).await.expect("ready");
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_named_with_its_container() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let state = json!({"waiting": {"reason": "InvalidImageName", "message": "couldn't parse image \"A:b:c\""}});
    put(&server, "a", 0, Some(json!({"name": "main", "state": state})));
    let failure = wait(&client, &[target("a")], &run().0, LONG).await.expect_err("stuck");
    assert_eq!(failure.reason, Reason::PodImageName);
    assert_eq!(failure.object.as_deref(), Some("deployment default/a"));
    assert_eq!(failure.causes, ["container main: InvalidImageName: couldn't parse image \"A:b:c\""]);
    assert!(failure.hints[0].contains("--image"));
}

#[tokio::test]
async fn a_crash_loop_comes_with_the_log_of_the_run_that_crashed() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    put(&server, "a", 0, Some(crash_loop(3)));
    server.log("a-1-a", "main", true, "starting\npanic: no database\n");
    server.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"name": "a-1-a"}, "reason": "BackOff", "message": "Back-off restarting", "count": 4}));
    let failure = wait(&client, &[target("a")], &run().0, LONG).await.expect_err("stuck");
    assert_eq!(failure.reason, Reason::PodCrash);
    assert_eq!(
        failure.causes,
        ["container main: CrashLoopBackOff, exit code 7, 3 restarts", "its last words: panic: no database"]
    );
    assert_eq!(failure.evidence[..2], ["log: starting", "log: panic: no database"]);
}

#[tokio::test]
async fn the_deadline_names_the_first_that_fails_not_the_one_that_waits_for_it() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    put(&server, "first", 0, None);
    put(&server, "second", 0, Some(json!({"name": "main", "state": {"waiting": {"reason": "ErrImagePull"}}})));
    put(&server, "third", 0, Some(crash_loop(2)));
    let targets = ["first", "second", "third"].map(target);
    let failure = wait(&client, &targets, &run().0, SHORT).await.expect_err("not ready");
    assert_eq!(failure.reason, Reason::PodImage);
    assert!(failure.what.starts_with("3 of 3 workloads are not ready"), "{}", failure.what);
    assert_eq!(failure.object.as_deref(), Some("deployment default/second"));
    assert_eq!(failure.causes, ["timed out after 500ms, the limit of this wait", "container main: ErrImagePull"]);
}

#[tokio::test]
async fn an_object_that_never_comes_is_named_at_the_deadline() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let failure = wait(&client, &[target("a")], &run().0, SHORT).await.expect_err("not there");
    assert_eq!(
        (failure.reason, failure.object.as_deref(), failure.causes.last().map(String::as_str)),
        (Reason::RolloutTimeout, Some("deployment default/a"), Some("not there yet"))
    );
}

#[tokio::test]
async fn a_component_that_the_database_refused_is_told_as_that() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    put(&server, "a", 0, Some(crash_loop(3)));
    server.log("a-1-a", "main", true, "starting\npq: password authentication failed for user \"postgres\"\n");
    let failure = wait(&client, &[target("a")], &run().0, LONG).await.expect_err("stuck");
    assert_eq!(failure.reason, Reason::DatabaseRefused);
    assert_eq!(failure.hints[0], Reason::DatabaseRefused.entry().remedy);
}

#[tokio::test]
async fn a_container_that_runs_and_is_never_ready_ends_at_the_deadline_for_its_probe() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    put(&server, "a", 0, Some(json!({"name": "main", "ready": false, "state": {"running": {}}})));
    let failure = wait(&client, &[target("a")], &run().0, SHORT).await.expect_err("never ready");
    assert_eq!(failure.reason, Reason::PodProbe);
    assert_eq!(failure.causes[1], "container main: runs, not ready yet");
}

#[tokio::test]
async fn a_watch_that_cannot_be_had_at_first_is_tried_again_with_a_voice() {
    let server = ApiServer::start(33).await.expect("a free port");
    server.fail(
        "GET /apis/apps/v1/namespaces/default/deployments",
        1,
        Answer::status(500, "etcdserver: leader changed"),
    );
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, mut events) = run();
    put(&server, "a", 1, None);
    wait(&client, &[target("a")], &run, LONG).await.expect("ready");
    let said = format!("{:?}", std::iter::from_fn(|| events.try_recv().ok()).collect::<Vec<_>>());
    assert!(said.contains("watching deployments: etcdserver: leader changed"), "{said}");
}

#[tokio::test]
async fn a_deployment_whose_pods_were_not_seen_is_not_ready() {
    let server = ApiServer::start(21).await.expect("a free port");
    server.fail("GET /api/v1/namespaces/default/pods", 1, Answer::status(500, "etcdserver: leader changed"));
    let client = client(&server.kubeconfig()).expect("a client");
    put(&server, "a", 1, Some(json!({"name": "main", "ready": false, "state": {"running": {}}})));
    server.edit("/api/v1/namespaces/default/pods/a-1-a", |pod| {
        pod["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
    });
    let failure = wait(&client, &[target("a")], &run().0, 4 * SHORT).await.expect_err("an old count");
    assert_eq!(failure.causes[1], "container main: runs, not ready yet");
}

#[tokio::test]
async fn a_request_to_stop_ends_the_wait() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, mut events) = run();
    let stop = run.cancel.clone();
    let waiting = tokio::spawn(async move { wait(&client, &[target("a")], &run, LONG).await });
    progress(&mut events).await;
    stop.cancel();
    assert_eq!(waiting.await.expect("no panic").expect_err("stopped").reason, Reason::Interrupted);
}

#[tokio::test]
async fn what_is_not_ready_now_is_told_in_two_requests() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    put(&server, "a", 1, None);
    put(&server, "b", 0, Some(crash_loop(1)));
    let waiting = ready_now(&client, &[target("a"), target("b")]).await.expect("an answer");
    let told: Vec<_> = waiting.into_iter().map(|waiting| (waiting.object, waiting.reason)).collect();
    let reason = "container main: CrashLoopBackOff, exit code 7, 1 restart".to_owned();
    assert_eq!(told, [("deployment/b".to_owned(), reason)]);
    assert_eq!(server.requests().len(), 2);
}
