//! `sandbox list`

use std::time::SystemTime;

use humantime::parse_rfc3339;

use crate::cli::args::Output;
use crate::cli::session::{CommandError, Session};
use crate::cli::table::table;
use crate::report;
use crate::report::span;
use crate::site::{self, ListedSandbox};

pub(in crate::cli) async fn run(session: &Session) -> Result<(), CommandError> {
    let listing = session.query(site::list(&session.host(), true)).await?;
    match session.output() {
        Output::Json => session.print_json(&listing.sandboxes).await?,
        Output::Human if listing.sandboxes.is_empty() && listing.failure.is_some() => {}
        Output::Human => session.print(&shown(&listing.sandboxes, SystemTime::now())).await?,
    }
    listing.failure.map_or(Ok(()), |failure| Err(failure.into()))
}

fn shown(sandboxes: &[ListedSandbox], now: SystemTime) -> String {
    if sandboxes.is_empty() {
        return "there is no sandbox; `sandbox up` makes one\n".to_owned();
    }
    let head = ["NAME", "STATE", "AGE", "MEMORY", "TIME LEFT", "PORTS"];
    table(head, sandboxes.iter().map(|sandbox| row(sandbox, now)))
}

fn row(sandbox: &ListedSandbox, now: SystemTime) -> [Option<String>; 6] {
    let at = |time: &Option<String>| time.as_deref().and_then(|time| parse_rfc3339(time).ok());
    let age = at(&sandbox.created).and_then(|created| now.duration_since(created).ok()).map(span);
    let left = at(&sandbox.expires).map(|end| end.duration_since(now).map_or_else(|_| "over".to_owned(), span));
    let ports: Vec<_> = sandbox.ports.iter().map(|(purpose, port)| format!("{purpose} {port}")).collect();
    [
        Some(sandbox.name.clone()),
        Some(sandbox.doing()),
        age,
        sandbox.memory.map(report::bytes),
        left,
        Some(ports.join(", ")).filter(|ports| !ports.is_empty()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::SandboxState;

    #[test]
    fn each_sandbox_is_a_line_and_what_is_not_known_is_a_dash() {
        let sandbox = |name: &str, state| ListedSandbox {
            name: name.to_owned(),
            state,
            run: None,
            ports: [("console".to_owned(), 30081), ("api".to_owned(), 40000)].into(),
            created: Some("2026-11-27T10:00:00Z".to_owned()),
            memory: Some(1_234_000_000),
            expires: Some("2026-11-27T12:30:05Z".to_owned()),
        };
        let attached = ListedSandbox {
            ports: Default::default(),
            created: None,
            memory: None,
            expires: None,
            ..sandbox("team", SandboxState::OnContext("prod".to_owned()))
        };
        let over = ListedSandbox {
            expires: Some("2026-11-27T11:59:59Z".to_owned()),
            ..sandbox("ci-1", SandboxState::Stopped)
        };
        let now = parse_rfc3339("2026-11-27T12:00:00Z").expect("a time");
        assert_eq!(
            shown(&[over, sandbox("flyte", SandboxState::Running), attached], now),
            "\
NAME   STATE            AGE  MEMORY  TIME LEFT  PORTS
ci-1   stopped          2h   1.2 GB  over       api 40000, console 30081
flyte  running          2h   1.2 GB  30m 5s     api 40000, console 30081
team   on context prod  -    -       -          -
"
        );
    }
}
