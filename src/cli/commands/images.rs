//! `sandbox images`

use crate::cli::args::Images;
use crate::cli::session::{Ended, Session};

pub(in crate::cli) fn run(_session: &Session, _args: &Images) -> Result<(), Ended> {
    Ok(())
}
