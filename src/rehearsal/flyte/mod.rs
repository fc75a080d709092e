//! What Flyte answers on the node's ports, once the Deployments behind a port are available.

use std::sync::{Arc, Mutex};

use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flyte_sandbox::spec::Spec;
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use super::apiserver::ApiServer;
use super::execution::Executions;
use super::faults::Faults;
use super::projects::Projects;
use super::responders::{Kept, Responders};

/// What outlives a request.
#[derive(Clone, Default)]
pub(super) struct Memory {
    kept: Kept,
    executions: Arc<Mutex<Executions>>,
    projects: Arc<Mutex<Projects>>,
}

/// A port of the node, and what must be available for it to answer.
#[derive(Clone, Copy)]
pub(super) enum Port {
    Console,
    Dashboard,
    Minio,
}

impl Port {
    pub(super) const ALL: [(u16, Self); 3] = [(30081, Self::Console), (30082, Self::Dashboard), (30084, Self::Minio)];

    const fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Dashboard => "dashboard",
            Self::Minio => "minio",
        }
    }

    const fn behind(self) -> &'static [&'static str] {
        match self {
            Self::Console => &["gateway", "flyteadmin", "flyteconsole"],
            Self::Dashboard => &["kubernetes-dashboard"],
            Self::Minio => &["minio"],
        }
    }
}

/// What a sandbox was brought up for, as its inventory says.
pub(super) fn spec(objects: &[&Value]) -> Option<Spec> {
    let inventory = objects
        .iter()
        .find(|object| object["kind"] == "Secret" && object["metadata"]["name"] == "sandbox-inventory")?;
    let inventory: Secret = serde_json::from_value((*inventory).clone()).ok()?;
    serde_json::from_slice(&inventory.data?.get("spec")?.0).ok()
}

pub(super) async fn answer(api: &ApiServer, memory: &Memory, port: Port, request: Request) -> Response {
    let served = api.read(|objects| {
        let deployment = |name: &str| {
            objects.iter().find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == name)
        };
        let available =
            |name: &&str| deployment(name).is_some_and(|found| found["status"]["availableReplicas"].as_u64() > Some(0));
        spec(objects).filter(|_| port.behind().iter().all(available))
    });
    let Some(spec) = served else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no endpoints").into_response();
    };
    let asked = format!("{} {}", request.method(), request.uri());
    if let Some(answer) = Faults::strike(port.name(), &asked).await {
        return answer;
    }
    let flyte = Responders { spec: &spec, objects: Arc::clone(&memory.kept) };
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_else(|_| Bytes::new());
    // The console asks for bytes, and is given some.
    let listed = parts.headers.get(header::ACCEPT).is_none_or(|accept| accept != "application/octet-stream");
    if matches!(port, Port::Console)
        && listed
        && let Some(answer) = projects(memory, &spec, &parts.method, parts.uri.path(), parts.uri.query(), &body)
    {
        return answer;
    }
    let executed = {
        let mut executions = memory.executions.lock().expect("not poisoned");
        executions.trouble = Faults::now().trouble();
        match port {
            Port::Console => executions.admin(&spec, &parts.method, parts.uri.path(), &body),
            Port::Dashboard => executions.log(parts.uri.path()),
            Port::Minio => None,
        }
    };
    if let Some((status, json)) = executed {
        return (status, axum::Json(json)).into_response();
    }
    match port {
        Port::Console => flyte.gateway(parts.uri.path(), &parts.headers),
        Port::Dashboard => flyte.dashboard(parts.uri.path()),
        Port::Minio => flyte.minio(&parts.method, &parts.uri, &parts.headers, body),
    }
}

/// What admin answers about projects, through the gateway or the API's proxy, if the request is about them.
pub(super) fn projects(
    memory: &Memory,
    spec: &Spec,
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: &[u8],
) -> Option<Response> {
    let domains: Vec<_> = spec.domains.iter().map(|domain| domain.id.clone()).collect();
    let mut projects = memory.projects.lock().expect("not poisoned");
    let (status, json) = projects.answer(method, path, query.unwrap_or_default(), body, &domains)?;
    Some((status, axum::Json(json)).into_response())
}

/// What the Kubernetes API answers about executions, if the request is about them.
pub(super) fn traces(api: &ApiServer, memory: &Memory, request: &Request) -> Option<Response> {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    if !path.contains("/flyteworkflows") && !query.contains("execution-id") {
        return None;
    }
    let spec = api.read(spec)?;
    let mut executions = memory.executions.lock().expect("not poisoned");
    let (status, json) = executions.kubernetes(&spec, request.method(), path, query)?;
    Some((status, axum::Json(json)).into_response())
}
