//! `sandbox down`

use crate::cli::args::Down;
use crate::cli::session::{Ended, Session, Telling};
use crate::lifecycle;

pub(in crate::cli) fn run(session: &Session, args: &Down) -> Result<(), Ended> {
    let name = session.name()?;
    let telling = Telling { command: "down", sandbox: &name, timeout: args.timeout, junit: None };
    session.narrate(telling, async |run| lifecycle::down(&name, &session.host(), run).await)
}
