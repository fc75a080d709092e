//! Responses of a working console, admin and dashboard.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::spec::Spec;

/// A Flyte with this spec.
#[derive(Debug)]
pub struct Responders<'a> {
    /// The spec.
    pub spec: &'a Spec,
}

pub(super) fn html(body: &str) -> Response {
    ([(header::CONTENT_TYPE, "text/html")], body.to_owned()).into_response()
}

/// A JSON response.
pub fn json_of(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// An empty 404.
pub fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

impl Responders<'_> {
    /// Console and admin.
    #[must_use]
    pub fn gateway(&self, path: &str, headers: &HeaderMap) -> Response {
        match path {
            "/healthcheck" | "/console/healthz" => StatusCode::OK.into_response(),
            "/console" => html(&format!(
                "<html><title>REHEARSAL</title><h1>REHEARSAL: nothing of Flyte runs here</h1><script>window.env = {{\"BASE_URL\":\"/console\"}};</script>\
                 <div id=\"{}\"></div><script src=\"/console/assets/main.js\"></script></html>",
                self.spec.flyte.facts().console_root
            )),
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
}
