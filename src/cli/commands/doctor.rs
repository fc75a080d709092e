//! `sandbox doctor`

use crate::cli::args::Doctor;
use crate::cli::session::{Ended, Session};

pub(in crate::cli) fn run(_session: &Session, _args: &Doctor) -> Result<(), Ended> {
    Ok(())
}
