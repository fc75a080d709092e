//! The failure of a wait: first cause, log tail, events, next step.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, LogParams};
use tokio::time::timeout;

use super::status::{Cause, Culprit, Status};
use crate::failure::{Failure, Reason};
use crate::manifest::ObjectRef;

const LOG_LINES: i64 = 20;
const LOGS_WITHIN: Duration = Duration::from_secs(5);

/// The first in the order of the targets that cannot go on by itself; else the first that is not ready. Targets stand
/// in the order in which they need each other, so what fails further down fails because of it.
pub(super) fn first<'j>(judged: &'j [(&ObjectRef, Status)]) -> Option<(&'j ObjectRef, &'j Cause)> {
    let failing = judged.iter().find(|(_, status)| matches!(status, Status::Failing(..) | Status::Stuck(_)));
    let crashing = || {
        judged.iter().find(|(_, status)| {
            status.cause().and_then(|cause| cause.culprit.as_ref()).is_some_and(|culprit| culprit.previous)
        })
    };
    let waiting = || judged.iter().find(|(_, status)| status.cause().is_some());
    let (object, status) = failing.or_else(crashing).or_else(waiting)?;
    status.cause().map(|cause| (*object, cause))
}

/// Sandboxes side by side use up the default of 128 inotify instances a user.
const MORE_INOTIFY: &str = "`sudo sysctl -w fs.inotify.max_user_instances=512` lets more sandboxes run side by side";

/// A failure on an object, with what its container and Kubernetes say about it.
pub(super) async fn failure(
    client: &Client,
    reason: Reason,
    what: String,
    object: &ObjectRef,
    cause: &Cause,
) -> Failure {
    let mut failure = Failure::new(reason, what).on(object).because(&cause.reason);
    if let Some(culprit) = &cause.culprit {
        let lines = log(client, culprit).await;
        failure = failure.evidence(lines.iter().map(|line| format!("log: {line}")));
        // What a container that ended said last is nearer to the first cause than that it ended.
        if let Some(last) = lines.iter().rev().find(|line| culprit.previous && !line.trim().is_empty()) {
            failure = failure.because(format!("its last words: {}", last.trim()));
            if last.contains("too many open files") {
                failure = failure.hint(MORE_INOTIFY);
            }
        }
    }
    let failure = failure.evidence(cause.evidence.iter().map(|line| format!("event: {line}")));
    let says = |text: &str| cause.reason.contains(text);
    match () {
        () if says("Image") => {
            failure.hint("`sandbox images list` shows which images are here; `--image` names another")
        }
        () if says("Insufficient") => {
            failure.hint("the node is too small: stop something else on it, or give Docker more memory and processors")
        }
        () if cause.culprit.is_some() => failure.hint(format!("`sandbox logs {}` shows the whole log", object.name)),
        () => failure,
    }
}

/// The end of a container's log, of the run that tells more, oldest line first. Nothing where there is none.
async fn log(client: &Client, culprit: &Culprit) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &culprit.namespace);
    let runs: &[bool] = if culprit.previous { &[true, false] } else { &[false] };
    for &previous in runs {
        let container = Some(culprit.container.clone());
        let parameters = LogParams { container, previous, tail_lines: Some(LOG_LINES), ..LogParams::default() };
        match timeout(LOGS_WITHIN, pods.logs(&culprit.pod, &parameters)).await {
            Ok(Ok(text)) if !text.trim().is_empty() => return text.lines().map(str::to_owned).collect(),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, pod = culprit.pod, previous, "no log"),
            Err(_) => tracing::debug!(pod = culprit.pod, previous, "no log in time"),
        }
    }
    Vec::new()
}

/// The innermost cause of an error.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
