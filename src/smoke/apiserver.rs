//! Requests through the Kubernetes API, pod and service proxies among them.

use std::future::Future;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, Client};

use crate::kubernetes;
use crate::limits::SMOKE_API;

use super::check_failure::CheckFailure;

/// The Kubernetes API, with the administrator's credentials.
#[derive(Clone)]
pub(super) struct ApiServer(Client);

impl ApiServer {
    pub(super) fn new(client: Client) -> Self {
        Self(client)
    }

    pub(super) fn client(&self) -> Client {
        self.0.clone()
    }

    /// An answer of the API within [`SMOKE_API`], or the failure of a check.
    pub(super) async fn ask<T>(
        &self,
        asked: &str,
        answer: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, CheckFailure> {
        kubernetes::ask(SMOKE_API, answer).await.map_err(|error| match error.code() {
            Some(code) => CheckFailure::new(asked, format!("HTTP {code}: {error}")).code(code),
            None => CheckFailure::new(asked, format!("the Kubernetes API: {error}")),
        })
    }

    /// GET through a pod's proxy; `path` without a leading slash.
    pub(super) async fn pod(&self, namespace: &str, pod: &str, port: u16, path: &str) -> Result<String, CheckFailure> {
        let base = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy");
        self.proxied(base, format!("GET /{path} of pod {namespace}/{pod} port {port}"), path).await
    }

    /// GET through a Service's proxy, by the name of its port; `path` without a leading slash.
    pub(super) async fn service(
        &self,
        namespace: &str,
        name: &str,
        port: &str,
        path: &str,
    ) -> Result<String, CheckFailure> {
        let base = format!("/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy");
        self.proxied(base, format!("GET /{path} of service {namespace}/{name} port {port}"), path).await
    }

    async fn proxied(&self, base: String, asked: String, path: &str) -> Result<String, CheckFailure> {
        let request = http::Request::get(format!("{base}/{path}")).body(Vec::new());
        let request = request.map_err(|error| CheckFailure::new(asked.clone(), error.to_string()))?;
        self.ask(&asked, self.0.request_text(request)).await
    }

    /// The pods with a label, or with any value of it.
    pub(super) async fn pods(&self, namespace: &str, label: &str) -> Result<Vec<Pod>, CheckFailure> {
        let pods: Api<Pod> = Api::namespaced(self.0.clone(), namespace);
        let asked = format!("list pods of {namespace} with label {label}");
        Ok(self.ask(&asked, pods.list(&ListParams::default().labels(label))).await?.items)
    }

    /// The last lines of a container that died; of the one before where it runs again. Empty if they cannot be read.
    pub(super) async fn last_words(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        runs_again: bool,
        lines: i64,
    ) -> Vec<String> {
        let pods: Api<Pod> = Api::namespaced(self.0.clone(), namespace);
        let container = Some(container.to_owned());
        let wanted = LogParams { container, previous: runs_again, tail_lines: Some(lines), ..LogParams::default() };
        let log = self.ask("log", pods.logs(pod, &wanted)).await.unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// The last lines of a pod's log; empty if it cannot be read.
    pub(super) async fn log_tail(&self, namespace: &str, pod: &str, lines: i64) -> Vec<String> {
        let pods: Api<Pod> = Api::namespaced(self.0.clone(), namespace);
        let wanted = LogParams { tail_lines: Some(lines), ..LogParams::default() };
        let log = self.ask("log", pods.logs(pod, &wanted)).await.unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}
