//! What there is of snapshots: a volume for each and, made last, an empty one with the size that says that it is whole.
//!
//! The labels of a volume cannot be changed, and a copy takes a while.

use crate::docker::{self, ContainerState, Docker, Volume};

/// The label of a snapshot; its value is what it is of, as whoever saves it says it.
pub(super) const SNAPSHOT_LABEL: &str = "sandbox.flyte/snapshot";
/// The label of all that there is of a snapshot; its value is the cluster.
pub(super) const OF_LABEL: &str = "sandbox.flyte/snapshot-of";
/// The label of the volume that says that a snapshot is whole; its value is the size in KiB.
pub(super) const WHOLE_LABEL: &str = "sandbox.flyte/snapshot-size";
const PREFIX: &str = "sandbox-snapshot-";

/// A snapshot that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// What it is of, as it was said when it was saved.
    pub about: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What there is of a snapshot that is not whole: it is being saved, or the run that saved it was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfSnapshot {
    /// Its name.
    pub name: String,
    /// The cluster that it is of.
    pub cluster: String,
    /// Its volume.
    pub volume: Volume,
}

pub(super) fn volume_of(snapshot: &str) -> String {
    format!("{PREFIX}{snapshot}")
}

/// The volume that says that a snapshot is whole. A dot is in no name.
pub(super) fn whole_mark(snapshot: &str) -> String {
    format!("{PREFIX}{snapshot}.whole")
}

/// The container that copies a snapshot.
pub(super) fn saver(snapshot: &str) -> String {
    format!("{}.copy", volume_of(snapshot))
}

/// All snapshots that are whole, by name.
///
/// # Errors
/// As Docker's.
pub async fn snapshots(docker: &Docker) -> Result<Vec<Snapshot>, docker::Error> {
    let (volumes, marks) = tokio::try_join!(docker.volumes(SNAPSHOT_LABEL), docker.volumes(WHOLE_LABEL))?;
    let mut found: Vec<_> = volumes.iter().filter_map(|volume| read(volume, &marks)).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// All that are not whole.
///
/// # Errors
/// As Docker's.
pub async fn half_snapshots(docker: &Docker) -> Result<Vec<HalfSnapshot>, docker::Error> {
    let (volumes, marks) = tokio::try_join!(docker.volumes(OF_LABEL), docker.volumes(WHOLE_LABEL))?;
    let half = |volume: Volume| {
        let name = volume.name.strip_prefix(PREFIX)?.to_owned();
        let is_whole = marks.iter().any(|mark| mark.name == volume.name || mark.name == whole_mark(&name));
        (!is_whole).then(|| HalfSnapshot { cluster: volume.labels[OF_LABEL].clone(), name, volume })
    };
    Ok(volumes.into_iter().filter_map(half).collect())
}

fn read(volume: &Volume, marks: &[Volume]) -> Option<Snapshot> {
    let name = volume.name.strip_prefix(PREFIX)?;
    let mark = marks.iter().find(|mark| mark.name == whole_mark(name))?;
    let kibibytes: u64 = mark.labels.get(WHOLE_LABEL)?.parse().ok()?;
    let about = volume.labels.get(SNAPSHOT_LABEL)?.clone();
    Some(Snapshot { name: name.to_owned(), about, bytes: kibibytes << 10 })
}

/// Whether a snapshot is being copied from its cluster's data at this moment.
///
/// # Errors
/// As Docker's.
pub async fn is_saving(docker: &Docker, snapshot: &str) -> Result<bool, docker::Error> {
    is_running(docker, &saver(snapshot)).await
}

/// Whether there is a container of this name, and it runs.
///
/// # Errors
/// As Docker's.
pub(super) async fn is_running(docker: &Docker, container: &str) -> Result<bool, docker::Error> {
    Ok(docker.container(container).await?.is_some_and(|found| found.state == ContainerState::Running))
}

/// Removes a snapshot, or what there is of one. Whether there was anything.
///
/// # Errors
/// As Docker's, with nothing changed where a sandbox is being made from it.
pub async fn remove_snapshot(docker: &Docker, snapshot: &str) -> Result<bool, docker::Error> {
    let (volume, mark) = (volume_of(snapshot), whole_mark(snapshot));
    let (volumes, marks) = tokio::try_join!(docker.volumes(SNAPSHOT_LABEL), docker.volumes(WHOLE_LABEL))?;
    // A run that was killed left it, and a volume that a container uses stays.
    docker.remove_container(&saver(snapshot)).await?;
    let is_there = volumes.iter().any(|one| one.name == volume) || marks.iter().any(|one| one.name == mark);
    if is_there {
        docker.remove_volume(&volume).await?;
        docker.remove_volume(&mark).await?;
    }
    Ok(is_there)
}

/// Removes what runs that were killed left of snapshots of a cluster. No run may be saving one of it.
///
/// # Errors
/// As Docker's.
pub async fn discard_half_snapshots(docker: &Docker, cluster: &str) -> Result<(), docker::Error> {
    for half in half_snapshots(docker).await?.into_iter().filter(|half| half.cluster == cluster) {
        remove_snapshot(docker, &half.name).await?;
    }
    Ok(())
}
