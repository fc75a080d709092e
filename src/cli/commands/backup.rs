//! `sandbox backup`

use std::path::PathBuf;

use clap::Args;

use crate::cli::args::TimeoutArg;
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::lifecycle;
use crate::limits;

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write, such as sandbox.tar.zst; one that is there is replaced
    file: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::BACKUP.as_secs() }>,
}

pub(in crate::cli) async fn run(session: &Session, args: &BackupArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let settings = RunSettings::new("backup", &name);
    session.run_reported(settings, async |run| lifecycle::backup(&name, &args.file, &session.host(), run).await).await
}
