//! Checks of the volumes that a node mounts.
//!
//! Docker removes no volume that a container mounts. But files can be lost under the daemon, and where it creates a container
//! it makes each volume that is not there: an empty one without labels.

use futures::future::try_join_all;

use super::data::DATA_LABEL;
use super::error::Error;
use crate::docker::{self, Docker, Inspected, Volume};
use crate::plan::{data_volume, network_name, node_name};
use crate::spec::DATA_FOLDER;

const ABSENT: &str = "Docker has no such volume";
const EMPTY: &str = "Docker has the volume, and its files are gone";
const REPLACED: &str = "the volume that Docker has is not the sandbox's: it lacks the sandbox's labels";

/// Check that all volumes of a stopped node are the ones that it was made with.
///
/// # Errors
/// [`Error::DataGone`]; [`Error::VolumeGone`]; as Docker's.
pub(super) async fn check_volumes(docker: &Docker, cluster: &str, node: &Inspected) -> Result<(), Error> {
    let volumes = try_join_all(node.mounts.values().map(|name| docker.volume(name))).await?;
    for ((path, name), volume) in node.mounts.iter().zip(volumes) {
        let is_data = path == DATA_FOLDER;
        let Some(found) = fault(volume.as_ref(), is_data) else { continue };
        let (cluster, volume) = (cluster.to_owned(), name.clone());
        return Err(match is_data {
            true => Error::DataGone { cluster, volume, found },
            false => Error::VolumeGone { cluster, volume, found },
        });
    }
    Ok(())
}

/// Check of a node that was just created.
///
/// # Errors
/// As [`check_volumes`]; [`Error::NodeRemoved`].
pub(super) async fn check_new_node(docker: &Docker, cluster: &str) -> Result<(), Error> {
    let name = node_name(cluster);
    let Some(node) = docker.container(&name).await? else { return Err(Error::NodeRemoved(name)) };
    check_volumes(docker, cluster, &node).await
}

/// Removes a node that [`check_new_node`] failed for, and a volume that Docker made for it, which no label tells of.
///
/// # Errors
/// As Docker's.
pub(super) async fn discard_new_node(docker: &Docker, cluster: &str, error: &Error) -> Result<(), docker::Error> {
    let (Error::DataGone { volume, .. } | Error::VolumeGone { volume, .. }) = error else { return Ok(()) };
    docker.remove_container(&node_name(cluster)).await?;
    match docker.volume(volume).await? {
        Some(made) if made.labels.is_empty() => docker.remove_volume(volume).await,
        _ => Ok(()),
    }
}

/// Check that a cluster has the data volume that it was made with.
///
/// # Errors
/// [`Error::DataGone`]; as Docker's.
pub(super) async fn check_data_volume(docker: &Docker, cluster: &str) -> Result<(), Error> {
    let volume = data_volume(cluster);
    match fault(docker.volume(&volume).await?.as_ref(), true) {
        None => Ok(()),
        Some(found) => Err(Error::DataGone { cluster: cluster.to_owned(), volume, found }),
    }
}

/// The volumes of a cluster, by name, that its containers mount and that have no label to tell.
pub(super) fn mounted<'a>(cluster: &str, containers: &'a [docker::Container]) -> impl Iterator<Item = &'a String> {
    let prefix = format!("{}-", network_name(cluster));
    containers.iter().flat_map(|container| &container.volumes).filter(move |volume| volume.starts_with(&prefix))
}

/// What is wrong with a volume that a node mounts.
fn fault(volume: Option<&Volume>, is_data: bool) -> Option<&'static str> {
    match volume {
        None => Some(ABSENT),
        Some(volume) if is_replaced(volume, is_data) => Some(REPLACED),
        Some(volume) if volume.lacks_files() => Some(EMPTY),
        Some(_) => None,
    }
}

/// Whether a volume is not the one that was made for a node. Of one without a name of its own nothing can be told.
fn is_replaced(volume: &Volume, is_data: bool) -> bool {
    let is_anonymous = volume.name.len() == 64 && volume.name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_data { !volume.labels.contains_key(DATA_LABEL) } else { volume.labels.is_empty() && !is_anonymous }
}
