//! What a working Flyte answers on its three published ports.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::spec::Spec;

/// What is kept in the object store, by path.
pub type Kept = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// A Flyte that was brought up for this spec.
#[derive(Debug)]
pub struct Responders<'a> {
    /// What it was brought up for.
    pub spec: &'a Spec,
    /// Its object store.
    pub objects: Kept,
}

fn html(body: &str) -> Response {
    ([(header::CONTENT_TYPE, "text/html")], body.to_owned()).into_response()
}

/// JSON.
pub fn json_of(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// A 404 without words.
pub fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

impl Responders<'_> {
    /// Console and admin.
    #[must_use]
    pub fn gateway(&self, path: &str, headers: &HeaderMap) -> Response {
        match path {
            "/healthcheck" | "/console/healthz" => StatusCode::OK.into_response(),
            "/console" => html(
                "<html><title>REHEARSAL</title><h1>REHEARSAL: nothing of Flyte runs here</h1><script>window.env = {\"BASE_URL\":\"/console\",\"DISABLE_AUTH\":\"1\"};</script>\
                 <div id=\"react-app\"></div><script src=\"/console/assets/main.js\"></script></html>",
            ),
            "/console/assets/main.js" => ([(header::CONTENT_TYPE, "application/javascript")], "1").into_response(),
            "/api/v1/projects"
                if headers.get(header::ACCEPT).is_some_and(|accept| accept == "application/octet-stream") =>
            {
                ([(header::CONTENT_TYPE, "application/octet-stream")], vec![10_u8, 3]).into_response()
            }
            "/api/v1/projects" => {
                let domains: Vec<Value> = self.spec.domains.iter().map(|domain| json!({"id": domain.id})).collect();
                let projects = self.spec.projects.iter().map(|id| json!({"id": id, "domains": domains}));
                json_of(&json!({"projects": projects.collect::<Vec<_>>()}))
            }
            _ => not_found(),
        }
    }

    /// The dashboard.
    #[must_use]
    pub fn dashboard(&self, path: &str) -> Response {
        match path {
            "/" => html("<title>REHEARSAL</title><h1>REHEARSAL: no dashboard runs here</h1><kd-root></kd-root>"),
            "/api/v1/login/status" => json_of(&json!({"httpsMode": false})),
            _ => match path.strip_prefix("/api/v1/pod/") {
                Some(namespace) if self.spec.workflow_namespaces().iter().any(|ours| ours.name == namespace) => {
                    json_of(&json!({"pods": [], "errors": []}))
                }
                _ => json_of(&json!({"errors": [{"ErrStatus": {"message": "is forbidden"}}]})),
            },
        }
    }

    /// Minio, its browser's page and the S3 API.
    #[must_use]
    pub fn minio(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Response {
        as_minio(self.kept(method, uri, headers, body))
    }

    fn kept(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Response {
        match uri.path() {
            "/minio/health/cluster" => return StatusCode::OK.into_response(),
            "/minio/" => {
                let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
                return if agent.contains("Mozilla") {
                    html("<html><title>REHEARSAL</title><h1>REHEARSAL: no Minio runs here</h1>")
                } else {
                    StatusCode::FORBIDDEN.into_response()
                };
            }
            _ => {}
        }
        let who = signer(uri, headers).unwrap_or_default();
        let root = who == self.spec.storage.access_key;
        if let Some(call) = uri.path().strip_prefix("/minio/admin/v3/") {
            return match (root, call) {
                (false, _) => StatusCode::FORBIDDEN.into_response(),
                (true, "groups") => json_of(&json!([])),
                (true, _) => json_of(&json!({})),
            };
        }
        let named = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default();
        let storage = &self.spec.storage;
        let own = self.spec.projects.iter().find(|project| storage.keys_of(project).access_key == who);
        let opens = root || own.is_some_and(|project| storage.bucket_of(project) == named);
        let is_there = named == storage.bucket || self.spec.projects.iter().any(|one| storage.bucket_of(one) == named);
        if !opens || !is_there {
            return (StatusCode::FORBIDDEN, "<Code>AccessDenied</Code>").into_response();
        }
        let bucket = format!("/{named}");
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        match (method.as_str(), uri.path()) {
            ("HEAD", path) if path.trim_end_matches('/') == bucket => StatusCode::OK.into_response(),
            ("PUT", path) if path.starts_with(&bucket) => {
                objects.insert(path.to_owned(), body);
                StatusCode::OK.into_response()
            }
            ("GET", path) => objects.get(path).cloned().map_or_else(not_found, IntoResponse::into_response),
            ("DELETE", path) if objects.remove(path).is_some() => StatusCode::NO_CONTENT.into_response(),
            _ => not_found(),
        }
    }
}

/// With what every answer of Minio's has.
pub fn as_minio(mut response: Response) -> Response {
    response.headers_mut().insert("x-amz-request-id", HeaderValue::from_static("rehearsal"));
    response
}

/// The access key that a request is signed with, in its headers or its URL.
fn signer(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let presigned = uri.query().filter(|query| query.contains("X-Amz-Signature=")).unwrap_or_default();
    let presigned = presigned.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential=")?.split("%2F").next());
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let header = header.and_then(|text| text.split_once("Credential=")?.1.split('/').next());
    presigned.or(header).map(str::to_owned)
}
