//! A simulated cluster of one node: its API, its controllers, and Flyte's ports.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::api::ApiServer;
use super::controllers::Controllers;
use super::faults::{self, Faults};
use super::flyte::{self, Flyte, Port, as_minio};

/// The largest body of a request to Flyte, in bytes.
const BODY_LIMIT: usize = 8 << 20;

/// A simulated cluster; every clone is the same one.
#[derive(Debug, Clone)]
pub struct Cluster {
    api: ApiServer,
    flyte: Flyte,
    faults: Arc<Mutex<Faults>>,
    controllers: Arc<Mutex<Controllers>>,
}

impl Cluster {
    /// A cluster with this API and these faults.
    #[must_use]
    pub fn new(api: ApiServer, faults: Faults) -> Self {
        Self { api, flyte: Flyte::default(), faults: Arc::new(Mutex::new(faults)), controllers: Arc::default() }
    }

    /// Replaces its faults.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults() = faults;
    }

    /// Registers the node, with its taints as in k3s' arguments (`key=value:effect`), and the objects of k3s: CoreDNS, and a
    /// ClusterRole of its own.
    pub fn register(&self, node: &str, taints: &[&str]) {
        let path = format!("/api/v1/nodes/{node}");
        if self.api.get(&path).is_none() {
            let taint = |text: &&str| {
                let (key, rest) = text.split_once('=')?;
                let (value, effect) = rest.split_once(':')?;
                Some(json!({"key": key, "value": value, "effect": effect}))
            };
            let taints: Vec<_> = taints.iter().filter_map(taint).collect();
            self.api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "annotations": {}},
                "spec": {"taints": taints}}));
            self.api.put(json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "coredns", "namespace": "kube-system", "annotations": {}},
                "spec": {"selector": {"matchLabels": {"k8s-app": "kube-dns"}}, "template": {
                    "metadata": {"labels": {"k8s-app": "kube-dns"}}, "spec": {"containers": [{"name": "coredns"}]}}}}));
            self.api.put(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": "system:coredns"}, "rules": []}));
        }
        self.api.edit(&path, |node| {
            node["status"] = json!({"conditions": [
                {"type": "Ready", "status": "True", "message": "kubelet is posting ready status"}]});
        });
    }

    /// One reconciliation of controllers, scheduler and kubelet; `images` are those in the node by canonical name, none where every
    /// image counts as there.
    pub fn reconcile(&self, images: Option<&BTreeMap<String, String>>) {
        let pods = self.faults().pods.clone();
        self.controllers.lock().unwrap_or_else(PoisonError::into_inner).reconcile(&self.api, images, &pods);
    }

    /// The response to a request to the Kubernetes API, its proxies included.
    pub async fn kubernetes(&self, request: Request) -> Response {
        if let Some(answer) = self.inject(asked("api", &request), true).await {
            return answer;
        }
        let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        if flyte::may_be_execution_object(&path, &query)
            && let Some(spec) = self.api.read(flyte::spec)
            && let Some(answer) = self.flyte.execution_objects(&spec, request.method(), &path, &query)
        {
            return answer;
        }
        match path.split_once("/proxy/") {
            Some((target, within)) if flyte::is_admin(target) => {
                let Some(spec) = self.api.read(flyte::spec) else { return unserved() };
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_else(|_| Bytes::new());
                let within = format!("/{within}");
                let answer = self.flyte.admin(&spec, &parts, &within, &body);
                answer.unwrap_or_else(unserved)
            }
            Some((target, within)) if let Some(port) = Port::of_service(target) => {
                let query = if query.is_empty() { String::new() } else { format!("?{query}") };
                let Ok(uri) = format!("/{within}{query}").parse() else { return unserved() };
                let mut request = request;
                *request.uri_mut() = uri;
                self.port(port, request).await
            }
            Some((target, within)) => {
                let (object, port) = target.rsplit_once(':').unwrap_or((target, ""));
                flyte::proxied(self.api.get(object).as_ref(), port, within)
            }
            None => self.api.respond(request).await,
        }
    }

    /// The response to a request to one of Flyte's ports, once the workloads behind it are ready.
    pub async fn port(&self, port: Port, request: Request) -> Response {
        let served = self.api.read(|objects| flyte::spec(objects).filter(|_| port.is_served(objects)));
        let Some(spec) = served else { return unserved() };
        if let Some(answer) = self.inject(asked(port.name(), &request), false).await {
            return if port == Port::Minio { as_minio(answer) } else { answer };
        }
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_else(|_| Bytes::new());
        let trouble = self.faults().workflows.clone();
        self.flyte.answer(port, &spec, trouble, &parts, body)
    }

    async fn inject(&self, asked: String, by_the_api: bool) -> Option<Response> {
        let due = faults::due(&mut self.faults().requests, &asked)?;
        due.response(by_the_api).await
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn asked(who: &str, request: &Request) -> String {
    format!("{who} {} {}", request.method(), request.uri())
}

fn unserved() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "no endpoints available").into_response()
}
