//! `sandbox doctor`

use crate::cli::args::Doctor;
use crate::cli::session::{Ended, Session, Telling};
use crate::lifecycle;
use crate::limits;

pub(in crate::cli) fn run(session: &Session, args: &Doctor) -> Result<(), Ended> {
    let request = session.request(&args.spec)?;
    let name = request.spec.name.clone();
    let telling = Telling { command: "doctor", sandbox: &name, timeout: limits::DOCTOR, junit: None, in_full: true };
    session.narrate_plan(telling, request, async |plan, run| {
        if session.is_verbose() {
            limits::ALL.iter().for_each(|limit| run.report.emit(limit.event()));
        }
        lifecycle::doctor(plan, &session.host(), run).await
    })
}
