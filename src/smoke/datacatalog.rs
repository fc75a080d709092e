//! Check of datacatalog, through its Service: it is not published on the host.

use super::check_failure::CheckResult;
use super::target::CheckContext;

/// K1: the process answers on the HTTP port that its Service names. It starts serving only after its migration.
pub(super) async fn healthy(context: &CheckContext<'_>) -> CheckResult {
    let namespace = context.spec.system_namespace();
    context.api.service(&namespace, "datacatalog", "http", "healthcheck").await.map(|_| "HTTP 200".to_owned())
}
