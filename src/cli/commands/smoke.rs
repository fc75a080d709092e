//! `sandbox smoke`

use crate::cli::args::Smoke;
use crate::cli::session::{Ended, Session, Telling};
use crate::lifecycle;
use crate::smoke::Executions;

pub(in crate::cli) fn run(session: &Session, args: &Smoke) -> Result<(), Ended> {
    let name = session.name()?;
    let telling =
        Telling { command: "smoke", sandbox: &name, timeout: args.timeout, junit: args.junit.clone(), in_full: false };
    let executions = if args.full { Executions::All } else { Executions::None };
    session.narrate(telling, async |run| lifecycle::smoke(&name, &session.host(), executions, run).await)
}
