//! A Kubernetes API in memory: objects, server-side apply with field ownership, watches, access reviews, logs, discovery,
//! and faults on demand. It speaks plain HTTP and knows no controllers: somebody says what becomes of a workload.
//!
//! What it leaves out: authentication, admission, defaults, lists that merge by a key, and what validation asks of fields
//! that hardly anybody sets.
//!
//! | file | what |
//! |---|---|
//! | `path.rs` | paths of the Kubernetes API |
//! | `store.rs` | the objects of the API, and its verbs |
//! | `list.rs` | lists, whole or in pages |
//! | `log.rs` | a container's log, and what comes |
//! | `merge.rs` | server-side apply, as far as plain values go |
//! | `access.rs` | access reviews, answered from the Roles and bindings that were applied |
//! | `discovery.rs` | API discovery: enough for `kubectl`, and for clients that ask for one group |
//! | `schema.rs` | fields and types of a kind, as server-side apply asks for them |
//! | `validate/` | what the API refuses of objects that it reads |
//! | `refusal.rs` | error responses of the API |

mod access;
mod discovery;
mod list;
mod log;
mod merge;
mod path;
mod refusal;
mod schema;
mod store;
mod validate;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Query, Request};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::faults::{self, Answer};
use path::Path;
use store::{Parameters, Store};

pub(super) use merge::overlay;
pub(super) use refusal::refusal;

/// The largest body of a request, in bytes.
const BODY_LIMIT: usize = 8 << 20;
/// Requests to remember.
const REQUESTS: usize = 10_000;

#[derive(Default)]
struct State {
    store: Store,
    faults: Vec<faults::Request>,
    logs: BTreeMap<String, String>,
    requests: VecDeque<String>,
}

/// A Kubernetes API in memory; every clone is the same one.
#[derive(Clone)]
pub struct ApiServer {
    state: Arc<Mutex<State>>,
    address: String,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// A server of Kubernetes `1.minor` on a free port of the loopback address, with the namespaces `default` and
    /// `kube-system`. It ends with the runtime.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start(minor: u32) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let server = Self::at(&listener.local_addr()?.to_string(), minor);
        let answering = server.clone();
        let app = Router::new().fallback(async move |request: Request| answering.respond(request).await);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(server)
    }

    /// An API at `address` that the caller serves through [`ApiServer::respond`].
    #[must_use]
    pub fn at(address: &str, minor: u32) -> Self {
        let state = State { store: Store::new(minor), ..State::default() };
        let server = Self { state: Arc::new(Mutex::new(state)), address: address.to_owned() };
        for name in ["default", "kube-system"] {
            server.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        }
        server
    }

    /// Every object.
    #[must_use]
    pub fn objects(&self) -> Vec<Value> {
        self.lock().store.objects.values().cloned().collect()
    }

    /// Reads every object in place.
    pub fn read<T>(&self, look: impl FnOnce(&[&Value]) -> T) -> T {
        let state = self.lock();
        look(&state.store.objects.values().collect::<Vec<_>>())
    }

    /// The resource version, which rises with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.lock().store.version
    }

    /// Creates or replaces an object, as a controller would, and notifies watches.
    pub fn put(&self, object: Value) {
        self.lock().store.put(Path::of(&object), object);
    }

    /// The object at a path such as `/api/v1/namespaces/n/configmaps/c`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Value> {
        self.lock().store.objects.get(&Path::parse(path)?).cloned()
    }

    /// Changes the object at a path, if it exists, as a controller would.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let Some(path) = Path::parse(path) else { return };
        let store = &mut self.lock().store;
        let Some(before) = store.objects.get(&path).cloned() else { return };
        let mut after = before.clone();
        change(&mut after);
        if after != before {
            store.put(path.clone(), after);
            store.release(&path);
        }
    }

    /// Removes the object at a path, if it exists.
    pub fn remove(&self, path: &str) {
        if let Some(path) = Path::parse(path) {
            self.lock().store.delete(&path, &Value::Null);
        }
    }

    /// A kubeconfig for this API, with the context `rehearsal`.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_for("rehearsal")
    }

    /// A kubeconfig for this API, with a context, a cluster and a user of this name.
    #[must_use]
    pub fn kubeconfig_for(&self, name: &str) -> String {
        json!({"apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": format!("http://{}", self.address)}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [{"name": name, "user": {}}]})
        .to_string()
    }

    /// Injects an answer to the next `times` requests whose `METHOD /path` contains `what`.
    pub fn fail(&self, what: &str, times: usize, answer: Answer) {
        self.lock().faults.push(faults::Request { what: what.to_owned(), times: Some(times), answer });
    }

    /// Sets a container's log, of its present or its previous run.
    pub fn log(&self, pod: &str, container: &str, previous: bool, text: &str) {
        self.lock().logs.insert(format!("{pod}/{container}/{previous}"), text.to_owned());
    }

    /// The requests so far, the newest ten thousand, as `METHOD /path`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.lock().requests.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request.
    pub async fn respond(&self, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        let asked = format!("{} {}", parts.method, parts.uri.path());
        let due = {
            let mut state = self.lock();
            if state.requests.len() == REQUESTS {
                state.requests.pop_front();
            }
            state.requests.push_back(asked.clone());
            faults::due(&mut state.faults, &asked)
        };
        if let Some(answer) = due
            && let Some(response) = answer.response(true).await
        {
            return response;
        }
        let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
            return refusal(413, "Request entity too large: limit is 8388608");
        };
        let parameters = Query::<Parameters>::from_request_parts(&mut parts, &()).await;
        let parameters = parameters.map(|Query(parameters)| parameters).unwrap_or_default();
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        self.answer(&parts.method, parts.uri.path(), &parameters, kind, &body)
    }

    fn answer(&self, method: &Method, at: &str, parameters: &Parameters, kind: &str, body: &Bytes) -> Response {
        let state = &mut *self.lock();
        let store = &mut state.store;
        match at {
            "/readyz" | "/livez" | "/healthz" => return "ok".into_response(),
            "/version" => {
                let minor = store.minor().to_string();
                let version = format!("v1.{minor}.0+rehearsal");
                return Json(json!({"major": "1", "minor": minor, "gitVersion": version})).into_response();
            }
            _ => {}
        }
        if let Some(discovered) = discovery::answer(at, store.minor(), store.objects.iter()) {
            return Json(discovered).into_response();
        }
        let Some(path) = Path::parse(at).filter(|path| !path.plural.is_empty()) else {
            return refusal(404, "the server could not find the requested resource");
        };
        let there = store.objects.keys().any(|other| path.holds(other));
        if !there && !discovery::serves(&path, store.minor(), store.objects.iter()) {
            return refusal(404, "the server could not find the requested resource");
        }
        let body = || serde_json::from_slice(body).unwrap_or(Value::Null);
        match method.as_str() {
            "GET" if path.part == "log" => {
                let pod = Path { part: String::new(), ..path.clone() };
                match store.objects.get(&pod) {
                    Some(found) => log::answer(self, &state.logs, &path, found, parameters),
                    None => refusal::not_found(&pod),
                }
            }
            "GET" if path.name.is_empty() && parameters.contains_key("watch") => store.watch(path, parameters),
            "GET" if path.name.is_empty() => store.list(&path, parameters),
            "GET" => match store.objects.get(&path) {
                Some(found) => Json(found.clone()).into_response(),
                None => refusal::not_found(&path),
            },
            "PATCH" if kind == "application/merge-patch+json" => store.merge(path, &body(), parameters),
            "PATCH" => store.apply(path, &body(), parameters),
            "DELETE" if path.name.is_empty() => store.delete_all(&path),
            "DELETE" => store.delete(&path, &body()),
            "POST" if path.plural.ends_with("subjectaccessreviews") => review(store, body()),
            "POST" if path.name.is_empty() => store.create(&path, body()),
            _ => refusal(405, "the server does not allow this method on the requested resource"),
        }
    }
}

/// The answer to a SelfSubjectAccessReview: the caller is the administrator.
fn review(store: &Store, mut review: Value) -> Response {
    let allowed = review["kind"] == "SelfSubjectAccessReview" || {
        let objects: Vec<_> = store.objects.values().collect();
        access::allowed(&objects, &review["spec"])
    };
    review["status"] = json!({"allowed": allowed});
    (StatusCode::CREATED, Json(review)).into_response()
}
