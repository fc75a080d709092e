//! `sandbox down`

use crate::cli::args::Down;
use crate::cli::session::{Ended, Session, Telling};
use crate::lifecycle;
use crate::site::Location;

pub(in crate::cli) fn run(session: &Session, args: &Down) -> Result<(), Ended> {
    let name = session.name()?;
    let telling = Telling { command: "down", sandbox: &name, timeout: args.timeout, junit: None, in_full: false };
    let host = session.host();
    // Where this machine records the sandbox, nothing else that a spec says matters.
    let wanted = match Location::recorded(&name, &host)? {
        Some(recorded) => Some(recorded),
        None => session.location(&args.spec)?,
    };
    session.narrate(telling, async |run| lifecycle::down(&name, wanted, &host, run).await)
}
