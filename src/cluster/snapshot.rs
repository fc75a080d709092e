//! Snapshots: copies of a data volume, each a volume of its own, from which other sandboxes begin.

use std::collections::BTreeMap;
use std::time::Duration;

use super::data::{begin_filling, end_filling, kept_data, unfilled};
use super::error::Error;
use super::labels::cluster_labels;
use super::node::{Data, NodeState, Removed, delete, state, stop};
use super::snapshot_volumes::{
    OF_LABEL, SNAPSHOT_LABEL, WHOLE_LABEL, is_running, remove_snapshot, saver, snapshots, volume_of, whole_mark,
};
use super::taken::taken;
use super::volumes::check_data_volume;
use crate::docker::{self, Docker, OneShot};
use crate::limits::{DOCKER_QUIET, VOLUME_COPY};
use crate::manifest::ImageRef;
use crate::plan::{data_volume, network_name, node_name};
use crate::run::{Deadline, Run};

const PAUSE: Duration = Duration::from_millis(100);
/// Copies files with their owners and times, and tells their size.
const COPY: &str = "cp -a /from/. /to/ && du -sk /to | cut -f1";
/// Minio's own settings, users and policies are encrypted with its root keys, which are made of the sandbox's name. It
/// makes new ones, and each `up` has it make those of the projects.
const FILL: &str = "cp -a /from/. /to/ && rm -rf /to/minio/.minio.sys/config /to/minio/.minio.sys/backend-encrypted";

/// Whether a snapshot is being copied to a cluster's data volume at this moment.
///
/// # Errors
/// As Docker's.
pub async fn is_filling(docker: &Docker, cluster: &str) -> Result<bool, docker::Error> {
    is_running(docker, &filler(cluster)).await
}

/// Copies the data of a cluster whose node runs, as it is at one moment: the node is frozen while it is copied. What an
/// earlier run left of a snapshot of this name is removed first. `image` is the node's. Returns the size in bytes.
///
/// # Errors
/// As Docker's; [`Error::DataGone`]; [`Error::SnapshotVolumeTaken`]; [`Error::Interrupted`]. [`abandon_snapshot`] is due
/// then, as where this is dropped.
pub async fn save_snapshot(
    docker: &Docker,
    cluster: &str,
    snapshot: &str,
    about: &str,
    image: &ImageRef,
    run: &Run,
) -> Result<u64, Error> {
    remove_snapshot(docker, snapshot).await?;
    check_data_volume(docker, cluster).await?;
    let (volume, container, node) = (volume_of(snapshot), saver(snapshot), node_name(cluster));
    let labels = [(SNAPSHOT_LABEL, about), (OF_LABEL, cluster)];
    docker.create_volume(&volume, &labels).await?;
    // Docker takes a volume that is there for the one that is asked for, whatever its labels.
    if docker.volume(&volume).await?.is_none_or(|made| made.labels.get(OF_LABEL).is_none_or(|of| of != cluster)) {
        return Err(Error::SnapshotVolumeTaken(volume));
    }
    let mounts = vec![(data_volume(cluster), "/from", false), (volume.clone(), "/to", true)];
    docker.create_one_shot(&copier(&container, image, COPY, mounts, &labels)).await?;
    docker.pause_container(&node).await?;
    let lines = to_end(docker, &container, run).await?;
    docker.unpause_container(&node).await?;
    docker.remove_container(&container).await?;
    let size = lines.last().map(|line| line.trim()).unwrap_or_default();
    docker.create_volume(&whole_mark(snapshot), &[(WHOLE_LABEL, size), (OF_LABEL, cluster)]).await?;
    Ok(size.parse::<u64>().unwrap_or_default() << 10)
}

/// Lets the node run again, where it is frozen, and removes what there is of a snapshot that was not saved, until nothing
/// new has come for a while: the daemon may still be busy with the last request of a run that was stopped.
///
/// # Errors
/// As Docker's.
pub async fn abandon_snapshot(docker: &Docker, cluster: &str, snapshot: &str) -> Result<(), docker::Error> {
    let thawed = async {
        if state(docker, cluster).await? == NodeState::Frozen {
            docker.unpause_container(&node_name(cluster)).await?;
        }
        Ok(())
    };
    let thawed: Result<(), docker::Error> = thawed.await;
    let mut quiet = Deadline::fixed(DOCKER_QUIET);
    while !quiet.has_passed() {
        if remove_snapshot(docker, snapshot).await? {
            quiet = Deadline::fixed(DOCKER_QUIET);
        }
        tokio::time::sleep(PAUSE).await;
    }
    thawed
}

/// Makes the data volume of a cluster whose data is to be a snapshot's, and copies it there. `images` are those of the
/// components that write to it, `image` is the node's.
///
/// # Errors
/// As Docker's; [`Error::VolumeTaken`], [`Error::Interrupted`]. What there is of it then is not taken for data.
pub async fn fill_from_snapshot(
    docker: &Docker,
    cluster: &str,
    snapshot: &str,
    images: &BTreeMap<String, String>,
    image: &ImageRef,
    run: &Run,
) -> Result<(), Error> {
    begin_filling(docker, cluster, images).await?;
    let (container, volume) = (filler(cluster), volume_of(snapshot));
    let mounts = vec![(volume.clone(), "/from", false), (data_volume(cluster), "/to", true)];
    docker.create_one_shot(&copier(&container, image, FILL, mounts, &cluster_labels(cluster))).await?;
    // Docker makes a volume that a container names and nobody has made: from now on this one cannot be removed.
    let is_whole = snapshots(docker).await?.iter().any(|one| one.name == snapshot);
    let filled = if is_whole { to_end(docker, &container, run).await.map(|_| ()) } else { Err(gone(&container)) };
    docker.remove_container(&container).await?;
    if !is_whole {
        docker.remove_volume(&volume).await?;
    }
    filled?;
    Ok(end_filling(docker, cluster).await?)
}

/// Copies the data of the cluster that a sandbox took to a volume of the sandbox's own name, where the next `up` looks for it.
/// Nobody may write to it meanwhile. `image` is the node's.
///
/// # Errors
/// As [`fill_from_snapshot`]'s.
async fn bring_home(docker: &Docker, cluster: &str, sandbox: &str, image: &ImageRef, run: &Run) -> Result<(), Error> {
    let Some(kept) = kept_data(docker).await?.into_iter().find(|kept| kept.sandbox == cluster) else { return Ok(()) };
    begin_filling(docker, sandbox, &kept.images).await?;
    let container = filler(sandbox);
    let mounts = vec![(data_volume(cluster), "/from", false), (data_volume(sandbox), "/to", true)];
    docker.create_one_shot(&copier(&container, image, COPY, mounts, &cluster_labels(sandbox))).await?;
    to_end(docker, &container, run).await?;
    docker.remove_container(&container).await?;
    Ok(end_filling(docker, sandbox).await?)
}

/// Removes all of the cluster that a sandbox took, with its data copied to where the next `up` of the sandbox looks for it.
///
/// # Errors
/// As [`delete`]'s; the data cannot be copied, and then the cluster is stopped and stays.
pub async fn leave_data(docker: &Docker, cluster: &str, sandbox: &str, run: &Run) -> Result<Removed, Error> {
    let taken = taken(docker).await?;
    stop(docker, cluster).await?;
    if let Some(image) = taken.node_image(sandbox) {
        bring_home(docker, cluster, sandbox, image, run).await?;
    }
    delete(docker, cluster, Data::Removed).await
}

/// Removes what a run that was killed had begun to copy to a cluster's data volume.
///
/// # Errors
/// As Docker's.
pub async fn discard_unfilled(docker: &Docker, cluster: &str) -> Result<(), docker::Error> {
    if !unfilled(docker).await?.contains_key(cluster) {
        return Ok(());
    }
    docker.remove_container(&filler(cluster)).await?;
    docker.remove_volume(&data_volume(cluster)).await?;
    end_filling(docker, cluster).await
}

/// The container that fills a cluster's data volume.
fn filler(cluster: &str) -> String {
    format!("{}-fill", network_name(cluster))
}

/// Runs a container's command to its end, but no longer than the run may: who waits for it is not left behind.
async fn to_end(docker: &Docker, container: &str, run: &Run) -> Result<Vec<String>, Error> {
    let work = run.unless_cancelled(async { Ok(docker.run_to_end(container).await?) });
    let late = || Err(failed(container, docker::Cause::Aborted("timed out".to_owned())));
    run.deadline.min(VOLUME_COPY).limit(work).await.unwrap_or_else(late)
}

fn failed(container: &str, cause: docker::Cause) -> Error {
    docker::Error { request: docker::Request::Wait(container.to_owned()), cause }.into()
}

fn gone(container: &str) -> Error {
    failed(container, docker::Cause::Aborted("the snapshot is gone".to_owned()))
}

fn copier(
    name: &str,
    image: &ImageRef,
    script: &str,
    mounts: Vec<(String, &'static str, bool)>,
    labels: &[(&str, &str)],
) -> OneShot {
    OneShot {
        name: name.to_owned(),
        image: image.clone(),
        command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        mounts,
        privileged: false,
    }
}
