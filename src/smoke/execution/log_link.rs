//! The task's log in the dashboard, by admin's link.

use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde_json::Value;

use super::failed_part::FailedPart;
use super::smoke_workflow::{MARKER, SmokeWorkflow};
use crate::limits::EXECUTION_LOG;
use crate::run::Deadline;
use crate::smoke::check_failure::CheckFailure;
use crate::smoke::http::Reply;
use crate::smoke::target::CheckContext;

const PAUSE: Duration = Duration::from_millis(500);

/// A link to a log in the dashboard.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    port: u16,
    namespace: String,
    pod: String,
}

/// Follows the link as the dashboard's page does, and finds the marker. Returns the pod's name.
pub(super) async fn read(
    workflow: &SmokeWorkflow,
    context: &CheckContext<'_>,
    link: &str,
    deadline: Deadline,
) -> Result<String, CheckFailure> {
    let Link { port, namespace, pod } = parse(link).ok_or_else(|| {
        let wanted = "not of the form http://127.0.0.1:<port>/#/log/<namespace>/<pod>/pod?namespace=<namespace>";
        FailedPart::Propeller.attribute(CheckFailure::new(link, wanted))
    })?;
    let leads_to = |where_to: String| {
        Err(FailedPart::Propeller.attribute(CheckFailure::new(link, format!("it leads to {where_to}"))))
    };
    let dashboard = context.spec.ports.dashboard;
    if port != dashboard {
        return leads_to(format!("port {port}, and the dashboard is on {dashboard}"));
    }
    if namespace != workflow.at.name {
        return leads_to(format!("namespace {namespace}, and its workflow namespace is {}", workflow.at.name));
    }
    let url = context.dashboard(&format!("/api/v1/log/{namespace}/{pod}/{pod}"));
    let deadline = deadline.min(EXECUTION_LOG);
    loop {
        let seen = match context.http.get(&url).await.and_then(|reply| reply.expect(StatusCode::OK)) {
            Ok(reply) => has_marker(&reply),
            Err(failure) => Err(FailedPart::Dashboard.attribute(failure)),
        };
        match seen {
            Ok(()) => return Ok(pod),
            Err(failure) if deadline.has_passed() => return Err(failure),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A check for the marker. To a log that it may not read the dashboard answers 200, with the refusal as its only line.
fn has_marker(reply: &Reply) -> Result<(), CheckFailure> {
    let json: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let lines = json["logs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines: Vec<_> = lines.iter().filter_map(|line| line["content"].as_str()).collect();
    if lines.iter().any(|line| line.trim() == MARKER) {
        return Ok(());
    }
    let words = lines.last().copied().unwrap_or("the log has no lines");
    let failure = reply.failure(format!("{words}, in place of {MARKER}"));
    Err(FailedPart::from_message(words, FailedPart::Dashboard).attribute(failure))
}

fn parse(link: &str) -> Option<Link> {
    let url = Url::parse(link).ok()?;
    let (path, query) = url.fragment()?.split_once('?')?;
    let ["", "log", namespace, pod, "pod"] = path.split('/').collect::<Vec<_>>()[..] else { return None };
    // Where this is absent or another, the page asks whether to switch.
    if query != format!("namespace={namespace}") {
        return None;
    }
    Some(Link { port: url.port_or_known_default()?, namespace: namespace.to_owned(), pod: pod.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::{Link, Reply, StatusCode, has_marker, parse};

    #[test]
    fn links_are_read() {
        let link = |port, namespace: &str, pod: &str| {
            Some(Link { port, namespace: namespace.to_owned(), pod: pod.to_owned() })
        };
        let table = [
            (
                "http://127.0.0.1:30082/#/log/103020-x-d-dev/e-n0-0/pod?namespace=103020-x-d-dev",
                link(30082, "103020-x-d-dev", "e-n0-0"),
            ),
            ("http://logs/#/log/n/p/pod?namespace=n", link(80, "n", "p")),
            ("http://127.0.0.1:30082/#!/log/n/p/pod?namespace=n", None),
            ("http://127.0.0.1:30082/#/log/n/p/pod?namespace=other", None),
            ("http://127.0.0.1:30082/#/log/n/p/pod", None),
            ("http://127.0.0.1:30082/", None),
            ("#/log/n/p/pod?namespace=n", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_refusal_in_a_200_is_not_the_log() {
        let seen = |body: &str| {
            let (asked, content_type) = (String::new(), String::new());
            let reply = Reply { asked, status: StatusCode::OK, content_type, body: body.into() };
            has_marker(&reply).map_err(|failure| failure.seen)
        };
        assert_eq!(seen(r#"{"logs":[{"content":"sandbox-smoke-ok"}]}"#), Ok(()));
        let refused = r#"{"logs":[{"content":"pods \"e\" is forbidden: cannot get pods/log"}]}"#;
        let words = "permission: pods \"e\" is forbidden: cannot get pods/log, in place of sandbox-smoke-ok";
        assert_eq!(seen(refused), Err(words.to_owned()));
        let empty = "dashboard: the log has no lines, in place of sandbox-smoke-ok";
        assert_eq!(seen(r#"{"logs":[]}"#), Err(empty.to_owned()));
        assert_eq!(seen("<html>"), Err(empty.to_owned()));
    }
}
