//! The checks before an `up`, alone.

use super::outcome::Done;
use crate::failure::{Failure, Reason};
use crate::plan::Plan;
use crate::rehearsal::Faults;
use crate::report::Stage;
use crate::run::Run;
use crate::site::{Host, Site};

/// Checks what would stand in the way of [`up`](super::up()), and makes nothing: it takes no lock, so other runs may
/// be busy with the sandbox, and writes nothing to the state folder.
///
/// # Errors
/// Something is in the way.
pub async fn doctor(plan: &Plan, host: &Host, run: &Run) -> Result<Done, Failure> {
    let site = Site::of(&plan.spec, host)?;
    site.announce(run);
    let summary = if site.is_rehearsal() { "nothing is in the way of a rehearsal" } else { "nothing is in the way" };
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::new(Reason::StateUnwritable, "cannot make a temporary folder").because(error))?;
    run.stage(Stage::Preflight, site.preflight(plan, false, &Faults::default(), scratch.path(), run)).await?;
    Ok(Done::passed(summary))
}
