//! `sandbox status`

use std::fmt::Write;

use crate::cli::args::{self, Output};
use crate::cli::session::{Ended, Session};
use crate::failure::Reason;
use crate::lifecycle::{self, Phase, SpecState, Status};
use crate::rehearsal::BANNER;

pub(in crate::cli) fn run(session: &Session, args: &args::Status) -> Result<(), Ended> {
    let (plan, _) = session.plan(&args.spec)?;
    let status = session.block_on(lifecycle::status(&plan, &session.host()))?;
    match session.output() {
        Output::Json => session.print_json(&status)?,
        Output::Human => session.print(&shown(&status))?,
    }
    match status.phase {
        Phase::Ready => Ok(()),
        Phase::Absent => Err(Ended::Told(Reason::NotFound.exit_code())),
        Phase::Stopped | Phase::Broken | Phase::NotReady => Err(Ended::Told(Reason::ClusterNotReady.exit_code())),
    }
}

fn shown(status: &Status) -> String {
    let name = &status.name;
    let banner = if status.rehearsal { format!("{BANNER}\n") } else { String::new() };
    let text = match status.phase {
        Phase::Absent => format!("sandbox {name} is not there; `sandbox up` makes it\n"),
        Phase::Stopped => format!("sandbox {name} is stopped; `sandbox up` starts it\n"),
        Phase::Broken => format!("sandbox {name} is broken; `sandbox up` mends it, `sandbox down` removes it\n"),
        Phase::NotReady => format!("sandbox {name} runs, but is not ready\n"),
        Phase::Ready => format!("sandbox {name} is ready\n"),
    };
    let mut text = banner + &text;
    for waiting in &status.waiting {
        let _ = writeln!(text, "  {}: {}", waiting.object, waiting.reason);
    }
    match status.spec {
        SpecState::Unchanged => text.push_str("the spec says the same; `sandbox up` would change nothing\n"),
        SpecState::Changed => text.push_str("the spec says something else; `sandbox up` would apply the difference\n"),
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
