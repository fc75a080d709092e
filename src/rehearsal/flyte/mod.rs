//! What a Flyte answers on its published ports, and what it leaves in Kubernetes.
//!
//! | file | what |
//! |---|---|
//! | `responders.rs` | what a working Flyte answers as console, admin and dashboard |
//! | `minio.rs` | what its object store answers, and keeps |
//! | `executions.rs` | what it does with a workflow |
//! | `projects.rs` | what admin does with projects |

mod executions;
mod minio;
mod projects;
mod responders;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

pub use executions::Executions;
pub use minio::{Minio, as_minio};
pub use projects::Projects;
pub use responders::{Responders, json_of, not_found};

use super::faults::Workflow;
use crate::flyte::{admin, labels, names, workflow};
use crate::kubernetes::INVENTORY;
use crate::spec::Spec;

/// A port that a sandbox publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Console and admin.
    Console,
    /// The dashboard.
    Dashboard,
    /// Minio.
    Minio,
}

impl Port {
    /// All of them, with the NodePort of each.
    pub const ALL: [(u16, Self); 3] = [
        (names::PUBLISHED_CONSOLE.node_port, Self::Console),
        (names::PUBLISHED_DASHBOARD.node_port, Self::Dashboard),
        (names::PUBLISHED_MINIO.node_port, Self::Minio),
    ];

    /// Such as `console`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Console => names::PUBLISHED_CONSOLE.purpose,
            Self::Dashboard => names::PUBLISHED_DASHBOARD.purpose,
            Self::Minio => names::PUBLISHED_MINIO.purpose,
        }
    }

    /// The Deployments that must be available for it to answer.
    const fn behind(self) -> &'static [&'static str] {
        match self {
            Self::Console => &[names::GATEWAY, names::ADMIN, names::CONSOLE],
            Self::Dashboard => &[names::DASHBOARD],
            Self::Minio => &[names::MINIO],
        }
    }

    /// Whether something behind it answers.
    pub(super) fn is_served(self, objects: &[&Value]) -> bool {
        let deployment = |name: &str| {
            objects.iter().find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == name)
        };
        let available =
            |name: &&str| deployment(name).is_some_and(|found| found["status"]["availableReplicas"].as_u64() > Some(0));
        self.behind().iter().all(available)
    }
}

/// What a sandbox was brought up for, as its inventory says.
pub(super) fn spec(objects: &[&Value]) -> Option<Spec> {
    let inventory =
        objects.iter().find(|object| object["kind"] == "Secret" && object["metadata"]["name"] == INVENTORY)?;
    let inventory: Secret = serde_json::from_value((*inventory).clone()).ok()?;
    serde_json::from_slice(&inventory.data?.get("spec")?.0).ok()
}

/// What outlives a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Flyte {
    minio: Arc<Mutex<Minio>>,
    executions: Arc<Mutex<Executions>>,
    projects: Arc<Mutex<Projects>>,
}

impl Flyte {
    /// What is answered on a port, in a sandbox that was brought up for this spec.
    pub(super) fn answer(
        &self,
        port: Port,
        spec: &Spec,
        trouble: Option<Workflow>,
        parts: &Parts,
        body: Bytes,
    ) -> Response {
        // The console asks for bytes, and is given some.
        let listed = parts.headers.get(header::ACCEPT).is_none_or(|accept| accept != "application/octet-stream");
        if port == Port::Console
            && listed
            && let Some(answer) = self.projects(spec, &parts.method, parts.uri.path(), parts.uri.query(), &body)
        {
            return answer;
        }
        let executed = {
            let mut executions = self.executions();
            executions.trouble = trouble;
            match port {
                Port::Console => executions.admin(spec, &parts.method, parts.uri.path(), &body),
                Port::Dashboard => executions.log(parts.uri.path()),
                Port::Minio => None,
            }
        };
        if let Some((status, json)) = executed {
            return (status, Json(json)).into_response();
        }
        let responders = Responders { spec };
        match port {
            Port::Console => responders.gateway(parts.uri.path(), &parts.headers),
            Port::Dashboard => responders.dashboard(parts.uri.path()),
            Port::Minio => {
                let mut minio = self.minio.lock().unwrap_or_else(PoisonError::into_inner);
                as_minio(minio.answer(spec, &parts.method, &parts.uri, &parts.headers, body))
            }
        }
    }

    /// What admin answers about projects, through the gateway or the API's proxy, if the request is about them.
    pub(super) fn projects(
        &self,
        spec: &Spec,
        method: &Method,
        path: &str,
        query: Option<&str>,
        body: &[u8],
    ) -> Option<Response> {
        let domains: Vec<_> = spec.domains.iter().map(|domain| domain.id.clone()).collect();
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, json) = projects.answer(method, path, query.unwrap_or_default(), body, &domains)?;
        Some((status, Json(json)).into_response())
    }

    /// What the Kubernetes API answers about executions, if the request is about them.
    pub(super) fn traces(&self, spec: &Spec, method: &Method, path: &str, query: &str) -> Option<Response> {
        let (status, json) = self.executions().kubernetes(spec, method, path, query)?;
        Some((status, Json(json)).into_response())
    }

    fn executions(&self) -> MutexGuard<'_, Executions> {
        self.executions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a request to the Kubernetes API may be about executions.
pub(super) fn may_be_a_trace(path: &str, query: &str) -> bool {
    path.ends_with(workflow::PLURAL)
        || path.contains(&format!("/{}/", workflow::PLURAL))
        || query.contains(labels::EXECUTION_ID)
}

/// Whether admin is behind this path of the API's proxy.
pub(super) fn is_admin(target: &str) -> bool {
    target.ends_with(&format!("/services/{}:{}", names::ADMIN, admin::PORT))
}

/// What Services and pods answer through the API's proxy: datacatalog's health, and a propeller's metrics.
pub(super) fn proxied(found: Option<&Value>, port: &str, within: &str) -> Response {
    let Some(found) = found else { return not_found() };
    match (found["metadata"]["name"].as_str(), port, within) {
        (Some(names::DATACATALOG), "http", "healthcheck") => StatusCode::OK.into_response(),
        (Some(_), "10254", "metrics") if found["status"]["phase"] == "Running" => {
            let namespace = found["metadata"]["labels"][labels::WORKFLOW_NAMESPACE].as_str();
            let segment = namespace.unwrap_or_default().replace('-', "_");
            format!("flyte:propeller:{segment}:free_workers_count 20\n").into_response()
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "no endpoints available").into_response(),
    }
}
