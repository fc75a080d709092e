//! What `up` would do to a sandbox that runs.

use super::{Host, Running, given};
use crate::failure::{Failure, Reason};
use crate::plan::{Difference, Plan};

/// The plan against the sandbox of its name; none where there is none that runs.
///
/// # Errors
/// Docker or the sandbox's API does not answer.
pub async fn compare(plan: &Plan, host: &Host) -> Result<Option<Difference>, Failure> {
    let name = &plan.spec.name;
    let running = match given::place_of(plan, host)? {
        Some(place) => Running::at(&place, name, host).await,
        None => Running::find(name, host).await,
    };
    match running {
        Ok(running) => Ok(Some(Difference::between(&running.inventory.spec, &running.inventory.objects, plan))),
        Err(failure) if failure.reason == Reason::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}
