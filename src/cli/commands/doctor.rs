//! `sandbox doctor`

use std::time::Duration;

use crate::cli::args::Doctor;
use crate::cli::session::{Ended, Session, Telling, as_it_is};
use crate::lifecycle;

/// Each check has a shorter limit of its own.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(in crate::cli) fn run(session: &Session, args: &Doctor) -> Result<(), Ended> {
    let name = session.spec(&args.spec)?.spec.name;
    let telling = Telling { command: "doctor", sandbox: &name, timeout: TIMEOUT, junit: None, in_full: true };
    session.narrate_plan(telling, &args.spec, as_it_is, async |plan, run| {
        lifecycle::doctor(plan, &session.host(), run).await
    })
}
