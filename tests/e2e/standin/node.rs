//! The node's container: the Kubernetes API and Flyte's three ports.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::apiserver::ApiServer;
use super::controllers::Controllers;
use super::faults::Faults;
use super::flyte::{self, Memory, Port};
use super::{access, containerd, log};

/// What the API knows, so that a node that is started again knows it too.
const DATABASE: &str = "/var/lib/rancher/k3s/server/standin-db.json";
const KUBECONFIG: &str = "/output/kubeconfig.yaml";
const TICK: Duration = Duration::from_millis(50);
/// Longer than any pod takes to start.
const SETTLED: Duration = Duration::from_secs(1);
/// From the start to an API.
const START: Duration = Duration::from_millis(400);

pub(super) fn main(args: &[String]) -> ExitCode {
    log("info", "Starting k3s v1.21.2+k3s1 (stand-in)");
    if let Some((words, code)) = Faults::now().ends {
        if !words.is_empty() {
            log("fatal", &words);
        }
        return ExitCode::from(code);
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(serve(args));
    ExitCode::SUCCESS
}

async fn serve(args: &[String]) {
    let node = std::env::var("STANDIN_NODE").expect("the node's name");
    std::fs::write(super::CONTAINERD_UP, "").expect("a file");
    let _ = std::fs::remove_file(super::FLANNEL);
    tokio::time::sleep(START).await;
    let api = ApiServer::at("127.0.0.1:6443", 21);
    recall(&api);
    register(&api, &node, args);
    let listener = TcpListener::bind("0.0.0.0:6443").await.expect("port 6443");
    let memory = Memory::default();
    let app = {
        let (api, memory) = (api.clone(), memory.clone());
        Router::new().fallback(move |request: Request| {
            let (api, memory) = (api.clone(), memory.clone());
            async move { kubernetes(&api, &memory, request).await }
        })
    };
    tokio::spawn(async move { axum::serve(listener, app).await });
    for (number, port) in Port::ALL {
        let listener = TcpListener::bind(("0.0.0.0", number)).await.expect("a NodePort");
        let (api, memory) = (api.clone(), memory.clone());
        let app = Router::new().fallback(move |request: Request| {
            let (api, memory) = (api.clone(), memory.clone());
            async move { flyte::answer(&api, &memory, port, request).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
    }
    // What a reader takes for the sign that the file is whole.
    let text = format!("# A stand-in has no client-key-data.\n{}\n", api.kubeconfig());
    std::fs::write(KUBECONFIG, text).expect("a kubeconfig");
    log("info", "k3s is up and running");

    let mut stop = signal(SignalKind::terminate()).expect("signals");
    let mut controllers = Controllers::default();
    let mut changed = Instant::now();
    let mut seen = None;
    loop {
        let now = Some((api.version(), containerd::written(), Faults::written()));
        if now != seen {
            (seen, changed) = (now, Instant::now());
        }
        // What is begun goes on by itself for a while.
        if changed.elapsed() < SETTLED {
            controllers.round(&api, &node);
            std::fs::write(DATABASE, json!(api.objects()).to_string()).expect("a database");
        }
        tokio::select! {
            _ = stop.recv() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

fn recall(api: &ApiServer) {
    let text = std::fs::read_to_string(DATABASE).unwrap_or_default();
    for mut object in serde_json::from_str::<Vec<Value>>(&text).unwrap_or_default() {
        // Pods run anew after a start.
        if object["kind"] == "Deployment" {
            object["status"] = Value::Null;
        }
        api.put(object);
    }
}

/// The node registers with the taints that k3s was told, and brings CoreDNS.
fn register(api: &ApiServer, node: &str, args: &[String]) {
    let path = format!("/api/v1/nodes/{node}");
    if api.get(&path).is_none() {
        let taints = args.iter().filter_map(|arg| arg.strip_prefix("--node-taint=")?.split_once('='));
        let taints: Vec<_> = taints
            .filter_map(|(key, rest)| {
                rest.split_once(':').map(|(value, effect)| json!({"key": key, "value": value, "effect": effect}))
            })
            .collect();
        api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "annotations": {}},
            "spec": {"taints": taints}}));
        api.put(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "coredns", "namespace": "kube-system", "annotations": {}},
            "spec": {"selector": {"matchLabels": {"k8s-app": "kube-dns"}},
                "template": {"metadata": {"labels": {"k8s-app": "kube-dns"}}, "spec": {"containers": [{"name": "coredns"}]}}}}));
        api.put(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:coredns"}, "rules": []}));
    }
    api.edit(&path, |node| {
        node["status"] =
            json!({"conditions": [{"type": "Ready", "status": "True", "message": "kubelet is posting ready status"}]});
    });
}

/// The API server, with what it answers by way of others: reviews and proxies.
async fn kubernetes(api: &ApiServer, memory: &Memory, request: Request) -> Response {
    let asked = format!("{} {}", request.method(), request.uri());
    if let Some(answer) = Faults::strike("api", &asked).await {
        return answer;
    }
    if let Some(answer) = flyte::traces(api, memory, &request) {
        return answer;
    }
    let path = request.uri().path().to_owned();
    if path.ends_with("/subjectaccessreviews") {
        let body = to_bytes(request.into_body(), 1 << 20).await.unwrap_or_else(|_| Bytes::new());
        let Ok(mut review) = serde_json::from_slice::<Value>(&body) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        review["status"] = json!({"allowed": api.read(|objects| access::allowed(objects, &review["spec"]))});
        return (StatusCode::CREATED, axum::Json(review)).into_response();
    }
    match path.split_once("/proxy/") {
        Some((target, within)) if target.ends_with("/services/flyteadmin:http") => {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap_or_else(|_| Bytes::new());
            let spec = api.read(flyte::spec);
            let within = format!("/{within}");
            let answer =
                spec.and_then(|spec| flyte::projects(memory, &spec, &parts.method, &within, parts.uri.query(), &body));
            answer.unwrap_or_else(|| (StatusCode::SERVICE_UNAVAILABLE, "no endpoints available").into_response())
        }
        Some((target, within)) => proxied(api, target, within),
        None => api.respond(request).await,
    }
}

fn proxied(api: &ApiServer, target: &str, within: &str) -> Response {
    let (object, port) = target.rsplit_once(':').unwrap_or((target, ""));
    let Some(found) = api.get(object) else {
        return (StatusCode::NOT_FOUND, "not found").into_response();
    };
    match (found["metadata"]["name"].as_str(), port, within) {
        (Some("datacatalog"), "http", "healthcheck") => StatusCode::OK.into_response(),
        (Some(_), "10254", "metrics") if found["status"]["phase"] == "Running" => {
            let namespace = found["metadata"]["labels"]["sandbox.flyte/workflow-namespace"].as_str();
            let segment = namespace.unwrap_or_default().replace('-', "_");
            format!("flyte:propeller:{segment}:free_workers_count 20\n").into_response()
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "no endpoints available").into_response(),
    }
}
