//! An attached cluster: a Kubernetes API whose user has permissions in some namespaces only, with a Flyte
//! in them as soon as it is applied. Whatever is asked beyond is refused, and remembered.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use flyte_sandbox::lifecycle;
use flyte_sandbox::manifest::Bundle;
use flyte_sandbox::plan::Plan;
use flyte_sandbox::rehearsal::{ApiServer, Faults, Projects};
use flyte_sandbox::release::Release;
use flyte_sandbox::render::render;
use flyte_sandbox::report::{Event, Reporter};
use flyte_sandbox::run::{Deadline, Run};
use flyte_sandbox::site::Host;
use flyte_sandbox::smoke::Executions;
use flyte_sandbox::spec::{EngineKind, Spec};
use flyte_sandbox::state::StateRoot;
use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::flyte::FakeFlyte;

const ADMIN: &str = "/services/flyteadmin:http/proxy";
const DISCOVERY: &str = "/apis/flyte.lyft.com/v1alpha1";

/// What the cluster's administrator decides.
struct Rules {
    /// Rights that are held back, as `verb resource`.
    denied: BTreeSet<String>,
    /// Whether the kind FlyteWorkflow is there.
    kind: bool,
    /// Whether namespaces may be looked at by name.
    namespaces_seen: bool,
    /// Whether the user is an administrator, as that of a node is.
    everything: bool,
}

/// The cluster, a machine that reaches it, and what was asked beyond the namespaces.
#[derive(Clone)]
pub(crate) struct AttachedCluster {
    pub(crate) api: ApiServer,
    pub(crate) spec: Spec,
    pub(crate) host: Host,
    rules: Arc<Mutex<Rules>>,
    admin: Arc<Mutex<Projects>>,
    beyond: Arc<Mutex<Vec<String>>>,
    silent: Arc<AtomicBool>,
    migrates: Arc<AtomicBool>,
    database: Arc<Mutex<Option<Database>>>,
    flyte: Arc<FakeFlyte>,
    folder: Arc<TempDir>,
    port: u16,
}

/// The options of an `up` that runs no workflow.
pub(crate) fn options() -> lifecycle::Options<'static> {
    lifecycle::Options {
        keep: false,
        fresh: false,
        cold: false,
        prune: lifecycle::Prune::default(),
        restore: None,
        from: None,
        bundle: None,
        store: true,
        executions: Executions::None,
        ttl: None,
        faults: Faults::default(),
    }
}

impl AttachedCluster {
    /// With all that an administrator was asked for: the namespaces, the kind, the rights.
    pub(crate) async fn start() -> Self {
        let flyte = Arc::new(FakeFlyte::start().await);
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let api = ApiServer::at(&address, 21);
        let config = folder.path().join("config");
        let other = json!({"name": "production", "context": {"cluster": "nowhere", "user": "rehearsal"}});
        let mut kubeconfig: Value = serde_json::from_str(&api.kubeconfig()).expect("JSON");
        kubeconfig["current-context"] = "production".into();
        kubeconfig["contexts"].as_array_mut().expect("contexts").push(other);
        std::fs::write(&config, kubeconfig.to_string()).expect("written");
        let spec = Spec {
            engine: Some(EngineKind::Context),
            context: Some("rehearsal".to_owned()),
            kubeconfig: Some(config.display().to_string()),
            ..flyte.spec.clone()
        };
        for name in spec.namespaces() {
            api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        }
        let rules = Rules { denied: BTreeSet::new(), kind: true, namespaces_seen: true, everything: false };
        let state = StateRoot::new(folder.path().join("state"));
        let host = Host {
            home: None,
            variables: Default::default(),
            state,
            program: "sandbox".into(),
            clients: Default::default(),
        };
        let cluster = Self {
            api,
            spec,
            host,
            rules: Arc::new(Mutex::new(rules)),
            admin: Arc::default(),
            beyond: Arc::default(),
            silent: Arc::default(),
            migrates: Arc::default(),
            database: Arc::default(),
            flyte,
            folder: Arc::new(folder),
            port: listener.local_addr().expect("bound").port(),
        };
        let served = cluster.clone();
        let app = Router::new().fallback(move |request: Request| {
            let cluster = served.clone();
            async move { cluster.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        cluster
    }

    /// The API's port on this machine.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The user's kubeconfig as it is now.
    pub(crate) fn kubeconfig(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("config")).expect("there")
    }

    pub(crate) fn state(&self) -> &Path {
        self.host.state.path()
    }

    pub(crate) fn plan(&self) -> Plan {
        let rendered = render(&self.spec, Bundle::embedded(Release::default()).expect("built in")).expect("renders");
        Plan::new(self.spec.clone(), rendered).expect("a plan")
    }

    pub(crate) fn request(&self) -> lifecycle::Request {
        lifecycle::Request { spec: self.spec.clone(), bundle: Bundle::embedded(Release::default()).expect("built in") }
    }

    /// Holds back a right, such as `patch deployments`, in every namespace.
    pub(crate) fn deny(&self, right: &str) {
        self.rules().denied.insert(right.to_owned());
    }

    /// Lets the user do everything, as on a node of one's own.
    pub(crate) fn own(&self) {
        self.rules().everything = true;
    }

    /// Takes the kind away.
    pub(crate) fn without_kind(&self) {
        self.rules().kind = false;
    }

    /// From now on admin answers no request.
    pub(crate) fn silence_admin(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    /// From now on admin refuses every request with these words.
    pub(crate) fn refuse_projects(&self, words: &str) {
        self.admin.lock().expect("whole").refuse(words);
    }

    /// Drops a table of admin's database. A new pod of admin makes it again where the list of migrations went with it.
    pub(crate) fn drop_table(&self, table: &str, with_migrations: bool) {
        self.admin.lock().expect("whole").drop_table(table);
        self.migrates.store(with_migrations, Ordering::Relaxed);
    }

    /// Lets commands be run in pods, where there is a database that admin reads and datacatalog.
    pub(crate) fn allow_commands(&self) {
        *self.database.lock().expect("whole") = Some(Database::migrated());
    }

    /// Changes the database beneath everybody.
    pub(crate) fn in_database(&self, change: impl FnOnce(&mut Database)) {
        change(self.database.lock().expect("whole").as_mut().expect("commands are allowed"));
        self.tell_admin();
    }

    /// Admin reads the tables that the database has.
    fn tell_admin(&self) {
        let (database, mut admin) = (self.database.lock().expect("whole"), self.admin.lock().expect("whole"));
        let Some(database) = database.as_ref() else { return };
        admin.migrate();
        for table in ["projects", "executions"].into_iter().filter(|table| !database.tables.contains(*table)) {
            admin.drop_table(table);
        }
    }

    /// The projects that admin has.
    pub(crate) fn projects(&self) -> Vec<String> {
        self.admin.lock().expect("whole").ids(true)
    }

    /// Deletes a bucket beneath everybody.
    pub(crate) fn drop_bucket(&self, bucket: &str) {
        self.flyte.drop_bucket(bucket);
    }

    /// Lets nobody look at namespaces.
    pub(crate) fn hide_namespaces(&self) {
        self.rules().namespaces_seen = false;
    }

    /// What was asked for outside the namespaces, and refused: a user without rights there must not even try.
    pub(crate) fn beyond(&self) -> Vec<String> {
        self.beyond.lock().expect("whole").clone()
    }

    /// Requests that change something, reviews aside.
    pub(crate) fn writes(&self) -> Vec<String> {
        let reads = |request: &String| request.starts_with("GET ") || request.contains("accessreviews");
        self.api.requests().into_iter().filter(|request| !reads(request)).collect()
    }

    /// The kinds and names of what is in the namespaces.
    pub(crate) fn inhabitants(&self) -> BTreeSet<String> {
        let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
        let inside = self.api.objects().into_iter().filter(|object| object["metadata"]["namespace"].is_string());
        inside.map(|object| name(&object)).collect()
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().expect("whole")
    }

    fn may(&self, attributes: &Value) -> bool {
        let text = |key: &str| attributes[key].as_str().unwrap_or_default();
        let resource = match text("subresource") {
            "" => text("resource").to_owned(),
            sub => format!("{}/{sub}", text("resource")),
        };
        let ours = self.spec.namespaces().iter().any(|ours| ours == text("namespace"));
        ours && !self.rules().denied.contains(&format!("{} {resource}", text("verb")))
    }

    async fn answer(&self, request: Request) -> Response {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let within = self.rules().everything
            || self.spec.namespaces().iter().any(|ours| path.contains(&format!("/namespaces/{ours}/")));
        match (&method, path.as_str()) {
            (&Method::GET, "/version") => self.api.respond(request).await,
            (&Method::GET, DISCOVERY) if self.rules().kind => axum::Json(json!({"kind": "APIResourceList",
                "groupVersion": "flyte.lyft.com/v1alpha1", "resources": [{"name": "flyteworkflows", "kind": "FlyteWorkflow",
                "singularName": "flyteworkflow", "namespaced": true, "verbs": []}]}))
            .into_response(),
            (&Method::GET, DISCOVERY) => refusal(404, "the server could not find the requested resource"),
            (&Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews") => {
                let mut review = body_of(request).await;
                let allowed = self.may(&review["spec"]["resourceAttributes"]);
                review["status"] = json!({"allowed": allowed});
                (StatusCode::CREATED, axum::Json(review)).into_response()
            }
            (&Method::GET, one) if one.strip_prefix("/api/v1/namespaces/").is_some_and(|name| !name.contains('/')) => {
                if self.rules().namespaces_seen { self.api.respond(request).await } else { refusal(403, "namespaces is forbidden") }
            }
            _ if within => self.inside(&path, request).await,
            _ => {
                self.beyond.lock().expect("whole").push(format!("{method} {path}"));
                refusal(403, "forbidden at the cluster scope")
            }
        }
    }

    async fn inside(&self, path: &str, request: Request) -> Response {
        if let Some((_, path)) = path.split_once(ADMIN) {
            if self.silent.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, 1 << 20).await.expect("a body");
            let answer = self.admin.lock().expect("whole").answer(&parts.method, path, &query, &body, &[]);
            let none = || (path.starts_with("/api/v1/executions")).then(|| (StatusCode::OK, json!({})));
            let (status, json) = answer.or_else(none).expect("about projects or executions");
            return (status, axum::Json(json)).into_response();
        }
        if path.ends_with("/portforward") {
            return self.forwarded(path, request).await;
        }
        if path.ends_with("/exec") {
            return self.execute(request);
        }
        if path.ends_with("/localsubjectaccessreviews") {
            if self.rules().denied.contains("create localsubjectaccessreviews") {
                return refusal(403, "localsubjectaccessreviews is forbidden");
            }
            return self.ask_flyte("/apis/authorization.k8s.io/v1/subjectaccessreviews", request).await;
        }
        if path.contains("/proxy/")
            || (request.method() == Method::GET && path.contains("/configmaps/propeller-leader"))
        {
            return self.ask_flyte(path, request).await;
        }
        let method = request.method().clone();
        let restarts = path.ends_with("/deployments/flyteadmin")
            && request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/merge-patch+json");
        if restarts && self.migrates.load(Ordering::Relaxed) {
            self.admin.lock().expect("whole").migrate();
        }
        let response = self.api.respond(request).await;
        match method {
            Method::PATCH if path.contains("/deployments/") => self.come(path),
            Method::DELETE if path.contains("/deployments/") => self.go(path),
            _ => {}
        }
        response
    }

    /// The work of Kubernetes' controllers, done at once: the Deployment has its pod.
    fn come(&self, path: &str) {
        self.api.edit(path, |deployment| {
            let seen = deployment["metadata"]["generation"].clone();
            deployment["status"] =
                json!({"observedGeneration": seen, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
        });
        let Some(deployment) = self.api.get(path) else { return };
        let name = format!("{}-0", deployment["metadata"]["name"].as_str().unwrap_or_default());
        let template = &deployment["spec"]["template"];
        self.api.put(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": deployment["metadata"]["namespace"],
                "labels": template["metadata"]["labels"]},
            "spec": template["spec"],
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}));
    }

    fn go(&self, path: &str) {
        let pod = path.replace("/apis/apps/v1/", "/api/v1/").replace("/deployments/", "/pods/");
        self.api.remove(&format!("{pod}-0"));
    }

    /// What the Flyte answers that is up all the time, by way of the API of its own.
    async fn ask_flyte(&self, path: &str, request: Request) -> Response {
        let port = self.flyte.spec.ports.api.expect("it has one");
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a body");
        let asked = reqwest::Client::builder().no_proxy().build().expect("a client");
        let asked = asked.request(parts.method, format!("http://127.0.0.1:{port}{path}")).body(body).send().await;
        let answer = asked.expect("it answers");
        let status = answer.status();
        let mut response = Response::new(Body::from(answer.bytes().await.expect("whole")));
        *response.status_mut() = status;
        response
    }

    /// A WebSocket to the port of the Flyte that the pod stands for.
    async fn forwarded(&self, path: &str, request: Request) -> Response {
        let ports = self.flyte.spec.ports;
        let leads_to =
            [("/gateway-0/", ports.console), ("/kubernetes-dashboard-0/", ports.dashboard), ("/minio-0/", ports.minio)];
        let Some((_, to)) = leads_to.into_iter().find(|(pod, _)| path.contains(pod)) else {
            return refusal(404, "no such pod");
        };
        let query = request.uri().query().unwrap_or_default().to_owned();
        let port: u16 = query.rsplit_once("ports=").and_then(|(_, port)| port.parse().ok()).expect("one port");
        upgraded(request, move |socket| carry(socket, port, to))
    }

    /// A command in a pod, with a WebSocket for what it prints.
    fn execute(&self, request: Request) -> Response {
        let url = reqwest::Url::parse(&format!("http://api{}", request.uri())).expect("a URL");
        let command: Vec<_> =
            url.query_pairs().filter(|(key, _)| key == "command").map(|(_, word)| word.into_owned()).collect();
        let ran = self.database.lock().expect("whole").as_mut().map(|database| {
            let before = database.emptied;
            (database.run(&command), database.emptied > before)
        });
        let Some((ran, emptied)) = ran else { return refusal(403, "pods/exec is forbidden") };
        if emptied {
            self.admin.lock().expect("whole").drop_table("projects");
        }
        self.tell_admin();
        upgraded(request, move |socket| print(socket, ran))
    }
}

/// Channel 1 has what a command prints, 2 its errors, and 3 how it ended.
async fn print(mut socket: Socket, ran: Result<String, String>) {
    let (channel, words, status) = match ran {
        Ok(printed) => (1, printed, json!({"status": "Success"})),
        Err(words) => (2, words, json!({"status": "Failure", "message": "exit code 1", "reason": "NonZeroExitCode"})),
    };
    for (channel, text) in [(channel, words), (3, status.to_string())] {
        let frame = [&[channel], text.as_bytes()].concat();
        if socket.send(Message::Binary(frame.into())).await.is_err() {
            return;
        }
    }
    let _ = socket.close(None).await;
}

/// A connection of `exec` or `portforward`, as the API has it.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Makes a WebSocket of a request, and hands it on.
pub(crate) fn upgraded<F: Future<Output = ()> + Send + 'static>(
    request: Request,
    work: impl FnOnce(Socket) -> F + Send + 'static,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let accepted = derive_accept_key(parts.headers[SEC_WEBSOCKET_KEY].as_bytes());
    let upgrade = parts.extensions.remove::<OnUpgrade>().expect("an upgrade");
    tokio::spawn(async move {
        let stream = TokioIo::new(upgrade.await.expect("it is one now"));
        work(WebSocketStream::from_raw_socket(stream, Role::Server, None).await).await;
    });
    let headers = [
        (CONNECTION, "upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_ACCEPT, &accepted),
        (SEC_WEBSOCKET_PROTOCOL, "v4.channel.k8s.io"),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// Every frame begins with its channel: 0 has the data, 1 errors. Both first tell the port.
async fn carry(mut socket: Socket, port: u16, to: u16) {
    for channel in [0, 1] {
        let [low, high] = port.to_le_bytes();
        if socket.send(Message::Binary(vec![channel, low, high].into())).await.is_err() {
            return;
        }
    }
    let Ok(mut end) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let mut buffer = vec![0; 1 << 14];
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Binary(frame))) if frame.first() == Some(&0) => {
                    if end.write_all(&frame[1..]).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            read = end.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    let frame = [&[0], &buffer[..length]].concat();
                    if socket.send(Message::Binary(frame.into())).await.is_err() {
                        return;
                    }
                }
            },
        }
    }
}

fn refusal(code: u16, message: &str) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message, "reason": ""});
    (StatusCode::from_u16(code).expect("an HTTP status"), axum::Json(status)).into_response()
}

async fn body_of(request: Request) -> Value {
    let body = to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

/// A run that hears itself.
pub(crate) fn run() -> (Run, UnboundedReceiver<Event>) {
    let (report, events) = Reporter::channel();
    let deadline = Deadline::after(Duration::from_secs(60));
    (Run { report, deadline, cancel: CancellationToken::new() }, events)
}
