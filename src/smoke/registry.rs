//! Check of the registry, on its published port.

use reqwest::StatusCode;

use super::check_failure::CheckResult;
use super::target::CheckContext;

/// I1: the registry answers as the distribution API's first request says (`GET /v2/`).
pub(super) async fn answers(context: &CheckContext<'_>) -> CheckResult {
    let port = context.ports.registry.unwrap_or_default();
    let reply = context.http.get(&format!("http://127.0.0.1:{port}/v2/")).await?;
    reply.expect(StatusCode::OK).map(|_| "HTTP 200".to_owned())
}
