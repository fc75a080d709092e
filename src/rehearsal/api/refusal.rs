//! Error responses of the API.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::path::Path;

/// A `Status` of this code and message. A namespace that is going away is told by a cause as well, as the real one does.
pub(crate) fn refusal(code: u16, message: &str) -> Response {
    let reasons = [
        (400, "BadRequest"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (405, "MethodNotAllowed"),
        (409, "Conflict"),
        (422, "Invalid"),
    ];
    let reason = reasons.iter().find(|(known, _)| *known == code).map_or("InternalError", |(_, reason)| reason);
    let leaving = code == 403 && message.ends_with("because it is being terminated");
    let cause = json!({"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"});
    with_reason(code, reason, message, if leaving { vec![cause] } else { Vec::new() })
}

pub(super) fn not_found(path: &Path) -> Response {
    refusal(404, &format!("{} \"{}\" not found", path.qualified(), path.name))
}

pub(super) fn already_exists(path: &Path) -> Response {
    with_reason(409, "AlreadyExists", &format!("{} \"{}\" already exists", path.qualified(), path.name), Vec::new())
}

fn with_reason(code: u16, reason: &str, message: &str, causes: Vec<Value>) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "message": message, "reason": reason, "details": {"causes": causes}});
    (StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(status)).into_response()
}
