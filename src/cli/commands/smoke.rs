//! `sandbox smoke`

use clap::Args;

use crate::cli::args::{ReportArgs, TimeoutArg};
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::lifecycle;
use crate::limits;
use crate::smoke::Executions;

#[derive(Debug, Args)]
pub(crate) struct SmokeArgs {
    /// Run a workflow in every project and domain, too
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::SMOKE.as_secs() }>,
    #[command(flatten)]
    reports: ReportArgs,
}

pub(in crate::cli) async fn run(session: &Session, args: &SmokeArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let settings = RunSettings { reports: Some(&args.reports), ..RunSettings::new("smoke", &name) };
    let executions = if args.full { Executions::All } else { Executions::None };
    session.run_reported(settings, async |run| lifecycle::smoke(&name, &session.host(), executions, run).await).await
}
