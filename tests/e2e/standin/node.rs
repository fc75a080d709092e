//! The node's container: the Kubernetes API and Flyte's three ports, as a rehearsal plays them.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use flyte_sandbox::rehearsal::{ApiServer, Cluster, Port};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::faults::Faults;
use super::{containerd, log};

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

/// The cluster, and when its faults were last told.
#[derive(Clone)]
struct Node {
    cluster: Cluster,
    told: Arc<Mutex<Option<SystemTime>>>,
}

impl Node {
    /// With the faults that hold now: a test may tell others at any time.
    fn current(&self) -> &Cluster {
        let mut told = self.told.lock().expect("not poisoned");
        let written = Faults::written();
        if *told != written {
            *told = written;
            self.cluster.set_faults(Faults::now().played());
        }
        &self.cluster
    }
}

fn listen<F>(listener: TcpListener, answer: impl Fn(Request) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = Response> + Send + 'static,
{
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
}

async fn serve(args: &[String]) {
    let name = std::env::var("STANDIN_NODE").or_else(|_| std::env::var("HOSTNAME")).expect("the node's name");
    std::fs::write(super::CONTAINERD_UP, "").expect("a file");
    let _ = std::fs::remove_file(super::FLANNEL);
    tokio::time::sleep(START).await;
    let api = ApiServer::at("127.0.0.1:6443", 21);
    recall(&api);
    let cluster = Cluster::new(api.clone(), Faults::now().played());
    let taints: Vec<_> = args.iter().filter_map(|arg| arg.strip_prefix("--node-taint=")).collect();
    cluster.register(&name, &taints);
    let node = Node { cluster, told: Arc::new(Mutex::new(Faults::written())) };
    {
        let node = node.clone();
        let listener = TcpListener::bind("0.0.0.0:6443").await.expect("port 6443");
        listen(listener, move |request| {
            let node = node.clone();
            async move { node.current().kubernetes(request).await }
        });
    }
    for (number, port) in Port::ALL {
        let node = node.clone();
        let listener = TcpListener::bind(("0.0.0.0", number)).await.expect("a NodePort");
        listen(listener, move |request| {
            let node = node.clone();
            async move { node.current().port(port, request).await }
        });
    }
    // What a reader takes for the sign that the file is whole.
    let text = format!("# A stand-in has no client-key-data.\n{}\n", api.kubeconfig());
    std::fs::write(KUBECONFIG, text).expect("a kubeconfig");
    log("info", "k3s is up and running");

    let mut stop = signal(SignalKind::terminate()).expect("signals");
    let mut changed = Instant::now();
    let mut seen = None;
    loop {
        let now = Some((api.version(), containerd::written(), Faults::written()));
        if now != seen {
            (seen, changed) = (now, Instant::now());
        }
        // What is begun goes on by itself for a while.
        if changed.elapsed() < SETTLED {
            network(&api, &name);
            node.current().reconcile(Some(&containerd::ids()));
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

/// The pod network comes up once the node has its subnet.
fn network(api: &ApiServer, name: &str) {
    let path = format!("/api/v1/nodes/{name}");
    let has_subnet = api.get(&path).is_some_and(|node| !node["spec"]["podCIDR"].is_null());
    if has_subnet && !std::path::Path::new(super::FLANNEL).exists() {
        std::fs::create_dir_all("/run/flannel").expect("a folder");
        std::fs::write(super::FLANNEL, "").expect("a file");
        api.edit(&path, |node| {
            node["metadata"]["annotations"]["flannel.alpha.coreos.com/backend-type"] = "vxlan".into();
        });
    }
}
