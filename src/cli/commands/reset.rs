//! `sandbox reset`

use clap::Args;

use crate::cli::args::TimeoutArg;
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::lifecycle;
use crate::limits;
use crate::smoke::Executions;

#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::RESET.as_secs() }>,
}

pub(in crate::cli) async fn run(session: &Session, _: &ResetArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let settings = RunSettings::new("reset", &name);
    session
        .run_reported(settings, async |run| lifecycle::reset(&name, &session.host(), Executions::First, run).await)
        .await
}
