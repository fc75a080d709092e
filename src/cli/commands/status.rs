//! `sandbox status`

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use clap::Args;

use crate::cli::args::Output;
use crate::cli::session::{CommandError, Session};
use crate::cli::spec_flags::SpecFlags;
use crate::failure::Reason;
use crate::lifecycle::{self, Phase, Restart, SpecState, Status};
use crate::rehearsal::BANNER;
use crate::site::changed;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    spec: SpecFlags,
}

pub(in crate::cli) async fn run(session: &Session, args: &StatusArgs) -> Result<(), CommandError> {
    let plan = session.plan(&args.spec).await?.plan;
    let status = session.query(lifecycle::status(&plan, &session.host())).await?;
    match session.output() {
        Output::Json => session.print_json(&status).await?,
        Output::Human => session.print(&shown(&status, SystemTime::now())).await?,
    }
    match status.phase {
        Phase::Ready => Ok(()),
        Phase::Absent => Err(CommandError::Reported(Reason::NotFound.exit_code())),
        Phase::Stopped | Phase::Frozen | Phase::Changing | Phase::Broken | Phase::NotReady => {
            Err(CommandError::Reported(Reason::ClusterNotReady.exit_code()))
        }
    }
}

fn shown(status: &Status, now: SystemTime) -> String {
    let name = &status.name;
    let banner = if status.rehearsal { format!("{BANNER}\n") } else { String::new() };
    let text = match status.phase {
        Phase::Absent => format!("sandbox {name} is not there; `sandbox up --name {name}` makes it\n"),
        Phase::Stopped => format!("sandbox {name} is stopped; `sandbox start` starts it\n"),
        Phase::Frozen => format!("sandbox {name} is frozen; `sandbox start` thaws it\n"),
        Phase::Changing => format!("sandbox {name} is being {}\n", status.run.as_ref().map_or("changed", changed)),
        Phase::Broken => format!("sandbox {name} is broken; `sandbox up` mends it, `sandbox down` removes it\n"),
        Phase::NotReady => format!("sandbox {name} runs, but is not ready\n"),
        Phase::Ready => format!("sandbox {name} is ready\n"),
    };
    let mut text = banner + &text;
    text.extend(status.run.as_ref().map(|run| format!("`sandbox {}` with pid {} works on it\n", run.purpose, run.pid)));
    text.extend(
        status.kept_data.as_deref().map(|since| {
            format!("data of {since} is kept; `sandbox up` takes it up, `sandbox up --fresh` removes it\n")
        }),
    );
    for waiting in &status.waiting {
        let _ = writeln!(text, "  {}: {}", waiting.object, waiting.reason);
    }
    for answer in status.answers.iter().filter(|answer| !answer.is_well) {
        let _ = writeln!(text, "  {} does not answer: {}", answer.endpoint, answer.seen);
    }
    for Restart { container, pod, restarts, died_of } in &status.restarts {
        let _ = writeln!(text, "  {container} died: {died_of}; {restarts} restarts of its container in pod {pod}");
    }
    for missing in &status.missing {
        let _ = writeln!(text, "  {missing}: not there any more");
    }
    for edit in &status.edited {
        let _ = writeln!(text, "  {edit}: not as it was applied");
    }
    for outdated in &status.outdated {
        let _ = writeln!(text, "  {outdated}");
    }
    text.extend(status.expires.as_deref().map(|at| expiry(at, now)));
    match status.spec {
        SpecState::Unchanged => text.push_str("the spec says the same; `sandbox up` would change nothing\n"),
        SpecState::Changed => text.push_str("the spec says something else; `sandbox up` would apply the difference\n"),
        SpecState::Drifted => text.push_str("the spec says the same, the cluster does not; `sandbox up` mends it\n"),
        SpecState::Unknown => {}
    }
    let width = status.endpoints.iter().map(|endpoint| endpoint.name.len()).max().unwrap_or_default();
    for endpoint in &status.endpoints {
        let _ = writeln!(text, "  {:width$}  {}", endpoint.name, endpoint.url);
    }
    let others: Vec<_> = status.sandboxes.iter().filter(|other| *other != name).map(String::as_str).collect();
    if !others.is_empty() {
        let _ = writeln!(text, "other sandboxes: {}", others.join(", "));
    }
    text
}

/// A line about the end of its time.
fn expiry(at: &str, now: SystemTime) -> String {
    let left = humantime::parse_rfc3339(at).ok().and_then(|end| end.duration_since(now).ok());
    match left {
        Some(left) => {
            let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
            format!("its time is over in {left}, at {at}; then `sandbox gc` removes it\n")
        }
        None => format!("its time is over since {at}: `sandbox gc` removes it\n"),
    }
}
