//! A Flyte as it looks from outside: the three published ports, and the Kubernetes API it runs on.
//!
//! All four are real sockets. Permissions are decided by rules written down here, not by the table under test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use flyte_sandbox::spec::{Ports, Spec};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use flyte_sandbox::rehearsal::{Executions, Minio, Responders, Workflow, as_minio, json_of};

const ADMIN: &str = "flyteadmin-79874d74d-8qzpr";
const EXECUTIONS: &str = "/api/v1/executions";

/// What stands in the way of a request.
#[derive(Clone)]
struct Broken {
    times: usize,
    status: u16,
    body: String,
}

#[derive(Default)]
struct World {
    spec: Option<Spec>,
    broken: Mutex<BTreeMap<String, Broken>>,
    minio: Mutex<Minio>,
    granted: Mutex<Vec<String>>,
    executions: Mutex<Executions>,
    /// The metrics of admin's process; absent where nobody may read them.
    metrics: Mutex<Option<String>>,
    /// What admin dies of when the first execution is created.
    death: Mutex<Option<Value>>,
}

/// A Flyte that is up, and can be broken.
pub(crate) struct FakeFlyte {
    pub(crate) spec: Spec,
    pub(crate) client: kube::Client,
    world: Arc<World>,
}

impl FakeFlyte {
    pub(crate) async fn start() -> Self {
        let mut listeners = Vec::new();
        for _ in 0..4 {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
        }
        let ports: Vec<u16> = listeners.iter().map(|on| on.local_addr().expect("bound").port()).collect();
        let ports = Ports {
            console: ports[0],
            dashboard: ports[1],
            minio: ports[2],
            api: Some(ports[3]),
            postgres: None,
            registry: None,
        };
        let spec = Spec { ports, ..Spec::default() };
        let world = Arc::new(World { spec: Some(spec.clone()), ..World::default() });
        for (name, listener) in ["console", "dashboard", "minio", "api"].into_iter().zip(listeners) {
            let answer = move |State(world): State<Arc<World>>,
                               method: Method,
                               uri: Uri,
                               headers: HeaderMap,
                               body: Bytes| async move {
                world.answer(name, &method, &uri, &headers, body)
            };
            let app = Router::new().fallback(answer).with_state(Arc::clone(&world));
            tokio::spawn(async move { axum::serve(listener, app).await });
        }
        let url = format!("http://127.0.0.1:{}", ports.api.expect("set above"));
        let config = kube::Config::new(url.parse().expect("a URL"));
        let client = kube::Client::try_from(config).expect("a client");
        Self { spec, client, world }
    }

    /// Answers a path with `status` and `body` instead, so many times.
    pub(crate) fn break_path(&self, path: &str, times: usize, status: u16, body: &str) {
        let broken = Broken { times, status, body: body.to_owned() };
        self.world.broken.lock().expect("not poisoned").insert(path.to_owned(), broken);
    }

    /// Lets `account verb resource` be done everywhere.
    pub(crate) fn grant(&self, what: &str) {
        self.world.granted.lock().expect("not poisoned").push(what.to_owned());
    }
}

impl FakeFlyte {
    /// Lets every execution go wrong in this way.
    pub(crate) fn trouble(&self, trouble: Workflow) {
        self.world.executions.lock().expect("not poisoned").trouble = Some(trouble);
    }

    /// Deletes a bucket.
    pub(crate) fn drop_bucket(&self, bucket: &str) {
        self.world.minio.lock().expect("not poisoned").drop_bucket(bucket);
    }

    /// Lets admin's metrics be read.
    pub(crate) fn tell_metrics(&self, metrics: &str) {
        *self.world.metrics.lock().expect("not poisoned") = Some(metrics.to_owned());
    }

    /// Lets admin end with this state when the first execution is created, and start again.
    pub(crate) fn die(&self, terminated: Value) {
        *self.world.death.lock().expect("not poisoned") = Some(terminated);
    }

    /// What was posted to admin: paths and bodies, in order.
    pub(crate) fn posted(&self) -> Vec<(String, Value)> {
        self.world.executions.lock().expect("not poisoned").posted.clone()
    }

    /// The FlyteWorkflows that were deleted, as `namespace/name`.
    pub(crate) fn removed(&self) -> Vec<String> {
        self.world.executions.lock().expect("not poisoned").removed()
    }
}

fn status_of(code: u16, message: &str) -> Value {
    let reason = if code == 404 { "NotFound" } else { "" };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code})
}

impl World {
    fn spec(&self) -> &Spec {
        self.spec.as_ref().expect("set at the start")
    }

    fn flyte(&self) -> Responders<'_> {
        Responders { spec: self.spec() }
    }

    fn answer(&self, port: &str, method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Response {
        if let Some(broken) = self.broken.lock().expect("not poisoned").get_mut(uri.path())
            && broken.times > 0
        {
            broken.times -= 1;
            let status = StatusCode::from_u16(broken.status).expect("a status");
            let kind = if broken.body.starts_with('{') { "application/json" } else { "text/plain" };
            return (status, [(header::CONTENT_TYPE, kind)], broken.body.clone()).into_response();
        }
        let mut executions = self.executions.lock().expect("not poisoned");
        let executed = match port {
            "console" => executions.admin(self.spec(), method, uri.path(), uri.query().unwrap_or_default(), &body),
            "dashboard" => executions.log(uri.path()),
            "api" => executions.kubernetes(self.spec(), method, uri.path(), uri.query().unwrap_or_default()),
            _ => None,
        };
        drop(executions);
        if let Some((status, json)) = executed {
            return (status, json_of(&json)).into_response();
        }
        match port {
            "console" => self.flyte().gateway(uri.path(), headers),
            "dashboard" => self.flyte().dashboard(uri.path()),
            "minio" => {
                let mut minio = self.minio.lock().expect("not poisoned");
                as_minio(minio.answer(self.spec(), method, uri, headers, body))
            }
            _ => self.kubernetes(uri.path(), &body),
        }
    }

    fn kubernetes(&self, path: &str, body: &Bytes) -> Response {
        let system = self.spec().system_namespace();
        let core = format!("/api/v1/namespaces/{system}/");
        match path {
            "/apis/authorization.k8s.io/v1/subjectaccessreviews" => {
                let mut review: Value = serde_json::from_slice(body).expect("a review");
                review["status"] = json!({"allowed": self.allows(&review["spec"])});
                return json_of(&review);
            }
            "/apis/rbac.authorization.k8s.io/v1/clusterroles" => return json_of(&list("ClusterRoleList", &[])),
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings" => {
                let theirs = json!({
                    "metadata": {"name": "theirs"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                    "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "kube-system"}],
                });
                return json_of(&list("ClusterRoleBindingList", &[theirs]));
            }
            _ => {}
        }
        if path.ends_with("/events") {
            return json_of(&list("EventList", &[]));
        }
        if path == format!("/apis/apps/v1/namespaces/{system}/deployments") {
            let pod = json!({"containers": [{"name": "postgres", "image": "registry.example/postgres:1"}]});
            let template = json!({"spec": pod});
            let spec = json!({"selector": {}, "template": template});
            return json_of(&list("DeploymentList", &[json!({"metadata": {"name": "postgres"}, "spec": spec})]));
        }
        let absent = || (StatusCode::NOT_FOUND, json_of(&status_of(404, "not found"))).into_response();
        let Some(rest) = path.strip_prefix(core.as_str()) else { return absent() };
        if rest == "services/datacatalog:http/proxy/healthcheck" {
            return StatusCode::OK.into_response();
        }
        let namespaces = self.spec().workflow_namespaces();
        if rest == "pods" {
            let pods = namespaces.iter().map(|namespace| {
                let labels = json!({"sandbox.flyte/workflow-namespace": namespace.name});
                let name = format!("flytepropeller-{}-{}-0", namespace.project, namespace.domain);
                json!({"metadata": {"name": name, "labels": labels}, "status": {"phase": "Running"}})
            });
            return json_of(&list("PodList", &pods.chain([self.admin()]).collect::<Vec<_>>()));
        }
        if rest == format!("pods/{ADMIN}:10254/proxy/metrics")
            && let Some(metrics) = &*self.metrics.lock().expect("not poisoned")
        {
            return metrics.clone().into_response();
        }
        if rest == format!("pods/{ADMIN}/log") {
            return "starting\npanic-ed for request\n".into_response();
        }
        for namespace in &namespaces {
            let key = format!("{}-{}", namespace.project, namespace.domain);
            let pod = format!("flytepropeller-{key}-0");
            if rest == format!("pods/{pod}:10254/proxy/metrics") {
                let segment = namespace.name.replace('-', "_");
                return format!("flyte:propeller:{segment}:free_workers_count 20\n").into_response();
            }
            if rest == format!("configmaps/propeller-leader-{key}") {
                let record = json!({"holderIdentity": pod}).to_string();
                let annotations = json!({"control-plane.alpha.kubernetes.io/leader": record});
                return json_of(&json!({"metadata": {"name": "lock", "annotations": annotations}}));
            }
        }
        absent()
    }

    /// Admin's pod.
    fn admin(&self) -> Value {
        let executed = self.executions.lock().expect("not poisoned").posted.iter().any(|(path, _)| path == EXECUTIONS);
        let death = self.death.lock().expect("not poisoned").clone().filter(|_| executed);
        let last = death.as_ref().map_or_else(|| json!({}), |terminated| json!({"terminated": terminated}));
        let status = json!({"name": "flyteadmin", "image": "", "imageID": "", "ready": true,
            "restartCount": u8::from(death.is_some()), "state": {"running": {}}, "lastState": last});
        json!({"metadata": {"name": ADMIN}, "status": {"phase": "Running", "containerStatuses": [status]}})
    }

    /// Roles as they should be.
    fn allows(&self, spec: &Value) -> bool {
        let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let system = self.spec().system_namespace();
        let of = |field: &str| text(&format!("/resourceAttributes/{field}"));
        let (verb, resource, namespace) = (of("verb"), of("resource"), of("namespace"));
        let Some(account) = text("/user").strip_prefix(&format!("system:serviceaccount:{system}:")) else {
            return false;
        };
        if self.granted.lock().expect("not poisoned").contains(&format!("{account} {verb} {resource}")) {
            return true;
        }
        let namespaces = self.spec().workflow_namespaces();
        let workflow = namespaces.iter().find(|ours| ours.name == namespace);
        let what = [resource, of("subresource")].join("/");
        match (account, workflow) {
            ("flyteadmin", Some(_)) => what == "flyteworkflows/" && ["create", "delete"].contains(&verb),
            ("kubernetes-dashboard", Some(_)) => match what.as_str() {
                "pods/" => ["get", "list"].contains(&verb),
                "pods/log" => verb == "get",
                _ => false,
            },
            (propeller, Some(workflow)) if propeller == format!("flytepropeller-{}", workflow.project) => {
                match what.as_str() {
                    "flyteworkflows/" => ["get", "list", "watch", "update", "deletecollection"].contains(&verb),
                    "flyteworkflows/finalizers" => verb == "update",
                    "pods/" => ["get", "list", "watch", "create", "delete"].contains(&verb),
                    _ => false,
                }
            }
            (propeller, None) if namespace == system && propeller.starts_with("flytepropeller-") => {
                let own = namespaces.iter().filter(|one| propeller == format!("flytepropeller-{}", one.project));
                let mut locks = own.map(|one| format!("propeller-leader-{}-{}", one.project, one.domain));
                what == "configmaps/"
                    && (verb == "create" || ["get", "update"].contains(&verb) && locks.any(|lock| lock == of("name")))
            }
            _ => false,
        }
    }
}

fn list(kind: &str, items: &[Value]) -> Value {
    json!({"kind": kind, "apiVersion": "v1", "metadata": {}, "items": items})
}
