//! A Kubernetes API in memory: objects, server-side apply, watches, access reviews, logs, and faults on demand.
//!
//! It speaks plain HTTP on a free port of the loopback address and knows no controllers: a test says what becomes of a
//! workload by [`ApiServer::put`].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::merge::{lay_over, merged};

type Parameters = HashMap<String, String>;
type Allow = Box<dyn Fn(&Value) -> bool + Send>;

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// An answer with this code and message.
    Answer(u16, &'static str),
    /// The connection breaks within the answer.
    Reset,
}

/// Where an object is: API root (`api/v1`, `apis/apps/v1`), plural, namespace (empty where cluster-scoped), name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Path {
    root: String,
    plural: String,
    namespace: String,
    name: String,
    part: String,
}

impl Path {
    fn parse(path: &str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/');
        let root = match (parts.next()?, parts.next()?) {
            ("api", version) => format!("api/{version}"),
            ("apis", group) => format!("apis/{group}/{}", parts.next()?),
            _ => return None,
        };
        let rest: Vec<_> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let at = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
        Some(Self { root, plural: at(0), namespace: namespace.to_owned(), name: at(1), part: at(2) })
    }

    fn holds(&self, other: &Self) -> bool {
        let same = (&self.root, &self.plural) == (&other.root, &other.plural);
        same && (self.namespace.is_empty() || self.namespace == other.namespace)
    }
}

struct Watcher {
    at: Path,
    to: UnboundedSender<String>,
}

#[derive(Default)]
struct Store {
    minor: u32,
    version: u64,
    objects: BTreeMap<Path, Value>,
    history: Vec<(u64, Path, String)>,
    watchers: Vec<Watcher>,
    faults: Vec<(String, usize, Fault)>,
    logs: BTreeMap<String, String>,
    requests: Vec<String>,
    allow: Option<Allow>,
}

/// A running API server; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct ApiServer {
    store: Arc<Mutex<Store>>,
    address: String,
}

impl ApiServer {
    /// A server of Kubernetes `1.minor` with the namespaces `default` and `kube-system`.
    pub(crate) async fn start(minor: u32) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Self::at(&listener.local_addr().expect("an address").to_string(), minor);
        let app = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    }

    /// The same, to be served by the caller through [`ApiServer::respond`].
    pub(crate) fn at(address: &str, minor: u32) -> Self {
        let store = Arc::new(Mutex::new(Store { minor, ..Store::default() }));
        let server = Self { store, address: address.to_owned() };
        for name in ["default", "kube-system"] {
            server.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        }
        server
    }

    /// Answers one request.
    pub(crate) async fn respond(&self, request: Request) -> Response {
        answer.call(request, self.clone()).await
    }

    /// Every object.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.lock().objects.values().cloned().collect()
    }

    /// Looks at every object, where they are.
    #[allow(dead_code, reason = "only a node that plays looks at all of them")]
    pub(crate) fn read<T>(&self, look: impl FnOnce(&[&Value]) -> T) -> T {
        let store = self.lock();
        look(&store.objects.values().collect::<Vec<_>>())
    }

    /// Rises with every change.
    #[allow(dead_code, reason = "only a node that plays looks for changes")]
    pub(crate) fn version(&self) -> u64 {
        self.lock().version
    }

    /// Changes the object at a path, if it is there, as a controller would.
    pub(crate) fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let path = Path::parse(path).expect("an API path");
        let mut store = self.lock();
        let Some(before) = store.objects.get(&path).cloned() else { return };
        let mut after = before.clone();
        change(&mut after);
        if after != before {
            store.store(path.clone(), after);
            store.release(&path);
        }
    }

    /// Removes the object at a path, if it is there.
    pub(crate) fn remove(&self, path: &str) {
        let path = Path::parse(path).expect("an API path");
        self.lock().delete(&path, &Value::Null);
    }

    /// A kubeconfig that leads here.
    pub(crate) fn kubeconfig(&self) -> String {
        json!({"apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": format!("http://{}", self.address)}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            "users": [{"name": "fake", "user": {}}]})
        .to_string()
    }

    /// Makes the object be as given, as a controller would, and tells the watches.
    pub(crate) fn put(&self, object: Value) {
        let path = path_of(&object);
        self.lock().store(path, object);
    }

    /// The object at a path such as `/api/v1/namespaces/n/configmaps/c`.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.lock().objects.get(&Path::parse(path).expect("an API path")).cloned()
    }

    /// The next `times` requests whose `METHOD /path` contains `what` go wrong.
    pub(crate) fn fail(&self, what: &str, times: usize, fault: Fault) {
        self.lock().faults.push((what.to_owned(), times, fault));
    }

    /// What a container logged, in its present or its previous run.
    pub(crate) fn log(&self, pod: &str, container: &str, previous: bool, text: &str) {
        self.lock().logs.insert(format!("{pod}/{container}/{previous}"), text.to_owned());
    }

    /// Decides access reviews, by their `spec`; without it all is allowed.
    #[expect(dead_code, reason = "for the tests of the permission checks")]
    pub(crate) fn allow(&self, decide: impl Fn(&Value) -> bool + Send + 'static) {
        self.lock().allow = Some(Box::new(decide));
    }

    /// All requests so far, as `METHOD /path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no test panics while it holds the store")
    }
}

fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        _ if kind == "endpoints" => kind,
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}

fn path_of(object: &Value) -> Path {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let version = text("/apiVersion");
    Path {
        root: if version.contains('/') { format!("apis/{version}") } else { format!("api/{version}") },
        plural: plural(text("/kind")),
        namespace: text("/metadata/namespace").to_owned(),
        name: text("/metadata/name").to_owned(),
        part: String::new(),
    }
}

impl Store {
    fn store(&mut self, path: Path, mut object: Value) -> Value {
        self.version += 1;
        let before = self.objects.get(&path);
        let kept =
            |field: &str| before.map(|before| before["metadata"][field].clone()).filter(|value| !value.is_null());
        let metadata = &object["metadata"];
        let given = |field: &str| Some(metadata[field].clone()).filter(|value| !value.is_null());
        let uid = kept("uid").or(given("uid")).unwrap_or_else(|| format!("uid-{}", self.version).into());
        let born = kept("creationTimestamp").unwrap_or_else(|| self.now().into());
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
        self.tell(kind, &path, &object);
        self.objects.insert(path, object.clone());
        object
    }

    fn now(&self) -> String {
        format!("2021-06-01T{:02}:{:02}:{:02}Z", self.version / 3600 % 24, self.version / 60 % 60, self.version % 60)
    }

    fn tell(&mut self, kind: &str, path: &Path, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.watchers.retain(|watcher| !watcher.at.holds(path) || watcher.to.send(line.clone()).is_ok());
        self.history.push((self.version, path.clone(), line));
    }

    fn list(&self, at: &Path, parameters: &Parameters) -> Value {
        let there = self.objects.iter().filter(|(path, object)| at.holds(path) && selected(object, parameters));
        let items: Vec<_> = there.map(|(_, object)| object).collect();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": self.version.to_string()}, "items": items})
    }

    fn watch(&mut self, at: Path, since: u64) -> Response {
        let (to, from) = unbounded_channel();
        for (_, _, line) in self.history.iter().filter(|(version, path, _)| *version > since && at.holds(path)) {
            to.send(line.clone()).expect("the receiver is here");
        }
        self.watchers.push(Watcher { at, to });
        let lines = stream::unfold(from, async |mut from| from.recv().await.map(|line| (line, from)));
        Body::from_stream(lines.map(Ok::<_, std::io::Error>)).into_response()
    }

    fn apply(&mut self, path: Path, body: &Value, parameters: &Parameters) -> Response {
        let Some(manager) = parameters.get("fieldManager") else {
            return refusal(400, "fieldManager is required for apply patch");
        };
        if !body["metadata"]["managedFields"].is_null() {
            return refusal(400, "metadata.managedFields must be nil");
        }
        if self.minor < 22
            && let Some(bug) = bug_before_1_22(body)
        {
            return refusal(500, &bug);
        }
        let home = Path {
            root: "api/v1".into(),
            plural: "namespaces".into(),
            name: path.namespace.clone(),
            ..Path::default()
        };
        if !path.namespace.is_empty() && !self.objects.contains_key(&home) {
            return refusal(404, &format!("namespaces \"{}\" not found", path.namespace));
        }
        let live = self.objects.get(&path).cloned();
        let next = merged(live.as_ref().unwrap_or(&json!({})), body, manager, &self.now());
        for (plural, field) in [("deployments", "selector"), ("jobs", "template")] {
            let changes = live.as_ref().is_some_and(|live| live["spec"][field] != next["spec"][field]);
            if path.plural == plural && changes {
                return refusal(422, &format!("{} is invalid: spec.{field}: field is immutable", path.name));
            }
        }
        match live {
            Some(live) if live == next => axum::Json(live).into_response(),
            _ => axum::Json(self.store(path, next)).into_response(),
        }
    }

    /// A merge patch; one that names a version wants it to be the live one.
    fn merge(&mut self, path: Path, body: &Value) -> Response {
        let Some(live) = self.objects.get(&path).cloned() else { return not_found(&path) };
        let wanted = &body["metadata"]["resourceVersion"];
        if !wanted.is_null() && *wanted != live["metadata"]["resourceVersion"] {
            return refusal(409, "the object has been modified");
        }
        let mut next = live.clone();
        lay_over(&mut next, body);
        let answer = axum::Json(if next == live { live } else { self.store(path.clone(), next) }).into_response();
        self.release(&path);
        answer
    }

    fn delete(&mut self, path: &Path, body: &Value) -> Response {
        let Some(object) = self.objects.get(path) else { return not_found(path) };
        let wanted = &body["preconditions"]["uid"];
        if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
            return refusal(409, "the UID in the precondition does not match");
        }
        if self.is_held(path, object) {
            let mut ending = object.clone();
            if ending["metadata"]["deletionTimestamp"].is_null() {
                ending["metadata"]["deletionTimestamp"] = self.now().into();
                self.store(path.clone(), ending);
            }
            self.delete_within(path);
            return axum::Json(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})).into_response();
        }
        self.version += 1;
        let object = self.objects.remove(path).unwrap_or_default();
        self.tell("DELETED", path, &object);
        self.delete_within(path);
        axum::Json(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})).into_response()
    }

    /// Whether the object waits for a finalizer of its own, or, a namespace, for one of what is in it.
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

    /// Removes what was only held by a finalizer that is gone now, and the namespace that waited for it.
    fn release(&mut self, path: &Path) {
        let home = Path {
            root: "api/v1".into(),
            plural: "namespaces".into(),
            name: path.namespace.clone(),
            ..Path::default()
        };
        for path in [path, &home] {
            let ending = |object: &&Value| !object["metadata"]["deletionTimestamp"].is_null();
            if self.objects.get(path).filter(ending).is_some() {
                self.delete(path, &Value::Null);
            }
        }
    }

    fn review(&self, mut body: Value) -> Response {
        let allowed = self.allow.as_ref().is_none_or(|allow| allow(&body["spec"]));
        body["status"] = json!({"allowed": allowed});
        (StatusCode::CREATED, axum::Json(body)).into_response()
    }

    fn fault(&mut self, request: &str) -> Option<Fault> {
        let (_, times, fault) =
            self.faults.iter_mut().find(|(what, times, _)| *times > 0 && request.contains(what.as_str()))?;
        *times -= 1;
        Some(fault.clone())
    }
}

/// Whether a list's selectors choose the object: `key`, `key=value`, and the field `metadata.name`.
fn selected(object: &Value, parameters: &Parameters) -> bool {
    let part = |key: &str| parameters.get(key).map(String::as_str).unwrap_or_default();
    let labels = part("labelSelector").split(',').filter(|wanted| !wanted.is_empty());
    let mut labels = labels.map(|wanted| match wanted.split_once('=') {
        Some((key, value)) => object["metadata"]["labels"][key] == value.trim_start_matches('='),
        None => !object["metadata"]["labels"][wanted].is_null(),
    });
    let name = part("fieldSelector").strip_prefix("metadata.name=");
    labels.all(|chosen| chosen) && name.is_none_or(|name| object["metadata"]["name"] == name)
}

/// Kubernetes before 1.22 wants list keys and quantities written out in an apply.
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

pub(crate) fn refusal(code: u16, message: &str) -> Response {
    let reasons = [(400, "BadRequest"), (403, "Forbidden"), (404, "NotFound"), (409, "Conflict"), (422, "Invalid")];
    let reason = reasons.iter().find(|(known, _)| *known == code).map_or("InternalError", |(_, reason)| reason);
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message, "reason": reason});
    (StatusCode::from_u16(code).expect("an HTTP status"), axum::Json(status)).into_response()
}

fn not_found(path: &Path) -> Response {
    refusal(404, &format!("{} \"{}\" not found", path.plural, path.name))
}

async fn answer(
    State(server): State<ApiServer>,
    method: Method,
    uri: Uri,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut store = server.lock();
    let request = format!("{method} {}", uri.path());
    store.requests.push(request.clone());
    match store.fault(&request) {
        Some(Fault::Answer(code, message)) => return refusal(code, message),
        Some(Fault::Reset) => {
            let broken = stream::iter([Ok("{"), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))]);
            return Body::from_stream(broken).into_response();
        }
        None => {}
    }
    if uri.path() == "/readyz" {
        return "ok".into_response();
    }
    if uri.path() == "/version" {
        let minor = store.minor.to_string();
        let version = format!("v1.{minor}.0+fake");
        return axum::Json(json!({"major": "1", "minor": minor, "gitVersion": version})).into_response();
    }
    let Some(path) = Path::parse(uri.path()) else {
        return refusal(404, "the server could not find the requested resource");
    };
    let body = || serde_json::from_slice(&body).unwrap_or(Value::Null);
    match method.as_str() {
        "GET" if path.part == "log" => {
            let name = |key: &str| parameters.get(key).cloned().unwrap_or_default();
            let previous = parameters.contains_key("previous");
            let log = store.logs.get(&format!("{}/{}/{previous}", path.name, name("container")));
            log.cloned()
                .map_or_else(|| refusal(400, "previous terminated container not found"), IntoResponse::into_response)
        }
        "GET" if path.name.is_empty() && parameters.contains_key("watch") => {
            let since = parameters.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
            store.watch(path, since)
        }
        "GET" if path.name.is_empty() => axum::Json(store.list(&path, &parameters)).into_response(),
        "GET" => {
            store.objects.get(&path).map_or_else(|| not_found(&path), |found| axum::Json(found.clone()).into_response())
        }
        "PATCH" if headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/merge-patch+json") => {
            store.merge(path, &body())
        }
        "PATCH" => store.apply(path, &body(), &parameters),
        "DELETE" => store.delete(&path, &body()),
        "POST" if path.plural.ends_with("subjectaccessreviews") => store.review(body()),
        _ => refusal(405, "not supported by this stand-in"),
    }
}
