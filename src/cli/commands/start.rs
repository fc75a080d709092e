//! `sandbox start`

use clap::Args;

use crate::cli::args::{ReportArgs, TimeoutArg};
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::lifecycle;
use crate::limits;

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::START.as_secs() }>,
    #[command(flatten)]
    reports: ReportArgs,
}

pub(in crate::cli) async fn run(session: &Session, args: &StartArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let settings = RunSettings { reports: Some(&args.reports), ..RunSettings::new("start", &name) };
    session.run_reported(settings, async |run| lifecycle::start(&name, &session.host(), run).await).await
}
