//! Half copies of data that killed runs left, for `gc`: snapshots, and data volumes that were to begin with one.
//!
//! Whether a run of this state folder lives is told by its lock. Of a run with another state folder only its container, and the
//! limit of its copy, are known.

use std::time::SystemTime;

use super::swept::{Fate, delete, lock};
use crate::cluster::{self, HalfSnapshot};
use crate::docker::{Docker, Volume};
use crate::failure::Failure;
use crate::images::CLOCKS;
use crate::limits::VOLUME_COPY;
use crate::site::Host;
use crate::spec;

const ELSEWHERE: &str = "a run with another state folder may be busy with it";
const COPYING: &str = "its data is being copied";
const NO_NAME: &str = "nothing of ours has such a name";

/// Removes half a snapshot, unless a run may still be saving it; with `dry` nothing is touched.
pub(super) async fn remove_half_snapshot(
    half: &HalfSnapshot,
    host: &Host,
    docker: &Docker,
    now: SystemTime,
    dry: bool,
) -> Result<(Fate, String), Failure> {
    if !spec::is_name(&half.name) {
        return Ok((Fate::Left, NO_NAME.to_owned()));
    }
    let state = host.state.snapshot(&half.name);
    if !state.has_lock() && !is_old(&half.volume, now) {
        return Ok((Fate::Left, ELSEWHERE.to_owned()));
    }
    let held = match lock(&state)? {
        Ok(held) => held,
        Err(busy) => return Ok((Fate::Left, busy)),
    };
    if cluster::is_saving(docker, &half.name).await? {
        return Ok((Fate::Left, COPYING.to_owned()));
    }
    if !cluster::half_snapshots(docker).await?.contains(half) {
        return Ok((Fate::Left, "it is whole by now".to_owned()));
    }
    let why = "a run that was killed had begun to save it".to_owned();
    if dry {
        return Ok((Fate::Due, why));
    }
    cluster::remove_snapshot(docker, &half.name).await?;
    state.remove(&held)?;
    Ok((Fate::Removed, why))
}

/// Removes half a data volume, unless a run may still be filling it, with what else there is of the sandbox where it is new;
/// with `dry` nothing is touched. `mark` is the volume that says so.
pub(super) async fn remove_unfilled(
    sandbox: &str,
    mark: &Volume,
    host: &Host,
    docker: &Docker,
    now: SystemTime,
    dry: bool,
) -> Result<(Fate, String), Failure> {
    if !spec::is_name(sandbox) {
        return Ok((Fate::Left, NO_NAME.to_owned()));
    }
    let state = host.state.sandbox(sandbox);
    if !state.has_lock() && !is_old(mark, now) {
        return Ok((Fate::Left, ELSEWHERE.to_owned()));
    }
    let held = match lock(&state)? {
        Ok(held) => held,
        Err(busy) => return Ok((Fate::Left, busy)),
    };
    if cluster::is_filling(docker, sandbox).await? {
        return Ok((Fate::Left, COPYING.to_owned()));
    }
    if !cluster::unfilled(docker).await?.contains_key(sandbox) {
        return Ok((Fate::Left, "its data is whole by now".to_owned()));
    }
    let why = "a run that was killed had begun to copy data for it".to_owned();
    // It is on the cluster that it took, with its data.
    let is_elsewhere = cluster::cluster_of(docker, sandbox).await? != sandbox;
    if is_elsewhere || !cluster::state(docker, sandbox).await?.is_ours_to_make() {
        if !dry {
            cluster::discard_unfilled(docker, sandbox).await?;
        }
        return Ok((Fate::Left, "half a copy of its data, which a run that was killed left, goes".to_owned()));
    }
    if dry {
        return Ok((Fate::Due, why));
    }
    Ok(delete(sandbox, host, docker, &held).await?.map_or((Fate::Removed, why), |left| (Fate::Left, left)))
}

/// Whether no run can be busy with it any more.
fn is_old(volume: &Volume, now: SystemTime) -> bool {
    volume.age(now).is_some_and(|age| age > VOLUME_COPY + CLOCKS)
}
