//! The objects of the API, and its verbs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::merge::{conflicts, merged, updated};
use super::path::Path;
use super::refusal::{already_exists, not_found, refusal};
use super::schema::untyped;
use super::validate::invalid;

/// The query parameters of a request.
pub(super) type Parameters = HashMap<String, String>;

/// Changes that a watch can begin before; the API's own window is five minutes.
const HISTORY: usize = 10_000;

struct Watcher {
    at: Path,
    to: UnboundedSender<String>,
}

/// All objects of the API.
#[derive(Default)]
pub(super) struct Store {
    minor: u32,
    pub(super) version: u64,
    pub(super) objects: BTreeMap<Path, Value>,
    history: VecDeque<(u64, Path, String)>,
    watchers: Vec<Watcher>,
}

impl Store {
    /// An empty store of Kubernetes `1.minor`.
    pub(super) fn new(minor: u32) -> Self {
        Self { minor, ..Self::default() }
    }

    /// Creates or replaces an object, and notifies watches.
    pub(super) fn put(&mut self, path: Path, mut object: Value) -> Value {
        self.version += 1;
        let before = self.objects.get(&path);
        let kept =
            |field: &str| before.map(|before| before["metadata"][field].clone()).filter(|value| !value.is_null());
        let metadata = &object["metadata"];
        let given = |field: &str| Some(metadata[field].clone()).filter(|value| !value.is_null());
        let uid = kept("uid").or(given("uid")).unwrap_or_else(|| format!("uid-{}", self.version).into());
        let born = kept("creationTimestamp").unwrap_or_else(|| now().into());
        let same_spec = before.is_some_and(|before| before["spec"] == object["spec"]);
        let generation = kept("generation").and_then(|value| value.as_u64()).unwrap_or(0) + u64::from(!same_spec);
        let generation = given("generation").filter(|_| before.is_none()).unwrap_or_else(|| generation.into());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        for (field, value) in [("uid", uid), ("creationTimestamp", born), ("generation", generation)] {
            object["metadata"][field] = value;
        }
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if object["kind"] == "CustomResourceDefinition" {
            object["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
        }
        self.notify(kind, &path, &object);
        self.objects.insert(path, object.clone());
        object
    }

    fn notify(&mut self, kind: &str, path: &Path, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.watchers.retain(|watcher| !watcher.at.holds(path) || watcher.to.send(line.clone()).is_ok());
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back((self.version, path.clone(), line));
    }

    /// The minor version, such as `21`.
    pub(super) const fn minor(&self) -> u32 {
        self.minor
    }

    /// A watch, which ends after `timeoutSeconds` if set.
    pub(super) fn watch(&mut self, at: Path, parameters: &Parameters) -> Response {
        let number = |key: &str| parameters.get(key).and_then(|value| value.parse().ok());
        let since = number("resourceVersion").unwrap_or(0);
        let end = number("timeoutSeconds").map(Duration::from_secs);
        let (to, from) = unbounded_channel();
        for (_, _, line) in self.history.iter().filter(|(version, path, _)| *version > since && at.holds(path)) {
            let _ = to.send(line.clone());
        }
        self.watchers.push(Watcher { at, to });
        let lines = stream::unfold(from, async |mut from| from.recv().await.map(|line| (line, from)));
        let ended = async move {
            match end {
                Some(end) => tokio::time::sleep(end).await,
                None => std::future::pending().await,
            }
        };
        Body::from_stream(lines.take_until(Box::pin(ended)).map(Ok::<_, std::io::Error>)).into_response()
    }

    pub(super) fn apply(&mut self, path: Path, body: &Value, parameters: &Parameters) -> Response {
        let Some(manager) = parameters.get("fieldManager") else {
            return refusal(
                422,
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
            );
        };
        if !body["metadata"]["managedFields"].is_null() {
            return refusal(400, "metadata.managedFields must be nil");
        }
        if self.minor < 22
            && let Some(bug) = bug_before_1_22(body)
        {
            return refusal(500, &bug);
        }
        if let Some(refusal) = self.missing_namespace(&path) {
            return refusal;
        }
        if let Some(why) = untyped(body) {
            return refusal(500, &why);
        }
        let live = self.objects.get(&path).cloned();
        if parameters.get("force").is_none_or(|force| force != "true")
            && let Some(live) = &live
        {
            let found = conflicts(live, body, manager);
            if !found.is_empty() {
                return refusal(409, &told(&found));
            }
        }
        let next = merged(live.as_ref().unwrap_or(&json!({})), body, manager, &now());
        if let Some(why) = invalid(&next, live.as_ref(), self.objects.values()) {
            return refusal(422, &why);
        }
        if parameters.contains_key("dryRun") {
            return Json(next).into_response();
        }
        match live {
            Some(live) if live == next => Json(live).into_response(),
            Some(_) => Json(self.put(path, next)).into_response(),
            None => (StatusCode::CREATED, Json(self.put(path, next))).into_response(),
        }
    }

    /// A POST to a collection.
    pub(super) fn create(&mut self, at: &Path, object: Value) -> Response {
        let mut path = Path::of(&object);
        if path.namespace.is_empty() {
            path.namespace.clone_from(&at.namespace);
        }
        if path.name.is_empty() || !at.holds(&path) {
            return refusal(400, "the object does not belong here, or has no name");
        }
        if self.objects.contains_key(&path) {
            return already_exists(&path);
        }
        if let Some(refusal) = self.missing_namespace(&path) {
            return refusal;
        }
        let mut object = object;
        if !path.namespace.is_empty() {
            object["metadata"]["namespace"] = path.namespace.clone().into();
        }
        (StatusCode::CREATED, Json(self.put(path, object))).into_response()
    }

    fn missing_namespace(&self, path: &Path) -> Option<Response> {
        let lost = !path.namespace.is_empty() && !self.objects.contains_key(&path.home());
        lost.then(|| not_found(&path.home()))
    }

    /// A merge patch; one with a resource version must match the live one.
    pub(super) fn merge(&mut self, path: Path, body: &Value, parameters: &Parameters) -> Response {
        let Some(live) = self.objects.get(&path).cloned() else { return not_found(&path) };
        let wanted = &body["metadata"]["resourceVersion"];
        if !wanted.is_null() && *wanted != live["metadata"]["resourceVersion"] {
            return refusal(
                409,
                &format!(
                    "Operation cannot be fulfilled on {} \"{}\": the object has been modified; please apply your changes to the latest version and try again",
                    path.qualified(),
                    path.name
                ),
            );
        }
        let mut next = live.clone();
        json_patch::merge(&mut next, body);
        let manager = parameters.get("fieldManager").map_or("unknown", String::as_str);
        let answer =
            Json(if next == live { live } else { self.put(path.clone(), updated(&live, next, manager, &now())) });
        let answer = answer.into_response();
        self.release(&path);
        answer
    }

    pub(super) fn delete(&mut self, path: &Path, body: &Value) -> Response {
        let Some(object) = self.objects.get(path) else { return not_found(path) };
        let wanted = &body["preconditions"]["uid"];
        if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
            return refusal(409, "the UID in the precondition does not match");
        }
        if self.is_held(path, object) {
            let mut ending = object.clone();
            if ending["metadata"]["deletionTimestamp"].is_null() {
                ending["metadata"]["deletionTimestamp"] = now().into();
                self.put(path.clone(), ending);
            }
            self.delete_within(path);
            return Json(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
                .into_response();
        }
        self.version += 1;
        let object = self.objects.remove(path).unwrap_or_default();
        self.notify("DELETED", path, &object);
        self.delete_within(path);
        Json(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})).into_response()
    }

    /// Deletes every object of a namespace that is of this kind.
    pub(super) fn delete_all(&mut self, at: &Path) -> Response {
        let all: Vec<_> = self.objects.keys().filter(|path| at.holds(path)).cloned().collect();
        all.iter().for_each(|path| _ = self.delete(path, &Value::Null));
        Json(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})).into_response()
    }

    /// True if the object waits for a finalizer, its own or, for a namespace, one of its objects.
    fn is_held(&self, path: &Path, object: &Value) -> bool {
        let finalizers =
            |object: &Value| object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty());
        let within = |inner: &Path| path.plural == "namespaces" && inner.namespace == path.name;
        finalizers(object) || self.objects.iter().any(|(inner, object)| within(inner) && finalizers(object))
    }

    fn delete_within(&mut self, path: &Path) {
        let within: Vec<_> = match path.plural.as_str() {
            "namespaces" => self.objects.keys().filter(|inner| inner.namespace == path.name).cloned().collect(),
            _ => Vec::new(),
        };
        for inner in within {
            self.delete(&inner, &Value::Null);
        }
    }

    /// Removes objects whose last finalizer is gone, and the namespace that waited for them.
    pub(super) fn release(&mut self, path: &Path) {
        for path in [path, &path.home()] {
            let ending = |object: &&Value| !object["metadata"]["deletionTimestamp"].is_null();
            if self.objects.get(path).filter(ending).is_some() {
                self.delete(path, &Value::Null);
            }
        }
    }
}

fn now() -> String {
    humantime::format_rfc3339_micros(SystemTime::now()).to_string()
}

/// The message for conflicts: `Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas`.
fn told(found: &[(String, String)]) -> String {
    let count = if found.len() == 1 { "1 conflict".to_owned() } else { format!("{} conflicts", found.len()) };
    let each: Vec<_> = found.iter().map(|(manager, field)| format!("conflict with \"{manager}\": {field}")).collect();
    format!("Apply failed with {count}: {}", each.join("\n"))
}

/// The rule of Kubernetes before 1.22 that list keys and quantities are complete in an apply.
fn bug_before_1_22(body: &Value) -> Option<String> {
    let every = |pointer: &str| body.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let containers = || every("/spec/template/spec/containers").chain(every("/spec/template/spec/initContainers"));
    let of_containers = containers().flat_map(|container| container["ports"].as_array().into_iter().flatten());
    if every("/spec/ports").chain(of_containers).any(|port| port["protocol"].is_null()) {
        return Some("failed to create typed patch object: associative list with keys has an element that omits key field \"protocol\"".into());
    }
    let mut amounts =
        containers().flat_map(|container| ["limits", "requests"].map(|part| &container["resources"][part]));
    let number = amounts.any(|part| part.as_object().is_some_and(|map| map.values().any(Value::is_number)));
    number.then(|| "failed to create typed patch object: expected string, got &value.valueUnstructured".into())
}
