//! `sandbox smoke`

use crate::cli::args::Smoke;
use crate::cli::session::{Ended, Session, Telling};
use crate::lifecycle;

pub(in crate::cli) fn run(session: &Session, args: &Smoke) -> Result<(), Ended> {
    let name = session.name()?;
    let telling = Telling { command: "smoke", sandbox: &name, timeout: args.timeout, junit: args.junit.clone() };
    session.narrate(telling, async |run| lifecycle::smoke(&name, &session.host(), run).await)
}
