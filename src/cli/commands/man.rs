//! `sandbox man`

use std::path::PathBuf;

use clap::Args;

use crate::cli::session::CommandError;
use crate::failure::{Failure, Reason};

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder
    folder: PathBuf,
}

pub(in crate::cli) fn run(args: &ManArgs, command_line: clap::Command) -> Result<(), CommandError> {
    let unwritable =
        |error| Failure::new(Reason::Usage, "cannot write the manual pages").on(args.folder.display()).because(error);
    std::fs::create_dir_all(&args.folder).map_err(unwritable)?;
    // The pages are the same for every machine.
    let command_line = command_line.long_version(None::<&'static str>);
    Ok(clap_mangen::generate_to(command_line, &args.folder).map_err(unwritable)?)
}
