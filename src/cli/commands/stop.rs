//! `sandbox stop`

use clap::Args;

use crate::cli::args::TimeoutArg;
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::lifecycle;
use crate::limits;
use crate::site::Halt;

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Freeze it: give back the processors and keep the memory, to be back within seconds
    #[arg(long)]
    freeze: bool,
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::STOP.as_secs() }>,
}

pub(in crate::cli) async fn run(session: &Session, args: &StopArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let how = if args.freeze { Halt::Freeze } else { Halt::Stop };
    let settings = RunSettings::new("stop", &name);
    session.run_reported(settings, async |run| lifecycle::stop(&name, how, &session.host(), run).await).await
}
