//! Error responses of the API.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::path::Path;

/// A `Status` of this code and message.
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
    with_reason(code, reason, message)
}

pub(super) fn not_found(path: &Path) -> Response {
    refusal(404, &format!("{} \"{}\" not found", path.qualified(), path.name))
}

pub(super) fn already_exists(path: &Path) -> Response {
    with_reason(409, "AlreadyExists", &format!("{} \"{}\" already exists", path.qualified(), path.name))
}

fn with_reason(code: u16, reason: &str, message: &str) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "message": message, "reason": reason});
    (StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(status)).into_response()
}
