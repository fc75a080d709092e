//! `sandbox gc`

use std::time::SystemTime;

use crate::cli::args::{Gc, Output};
use crate::cli::session::{Ended, Session};
use crate::lifecycle::{self, Fate, Swept};

pub(in crate::cli) fn run(session: &Session, args: &Gc) -> Result<(), Ended> {
    let sweep = session.block_on(lifecycle::gc(&session.host(), SystemTime::now(), args.dry_run))?;
    match session.output() {
        Output::Json => session.print_json(&sweep.sandboxes)?,
        Output::Human => session.print(&shown(&sweep.sandboxes))?,
    }
    sweep.failure.map_or(Ok(()), |failure| Err(failure.into()))
}

fn shown(sandboxes: &[Swept]) -> String {
    if sandboxes.is_empty() {
        return "there is no sandbox\n".to_owned();
    }
    let line = |Swept { sandbox, fate, why }: &Swept| {
        let what = match fate {
            Fate::Removed => "removed",
            Fate::Due => "would be removed",
            Fate::Left => "left",
            Fate::Stuck => "could not be removed",
        };
        format!("{sandbox} {what}: {why}\n")
    };
    sandboxes.iter().map(line).collect()
}
