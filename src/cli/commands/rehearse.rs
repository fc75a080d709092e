//! `sandbox rehearse`, which `up --engine rehearsal` starts

use std::path::PathBuf;

use clap::Args;

use crate::cli::session::{CommandError, Session};
use crate::failure::{Failure, Reason};
use crate::{process, rehearsal};

#[derive(Debug, Args)]
pub(crate) struct RehearseArgs {
    /// The folder
    folder: PathBuf,
}

pub(in crate::cli) async fn run(session: &Session, args: &RehearseArgs) -> Result<(), CommandError> {
    process::leave_session();
    rehearsal::serve(&args.folder, session.cancelled()).await.map_err(|error| {
        let taken = error.kind() == std::io::ErrorKind::AddrInUse;
        let reason = if taken { Reason::PortTaken } else { Reason::NodeCrash };
        Failure::new(reason, "cannot play a sandbox").on(args.folder.display()).because(error).into()
    })
}
