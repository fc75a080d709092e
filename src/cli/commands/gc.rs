//! `sandbox gc`

use std::time::SystemTime;

use clap::Args;

use crate::cli::args::Output;
use crate::cli::session::{CommandError, Session};
use crate::lifecycle::{self, Fate, Swept};

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Only say what it would do
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) async fn run(session: &Session, args: &GcArgs) -> Result<(), CommandError> {
    let sweep = session.query(lifecycle::gc(&session.host(), SystemTime::now(), args.dry_run)).await?;
    match session.output() {
        Output::Json => session.print_json(&sweep.sandboxes).await?,
        Output::Human => session.print(&shown(&sweep.sandboxes)).await?,
    }
    sweep.failure.map_or(Ok(()), |failure| Err(failure.into()))
}

fn shown(sandboxes: &[Swept]) -> String {
    if sandboxes.is_empty() {
        return "there is no sandbox\n".to_owned();
    }
    let line = |Swept { sandbox, snapshot, fate, why }: &Swept| {
        let which = snapshot.as_ref().map(|snapshot| format!("snapshot {snapshot} of ")).unwrap_or_default();
        let what = match fate {
            Fate::Removed => "removed",
            Fate::Due => "would be removed",
            Fate::Frozen => "frozen",
            Fate::Idle => "would be frozen",
            Fate::Left => "left",
            Fate::Stuck => "could not be dealt with",
        };
        format!("{which}{sandbox} {what}: {why}\n")
    };
    sandboxes.iter().map(line).collect()
}
