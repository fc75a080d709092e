//! A simulated Flyte: responses on its published ports, and its objects in Kubernetes.
//!
//! | file | what |
//! |---|---|
//! | `responders.rs` | responses of a working console, admin and dashboard |
//! | `minio.rs` | a simulated Minio: its browser's page, the S3 API, and the part of the admin API that a sandbox uses |
//! | `executions.rs` | simulated workflows: registration, an execution that goes through its phases, its objects in Kubernetes and its log |
//! | `projects.rs` | simulated projects of admin: registered, archived, activated again, and listed by a filter |

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
    /// The registry for pushed images, where there is one.
    Registry,
}

impl Port {
    /// The ports of every sandbox, with the NodePort of each.
    pub const ALL: [(u16, Self); 3] = [
        (names::PUBLISHED_CONSOLE.node_port, Self::Console),
        (names::PUBLISHED_DASHBOARD.node_port, Self::Dashboard),
        (names::PUBLISHED_MINIO.node_port, Self::Minio),
    ];

    /// The port of a published Service, of which this is the path and the port in the Kubernetes API's proxy.
    pub(super) fn of_service(target: &str) -> Option<Self> {
        let (_, service) = target.split_once("/services/")?;
        let (name, port) = service.split_once(':')?;
        let published = names::PUBLISHED.iter().find(|one| one.service == name && one.port.to_string() == port)?;
        Self::ALL.iter().find(|(node_port, _)| *node_port == published.node_port).map(|(_, port)| *port)
    }

    /// The port's name, such as `console`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Console => names::PUBLISHED_CONSOLE.purpose,
            Self::Dashboard => names::PUBLISHED_DASHBOARD.purpose,
            Self::Minio => names::PUBLISHED_MINIO.purpose,
            Self::Registry => "registry",
        }
    }

    /// The Deployments behind the port, which must be available.
    const fn behind(self) -> &'static [&'static str] {
        match self {
            Self::Console => &[names::GATEWAY, names::ADMIN, names::CONSOLE],
            Self::Dashboard => &[names::DASHBOARD],
            Self::Minio => &[names::MINIO],
            Self::Registry => &[names::REGISTRY],
        }
    }

    /// True if the Deployments behind it are available.
    pub(super) fn is_served(self, objects: &[&Value]) -> bool {
        let deployment = |name: &str| {
            objects.iter().find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == name)
        };
        let available =
            |name: &&str| deployment(name).is_some_and(|found| found["status"]["availableReplicas"].as_u64() > Some(0));
        self.behind().iter().all(available)
    }
}

/// The spec of the sandbox, from its inventory.
pub(super) fn spec(objects: &[&Value]) -> Option<Spec> {
    let inventory =
        objects.iter().find(|object| object["kind"] == "Secret" && object["metadata"]["name"] == INVENTORY)?;
    let inventory: Secret = serde_json::from_value((*inventory).clone()).ok()?;
    serde_json::from_slice(&inventory.data?.get("spec")?.0).ok()
}

/// The state between requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Flyte {
    minio: Arc<Mutex<Minio>>,
    executions: Arc<Mutex<Executions>>,
    projects: Arc<Mutex<Projects>>,
}

impl Flyte {
    /// The response on a port, in a sandbox with this spec.
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
            && let Some(answer) = self.projects(spec, parts, parts.uri.path(), &body)
        {
            return answer;
        }
        let executed = {
            let mut executions = self.executions();
            executions.trouble = trouble;
            match port {
                Port::Console => {
                    let query = parts.uri.query().unwrap_or_default();
                    executions.admin(spec, &parts.method, parts.uri.path(), query, &body)
                }
                Port::Dashboard => executions.log(parts.uri.path()),
                Port::Minio | Port::Registry => None,
            }
        };
        if let Some((status, json)) = executed {
            return admins(spec, parts, status, json);
        }
        let responders = Responders { spec };
        match port {
            Port::Console => responders.gateway(parts.uri.path(), &parts.headers),
            Port::Dashboard => responders.dashboard(parts.uri.path()),
            Port::Registry if parts.uri.path() == "/v2/" => Json(serde_json::json!({})).into_response(),
            Port::Registry => not_found(),
            Port::Minio => {
                let mut minio = self.minio.lock().unwrap_or_else(PoisonError::into_inner);
                as_minio(minio.answer(spec, &parts.method, &parts.uri, &parts.headers, body))
            }
        }
    }

    /// Admin's response through the API's proxy.
    pub(super) fn admin(&self, spec: &Spec, parts: &Parts, path: &str, body: &[u8]) -> Option<Response> {
        self.projects(spec, parts, path, body).or_else(|| {
            let query = parts.uri.query().unwrap_or_default();
            let (status, json) = self.executions().admin(spec, &parts.method, path, query, body)?;
            Some(admins(spec, parts, status, json))
        })
    }

    /// Admin's response about projects, through the gateway or the API's proxy, if the request is about them.
    fn projects(&self, spec: &Spec, parts: &Parts, path: &str, body: &[u8]) -> Option<Response> {
        let domains: Vec<_> = spec.domains.iter().map(|domain| domain.id.clone()).collect();
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        let query = parts.uri.query().unwrap_or_default();
        let (status, json) = projects.answer(&parts.method, path, query, body, &domains)?;
        Some(admins(spec, parts, status, json))
    }

    /// The Kubernetes API's response about executions, if the request is about them.
    pub(super) fn execution_objects(&self, spec: &Spec, method: &Method, path: &str, query: &str) -> Option<Response> {
        let (status, json) = self.executions().kubernetes(spec, method, path, query)?;
        Some((status, Json(json)).into_response())
    }

    fn executions(&self) -> MutexGuard<'_, Executions> {
        self.executions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A response of admin in the names that its release uses towards who asks so.
fn admins(spec: &Spec, parts: &Parts, status: StatusCode, json: Value) -> Response {
    let asks = |name| parts.headers.get(name).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let is_asked_for = asks(header::ACCEPT) || asks(header::CONTENT_TYPE);
    let json = if spec.flyte.facts().json_when_asked && !is_asked_for { camel_case(json) } else { json };
    (status, Json(json)).into_response()
}

fn camel_case(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(camel_case).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (camel_name(&name), camel_case(value))).collect()
        }
        other => other,
    }
}

/// `resource_type` as `resourceType`.
fn camel_name(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let head = letters.next().map(|head| head.to_ascii_uppercase());
        name + &head.into_iter().chain(letters).collect::<String>()
    })
}

/// True if a request to the Kubernetes API may be about executions.
pub(super) fn may_be_execution_object(path: &str, query: &str) -> bool {
    path.ends_with(workflow::PLURAL)
        || path.contains(&format!("/{}/", workflow::PLURAL))
        || query.contains(labels::EXECUTION_ID)
}

/// True if admin is behind this path of the API's proxy.
pub(super) fn is_admin(target: &str) -> bool {
    target.ends_with(&format!("/services/{}:{}", names::ADMIN, admin::PORT))
}

/// Responses of Services and pods through the API's proxy: datacatalog's health, and a propeller's metrics.
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
