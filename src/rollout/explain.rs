//! The failure of a wait: first cause, log tail, events, next step.

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, LogParams};

use super::last_words;
use super::model::{Blocker, ContainerRef, Status};
use super::sockets;
use crate::failure::{Failure, Reason};
use crate::kubernetes::ask;
use crate::limits::FAILURE_LOG;
use crate::manifest::ObjectRef;
use crate::reason::{Speaker, recognise};

/// Lines that are read: a stack is long, and what tells stands before it.
const LOG_LINES: i64 = 200;
/// Lines that are shown.
const SHOWN: usize = 20;

/// The first in the order of the targets that cannot go on by itself; else the first that is not ready. Targets stand
/// in the order in which they need each other, so what fails further down fails because of it.
pub(super) fn first<'j>(judged: &'j [(&ObjectRef, Status)]) -> Option<(&'j ObjectRef, &'j Blocker)> {
    let failing = judged.iter().find(|(_, status)| matches!(status, Status::Failing(..) | Status::Stuck(_)));
    let crashing = || {
        judged.iter().find(|(_, status)| {
            status.cause().and_then(|cause| cause.container.as_ref()).is_some_and(|container| container.previous)
        })
    };
    let waiting = || judged.iter().find(|(_, status)| status.cause().is_some());
    let (object, status) = failing.or_else(crashing).or_else(waiting)?;
    status.cause().map(|cause| (*object, cause))
}

/// A failure on an object, with what its container and Kubernetes say about it.
pub(super) async fn failure(client: &Client, failure: Failure, object: &ObjectRef, cause: &Blocker) -> Failure {
    let reason = if cause.reason == Reason::RolloutTimeout { failure.reason } else { cause.reason };
    let mut failure = Failure { reason, ..failure }.on(object).because(&cause.line);
    if let Some(container) = &cause.container {
        let lines = log(client, container).await;
        let telling = last_words::telling(&lines).filter(|_| container.previous);
        let shown = window(&lines, telling.as_ref().map(|(at, _)| *at));
        failure.reason = sharpened(cause.reason, shown);
        failure = failure.evidence(shown.iter().map(|line| format!("log: {line}")));
        // What a container that ended said is nearer to the first cause than that it ended.
        if let Some((_, words)) = telling {
            failure = failure.because(format!("its last words: {words}"));
        }
        if cause.reason == Reason::PodProbe && cause.line.contains("connection refused") {
            let ports = sockets::listening(client, container).await;
            if !ports.is_empty() {
                let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
                failure = failure
                    .because(format!("nothing listens on the port that the probe asks; its pod listens on {ports}"));
            }
        }
    }
    let failure = failure.evidence(cause.evidence.iter().map(|line| format!("event: {line}")));
    let remedy = failure.reason.entry().remedy;
    let failure = failure.hint(remedy);
    match cause.container {
        Some(_) if !remedy.contains("sandbox logs") => {
            failure.hint(format!("`sandbox logs {}` shows the whole log", object.name))
        }
        _ => failure,
    }
}

/// The last lines, or those from the one that tells, where it stands before them.
fn window(lines: &[String], telling: Option<usize>) -> &[String] {
    let last = lines.len().saturating_sub(SHOWN);
    let from = telling.map_or(last, |at| at.min(last));
    &lines[from..(from + SHOWN).min(lines.len())]
}

/// What a container that started was held up by, as far as its own words tell, newest first.
fn sharpened(reason: Reason, lines: &[String]) -> Reason {
    let spoke = matches!(reason, Reason::PodCrash | Reason::PodInit | Reason::PodProbe);
    let known = || lines.iter().rev().find_map(|line| recognise(Speaker::Component, line));
    spoke.then(known).flatten().unwrap_or(reason)
}

/// The end of a container's log, of the run that tells more, oldest line first. Nothing where there is none.
async fn log(client: &Client, container: &ContainerRef) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &container.namespace);
    let runs: &[bool] = if container.previous { &[true, false] } else { &[false] };
    for &previous in runs {
        let name = Some(container.container.clone());
        let parameters = LogParams { container: name, previous, tail_lines: Some(LOG_LINES), ..LogParams::default() };
        match ask(FAILURE_LOG, pods.logs(&container.pod, &parameters)).await {
            Ok(text) if !text.trim().is_empty() => return text.lines().map(str::to_owned).collect(),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, pod = container.pod, previous, "no log"),
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_last_words_sharpen_why_it_ended_and_nothing_else() {
        let refused = "dial tcp 10.43.0.7:5432: connect: connection refused";
        for (reason, line, wanted) in [
            (Reason::PodCrash, refused, Reason::DatabaseRefused),
            (Reason::PodInit, refused, Reason::DatabaseRefused),
            (Reason::PodProbe, "InvalidAccessKeyId: The Access Key Id you provided", Reason::StorageRefused),
            (Reason::PodCrash, "panic: something else", Reason::PodCrash),
            (Reason::PodMemory, refused, Reason::PodMemory),
        ] {
            assert_eq!(sharpened(reason, &[line.to_owned(), "goroutine 1 [running]:".to_owned()]), wanted, "{line}");
        }
    }
}
