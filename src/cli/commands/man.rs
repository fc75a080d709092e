//! `sandbox man`

use clap::CommandFactory;

use crate::cli::args::{Cli, Man};
use crate::cli::session::{Ended, Session};
use crate::failure::{Failure, Reason};

pub(in crate::cli) fn run(_: &Session, args: &Man) -> Result<(), Ended> {
    let unwritable =
        |error| Failure::new(Reason::Usage, "cannot write the manual pages").on(args.folder.display()).because(error);
    std::fs::create_dir_all(&args.folder).map_err(unwritable)?;
    Ok(clap_mangen::generate_to(Cli::command(), &args.folder).map_err(unwritable)?)
}
