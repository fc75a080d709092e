//! Removal of a sandbox.

use std::collections::BTreeSet;

use super::outcome::Done;
use super::rollback;
use crate::cluster::Data;
use crate::failure::{Failure, Reason};
use crate::report::{Outcome, Stage};
use crate::run::Run;
use crate::site::{Host, Location, Site, SpareRecord};

/// Removes the sandbox of this name: containers, network, volumes, its data where that is not kept, and state; on an attached cluster, its objects and
/// state. That there is none is a success. `wanted` is where the spec has it, for one that this machine does not record.
///
/// # Errors
/// Docker does not answer, another run is busy with the sandbox, or something could not be removed.
pub async fn down(name: &str, wanted: Option<Location>, data: Data, host: &Host, run: &Run) -> Result<Done, Failure> {
    let state = host.state.sandbox(name);
    if data == Data::Kept && SpareRecord::read(&state).is_some() {
        return Err(Failure::new(Reason::Usage, "a spare has no data to keep")
            .on(format!("spare {name}"))
            .hint(format!("`sandbox down --name {name}` removes it")));
    }
    let lock = state.lock("down")?;
    let is_recorded = state.path().is_dir();
    let removed = async {
        let site = Site::resolve(name, wanted, host)?;
        site.announce(run);
        let removed = run.stage(Stage::Down, async {
            let removed = site.remove(is_recorded, data, run).await?;
            let outcome = if removed.is_some() { Outcome::Passed } else { Outcome::Unchanged };
            let summary = removed.clone().unwrap_or_else(|| "nothing to remove".to_owned());
            Ok((removed.is_some(), outcome, summary))
        });
        let kept = if data == Data::Kept { "; its data is kept for the next `up`" } else { "" };
        let done = match removed.await? {
            true => Done::passed(site.marked(format!("sandbox {name} is gone{kept}"))),
            false => {
                let others = others(name, &site, host).await;
                Done::unchanged(site.marked(format!("there is no sandbox {name}{others}")))
            }
        };
        Ok(done)
    };
    match removed.await {
        Ok(done) => state.remove(&lock).map(|()| done),
        Err(failure) if is_recorded => Err(failure),
        // A lock without a sandbox is a leftover itself.
        Err(failure) => Err(rollback::forget(failure, &state, &lock)),
    }
}

/// Such as `; other sandboxes: a, b`: the name may be mistyped.
async fn others(name: &str, site: &Site<'_>, host: &Host) -> String {
    let mut others: BTreeSet<_> = host.state.sandboxes().into_iter().collect();
    // Without Docker there are those of the state folder.
    others.extend(site.overview().await.map(|overview| overview.sandboxes).unwrap_or_default());
    others.remove(name);
    others.retain(|other| SpareRecord::read(&host.state.sandbox(other)).is_none());
    let others: Vec<_> = others.into_iter().collect();
    if others.is_empty() { String::new() } else { format!("; other sandboxes: {}", others.join(", ")) }
}
