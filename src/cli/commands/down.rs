//! `sandbox down`

use clap::Args;

use crate::cli::args::{ReportArgs, TimeoutArg};
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::cli::spec_flags::SpecFlags;
use crate::cluster::Data;
use crate::lifecycle;
use crate::limits;
use crate::site::Location;

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    spec: SpecFlags,
    /// Keep database and buckets for the next `up` of this name
    #[arg(long)]
    keep_data: bool,
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::DOWN.as_secs() }>,
    #[command(flatten)]
    reports: ReportArgs,
}

pub(in crate::cli) async fn run(session: &Session, args: &DownArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let host = session.host();
    // Where this machine records the sandbox, nothing else that a spec says matters.
    let wanted = match Location::recorded(&name, &host)? {
        Some(recorded) => Some(recorded),
        None => session.location(&args.spec).await?,
    };
    let data = if args.keep_data { Data::Kept } else { Data::Removed };
    let settings = RunSettings { reports: Some(&args.reports), ..RunSettings::new("down", &name) };
    session.run_reported(settings, async |run| lifecycle::down(&name, wanted, data, &host, run).await).await
}
