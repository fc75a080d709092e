//! Applying, pruning and the inventory against a Kubernetes API in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flyte_sandbox::failure::Reason;
use flyte_sandbox::kubernetes::{Inventory, apply, client, find, prune, save};
use flyte_sandbox::manifest::{Object, ObjectRef};
use flyte_sandbox::report::{Change, Event, Reporter};
use flyte_sandbox::run::{Deadline, Run};
use flyte_sandbox::spec::Spec;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use flyte_sandbox::rehearsal::{Answer, ApiServer};

use crate::support::wait::until;

fn run(seconds: u64) -> (Run, UnboundedReceiver<Event>) {
    let (report, events) = Reporter::channel();
    let deadline = Deadline::after(Duration::from_secs(seconds));
    (Run { report, deadline, cancel: CancellationToken::new() }, events)
}

fn object(value: Value) -> Object {
    Object::new(value).expect("an object")
}

fn config(name: &str, value: &str) -> Object {
    object(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"key": value},
        "metadata": {"name": name, "namespace": "default", "labels": {"app.kubernetes.io/managed-by": "sandbox"}}}))
}

fn deployment(app: &str) -> Object {
    let container =
        json!({"name": "c", "image": "i", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": 2}}});
    object(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "default", "labels": {"app.kubernetes.io/managed-by": "sandbox"}},
        "spec": {"selector": {"matchLabels": {"app": app}},
            "template": {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}}}}))
}

fn changes(done: Vec<(ObjectRef, Change)>) -> Vec<(String, Change)> {
    done.into_iter().map(|(object, change)| (object.name, change)).collect()
}

fn said(events: &mut UnboundedReceiver<Event>) -> String {
    std::iter::from_fn(|| events.try_recv().ok()).map(|event| format!("{event:?}\n")).collect()
}

#[tokio::test]
async fn objects_are_created_then_unchanged_then_changed() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, mut events) = run(10);
    let first = apply(&client, &[config("a", "1"), config("b", "1")], &run).await.expect("applied");
    assert_eq!(changes(first), [("a".to_owned(), Change::Created), ("b".to_owned(), Change::Created)]);
    let second = apply(&client, &[config("a", "1"), config("b", "2")], &run).await.expect("applied");
    assert_eq!(changes(second), [("a".to_owned(), Change::Unchanged), ("b".to_owned(), Change::Changed)]);
    assert_eq!(server.get("/api/v1/namespaces/default/configmaps/b").expect("it is there")["data"]["key"], "2");
    assert_eq!(said(&mut events).matches("Applied").count(), 4);
}

#[tokio::test]
async fn a_write_of_a_controller_in_between_is_no_change_of_ours() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, _events) = run(10);
    apply(&client, &[deployment("x")], &run).await.expect("applied");
    let mut live = server.get("/apis/apps/v1/namespaces/default/deployments/d").expect("it is there");
    live["status"] = json!({"replicas": 1});
    server.put(live);
    let again = apply(&client, &[deployment("x")], &run).await.expect("applied");
    assert_eq!(changes(again), [("d".to_owned(), Change::Unchanged)]);
}

#[tokio::test]
async fn existing_objects_cost_one_listing_for_each_kind_and_namespace() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, _events) = run(10);
    let objects: Vec<_> = (0..20).map(|number| config(&format!("c{number}"), "1")).collect();
    apply(&client, &objects, &run).await.expect("applied");
    assert_eq!(server.requests().iter().filter(|request| request.starts_with("GET")).count(), 1);
}

#[tokio::test]
async fn kubernetes_1_21_takes_ports_without_protocol_and_integer_quantities() {
    let server = ApiServer::start(21).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, _events) = run(10);
    let service =
        object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"},
        "spec": {"ports": [{"port": 80}]}}));
    apply(&client, &[service, deployment("x")], &run).await.expect("applied");
    let live = server.get("/apis/apps/v1/namespaces/default/deployments/d").expect("it is there");
    assert_eq!(live.pointer("/spec/template/spec/containers/0/resources/limits/cpu"), Some(&json!("2")));
}

#[tokio::test]
async fn a_namespace_and_a_kind_come_before_what_is_in_them() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, _events) = run(10);
    let mut inside = config("a", "1");
    inside.set(&["metadata", "namespace"], "n");
    let definition = object(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things"}, "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}]}}));
    let namespace = object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}));
    let done = apply(&client, &[inside, definition, namespace], &run).await.expect("applied");
    let order: Vec<_> = done.into_iter().map(|(object, _)| object.kind).collect();
    assert_eq!(order, ["Namespace", "CustomResourceDefinition", "ConfigMap"]);
}

#[tokio::test]
async fn an_api_that_stumbles_is_asked_again_with_a_voice() {
    let server = ApiServer::start(33).await.expect("a free port");
    server.fail("PATCH", 2, Answer::status(503, "not yet"));
    server.fail("GET", 1, Answer::Broken);
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, mut events) = run(10);
    let done = apply(&client, &[config("a", "1")], &run).await.expect("applied");
    assert_eq!(changes(done), [("a".to_owned(), Change::Created)]);
    let said = said(&mut events);
    assert_eq!(said.matches("configmap default/a: not yet; trying again").count(), 2, "{said}");
}

#[tokio::test]
async fn an_api_that_keeps_stumbling_ends_at_the_deadline_with_its_words() {
    let server = ApiServer::start(33).await.expect("a free port");
    server.fail("PATCH", usize::MAX, Answer::status(503, "not yet"));
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, _events) = run(1);
    let failure = apply(&client, &[config("a", "1")], &run).await.expect_err("never taken");
    assert_eq!((failure.reason, failure.causes.last().map(String::as_str)), (Reason::ApiUnavailable, Some("not yet")));
}

#[tokio::test]
async fn what_the_answer_tells_is_the_reason() {
    const LEAVING: &str = "unable to create new content in namespace n because it is being terminated";
    for (code, words, seconds, reason) in [
        (401, "Unauthorized", 10, Reason::ApiUnauthorized),
        (403, "User \"x\" cannot patch resource \"configmaps\"", 10, Reason::ApplyForbidden),
        (400, "admission webhook \"x.example\" denied the request: no", 10, Reason::ApplyWebhook),
        (500, "failed calling webhook \"x.example\": connection refused", 1, Reason::ApplyWebhook),
        (409, "the object has been modified", 1, Reason::ApplyConflict),
        (429, "too many requests", 1, Reason::ApiUnavailable),
        (403, LEAVING, 1, Reason::NamespaceTerminating),
    ] {
        let server = ApiServer::start(33).await.expect("a free port");
        server.fail("PATCH", usize::MAX, Answer::status(code, words));
        let client = client(&server.kubeconfig()).expect("a client");
        let (run, _events) = run(seconds);
        let failure = apply(&client, &[config("a", "1")], &run).await.expect_err("never taken");
        let words = Some(words.to_owned());
        assert_eq!((failure.reason, failure.causes.last()), (reason, words.as_ref()), "{code}");
    }
}

#[tokio::test]
async fn a_namespace_that_does_not_go_away_is_told_with_what_holds_it() {
    let server = ApiServer::start(33).await.expect("a free port");
    server.put(json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "n", "finalizers": ["example.com/mine"], "deletionTimestamp": "2021-06-01T00:00:00Z"},
        "status": {"phase": "Terminating", "conditions": [{"type": "NamespaceFinalizersRemaining", "status": "True",
            "reason": "SomeFinalizersRemain", "lastTransitionTime": "2021-06-01T00:00:00Z",
            "message": "Some content in the namespace has finalizers remaining"}]}}));
    let words =
        "configmaps \"a\" is forbidden: unable to create new content in namespace n because it is being terminated";
    server.fail("PATCH", usize::MAX, Answer::status(403, words));
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, _events) = run(1);
    let mut inside = config("a", "1");
    inside.set(&["metadata", "namespace"], "n");
    let failure = apply(&client, &[inside], &run).await.expect_err("never taken");
    assert_eq!(failure.reason, Reason::NamespaceTerminating);
    assert_eq!(
        failure.evidence,
        [
            "namespace n: finalizer example.com/mine",
            "namespace n: NamespaceFinalizersRemaining: Some content in the namespace has finalizers remaining",
        ]
    );
}

#[tokio::test]
async fn an_aggregated_api_that_is_down_is_not_asked_for_what_others_serve() {
    let server = ApiServer::start(33).await.expect("a free port");
    server.fail("GET /apis/metrics.k8s.io", usize::MAX, Answer::status(503, "no metrics"));
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, _events) = run(10);
    apply(&client, &[config("a", "1"), deployment("x")], &run).await.expect("applied");
    let asked = server.requests();
    assert!(asked.iter().all(|asked| asked.contains("/configmaps") || asked.contains("/apps/v1/")), "{asked:?}");
}

#[tokio::test]
async fn a_refusal_names_the_object_the_words_and_a_next_step() {
    let server = ApiServer::start(33).await.expect("a free port");
    server.fail("PATCH", 1, Answer::status(422, "data: Invalid value"));
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, _events) = run(10);
    let failure = apply(&client, &[config("a", "1")], &run).await.expect_err("refused");
    assert_eq!(failure.reason, Reason::Apply);
    assert_eq!(failure.object.as_deref(), Some("configmap default/a"));
    assert_eq!(failure.causes, ["data: Invalid value"]);
    assert_eq!(failure.next_steps(), [Reason::Apply.entry().remedy]);
}

#[tokio::test]
async fn our_deployment_with_another_selector_is_made_anew_and_a_strangers_is_not() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, _events) = run(10);
    apply(&client, &[deployment("x")], &run).await.expect("applied");
    let done = apply(&client, &[deployment("y")], &run).await.expect("made anew");
    assert_eq!(changes(done), [("d".to_owned(), Change::Changed)]);
    let path = "/apis/apps/v1/namespaces/default/deployments/d";
    let mut live = server.get(path).expect("it is there");
    assert_eq!(live["spec"]["selector"], json!({"matchLabels": {"app": "y"}}));
    live["metadata"]["labels"] = json!({});
    server.put(live);
    let failure = apply(&client, &[deployment("z")], &run).await.expect_err("not ours to delete");
    assert_eq!(failure.object.as_deref(), Some("deployment default/d"));
    assert_eq!(server.get(path).expect("it is there")["spec"]["selector"], json!({"matchLabels": {"app": "y"}}));
}

/// Settings that say they never change, a Secret of another type, a Service that has no address any more.
#[tokio::test]
async fn what_cannot_be_changed_and_is_kept_nowhere_else_is_made_anew() {
    let one = |kind: &str, fields: Value| {
        let mut one = json!({"apiVersion": "v1", "kind": kind,
            "metadata": {"name": "a", "namespace": "default", "labels": {"app.kubernetes.io/managed-by": "sandbox"}}});
        one.as_object_mut().expect("a mapping").extend(fields.as_object().expect("fields").clone());
        object(one)
    };
    let service = |address: &str| json!({"spec": {"clusterIP": address, "ports": [{"port": 80, "protocol": "TCP"}]}});
    for (kind, plural, before, after, field) in [
        (
            "ConfigMap",
            "configmaps",
            json!({"immutable": true, "data": {"a": "1"}}),
            json!({"immutable": true, "data": {"a": "2"}}),
            "data",
        ),
        ("Secret", "secrets", json!({"type": "Opaque"}), json!({"type": "example.com/keys"}), "type"),
        ("Service", "services", service("None"), json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}]}}), "spec"),
    ] {
        let server = ApiServer::start(33).await.expect("a free port");
        let client = client(&server.kubeconfig()).expect("a client");
        let (run, _events) = run(10);
        apply(&client, &[one(kind, before)], &run).await.expect("applied");
        let done = apply(&client, &[one(kind, after.clone())], &run).await.expect("made anew");
        assert_eq!(changes(done), [("a".to_owned(), Change::Changed)], "{kind}");
        let live = server.get(&format!("/api/v1/namespaces/default/{plural}/a")).expect("it is there");
        assert_eq!(live[field], after[field], "{kind}");
    }
}

#[tokio::test]
async fn pruning_removes_what_vanished_and_is_ours_and_nothing_else() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, mut events) = run(10);
    let objects = [config("kept", "1"), config("vanished", "1"), config("gone-already", "1")];
    apply(&client, &objects[..2], &run).await.expect("applied");
    let theirs =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": "default"}});
    server.put(theirs.clone());
    let mut previous: BTreeMap<_, _> = objects.iter().map(|object| (object.reference(), None)).collect();
    previous.insert(object(theirs).reference(), None);
    let previous = Inventory {
        digest: Some("1".to_owned()),
        spec: Spec::default(),
        objects: previous,
        tables: BTreeSet::new(),
        proven: true,
        mended: BTreeSet::new(),
    };
    let now = BTreeSet::from([objects[0].reference()]);
    let pruned = prune(&client, &previous, &now, &run).await.expect("pruned");
    assert_eq!(pruned, [objects[1].reference()]);
    let there = |name: &str| server.get(&format!("/api/v1/namespaces/default/configmaps/{name}")).is_some();
    assert_eq!(["kept", "vanished", "theirs"].map(there), [true, false, true]);
    assert!(said(&mut events).contains("configmap default/theirs is rendered no longer"));
}

#[tokio::test]
async fn an_object_whose_api_version_moves_on_is_not_pruned() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, _events) = run(10);
    let at = |version: &str| ObjectRef {
        api_version: format!("rbac.authorization.k8s.io/{version}"),
        kind: "Role".to_owned(),
        namespace: Some("default".to_owned()),
        name: "r".to_owned(),
    };
    let previous = Inventory {
        digest: Some("1".to_owned()),
        spec: Spec::default(),
        objects: BTreeMap::from([(at("v1beta1"), None)]),
        tables: BTreeSet::new(),
        proven: true,
        mended: BTreeSet::new(),
    };
    let pruned = prune(&client, &previous, &BTreeSet::from([at("v1")]), &run).await.expect("pruned");
    assert_eq!((pruned, server.requests()), (vec![], vec![]));
}

#[tokio::test]
async fn an_inventory_comes_back_as_it_was_kept() {
    let server = ApiServer::start(33).await.expect("a free port");
    let client = client(&server.kubeconfig()).expect("a client");
    let (run, _events) = run(10);
    assert_eq!(find(&client).await.expect("readable"), None);
    let inventory = Inventory {
        digest: Some("abc".to_owned()),
        spec: Spec::default(),
        objects: BTreeMap::from([
            (config("a", "1").reference(), Some("digest".to_owned())),
            (config("b", "1").reference(), None),
        ]),
        tables: BTreeSet::from(["flyte_development.projects".to_owned(), "flyte_development.tasks".to_owned()]),
        proven: true,
        mended: BTreeSet::from([config("b", "1").reference()]),
    };
    save(&client, "default", &inventory, &run).await.expect("kept");
    let kept = server.get("/api/v1/namespaces/default/secrets/sandbox-inventory").expect("in a Secret");
    assert!(!kept.to_string().contains(inventory.spec.storage.secret_key.expose()), "only in Base64: {kept}");
    assert_eq!(find(&client).await.expect("readable"), Some(inventory));
}

#[tokio::test]
async fn an_inventory_that_an_earlier_version_kept_while_its_up_did_not_end_is_read() {
    const SPEC: &str = r#"{"name":"flyte","appid":"103020","systemProject":"flytepoc","env":"dev","projects":["x"],
        "domains":[{"id":"d-dev","name":"d-dev"}],"ports":{"console":30081,"dashboard":30082,"minio":30084},
        "kubernetes":"v1.21","nodeImage":"rancher/k3s:v1.21.2-k3s1","images":{},
        "storage":{"bucket":"my-s3-bucket","accessKey":"minio","credentials":{"file":"/keys/{project}"}}}"#;
    const OBJECTS: &str = r#"[
        [{"apiVersion":"v1","kind":"ConfigMap","namespace":"default","name":"a"},"0a1b"],
        [{"apiVersion":"v1","kind":"ConfigMap","namespace":"default","name":"b"},""]]"#;
    let data = [("digest", ""), ("issuedKeys", "{}"), ("objects", OBJECTS), ("secretKey", "s"), ("spec", SPEC)];
    let data: BTreeMap<_, _> = data.map(|(key, text)| (key, ByteString(text.as_bytes().to_vec()))).into();
    let server = ApiServer::start(33).await.expect("a free port");
    server.put(json!({"apiVersion": "v1", "kind": "Secret", "data": data,
        "metadata": {"name": "sandbox-inventory", "namespace": "default"}}));
    let client = client(&server.kubeconfig()).expect("a client");
    let found = find(&client).await.expect("readable").expect("kept");
    assert_eq!((found.digest, found.spec.storage.keys_of("x")), (None, None));
    assert_eq!(found.objects.into_values().collect::<Vec<_>>(), [Some("0a1b".to_owned()), None]);
}

#[tokio::test]
async fn a_damaged_inventory_is_a_failure_with_a_next_step() {
    let server = ApiServer::start(33).await.expect("a free port");
    server.put(json!({"apiVersion": "v1", "kind": "Secret", "data": {"digest": "MQ==", "objects": "Ww=="},
        "metadata": {"name": "sandbox-inventory", "namespace": "default"}}));
    let client = client(&server.kubeconfig()).expect("a client");
    let failure = find(&client).await.expect_err("damaged");
    assert_eq!(failure.object.as_deref(), Some("secret sandbox-inventory"));
    assert!(!failure.hints.is_empty());
}

#[tokio::test]
async fn an_object_that_is_made_anew_while_its_delete_travels_is_gone_and_the_new_one_stays() {
    let api = ApiServer::start(21).await.expect("a free port");
    let client = client(&api.kubeconfig()).expect("a client");
    let path = "/api/v1/namespaces/default/configmaps/a";
    let (run, _events) = run(8);
    apply(&client, &[config("a", "1")], &run).await.expect("applied");
    let before = Inventory {
        digest: None,
        spec: Spec::default(),
        objects: BTreeMap::from([(config("a", "1").reference(), None)]),
        tables: BTreeSet::new(),
        proven: true,
        mended: BTreeSet::new(),
    };
    let first = api.get(path).expect("there")["metadata"]["uid"].clone();
    api.fail("DELETE", 1, Answer::Late(500));
    let other = async {
        until("a DELETE", || api.requests().iter().any(|request| request.starts_with("DELETE"))).await;
        api.remove(path);
        api.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}));
    };
    let now = BTreeSet::new();
    let (pruned, ()) = tokio::join!(prune(&client, &before, &now, &run), other);
    assert_eq!(pruned.expect("the one that was ours is gone").len(), 1);
    assert_ne!(api.get(path).expect("the new one")["metadata"]["uid"], first);
    assert_eq!(api.requests().iter().filter(|request| request.starts_with("DELETE")).count(), 1);
}
