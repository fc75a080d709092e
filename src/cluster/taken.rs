//! Which cluster a sandbox is on: that of its own name, unless it took a spare. The labels of a container cannot be changed, so
//! a mark says it: an empty volume, labelled as part of the cluster, which is removed last of all.

use std::collections::BTreeMap;

use super::error::Error;
use super::labels::{CLUSTER_LABEL, cluster_labels};
use crate::docker::{self, Docker, Volume};
use crate::manifest::ImageRef;
use crate::plan::network_name;

/// The label of a mark; its value is the sandbox.
const TAKER_LABEL: &str = "sandbox.flyte/taken-by";
/// The label of a mark whose value is the image of the cluster's node.
const IMAGE_LABEL: &str = "sandbox.flyte/node-image";

/// The sandboxes of a daemon that took a spare, with the clusters that they are on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    marks: BTreeMap<String, Mark>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    cluster: String,
    node_image: ImageRef,
}

impl Taken {
    /// The cluster that a sandbox is on.
    #[must_use]
    pub fn cluster_of<'a>(&'a self, sandbox: &'a str) -> &'a str {
        self.marks.get(sandbox).map_or(sandbox, |mark| &mark.cluster)
    }

    /// The sandbox that took this cluster.
    #[must_use]
    pub fn taker(&self, cluster: &str) -> Option<&str> {
        self.marks.iter().find(|(_, mark)| mark.cluster == cluster).map(|(sandbox, _)| sandbox.as_str())
    }

    /// Those that took one, in order.
    pub fn sandboxes(&self) -> impl Iterator<Item = &String> {
        self.marks.keys()
    }

    /// The image of the node of the cluster that a sandbox took.
    pub(super) fn node_image(&self, sandbox: &str) -> Option<&ImageRef> {
        self.marks.get(sandbox).map(|mark| &mark.node_image)
    }
}

/// The sandboxes that took a spare.
///
/// # Errors
/// As Docker's.
pub async fn taken(docker: &Docker) -> Result<Taken, docker::Error> {
    Ok(Taken { marks: docker.volumes(TAKER_LABEL).await?.iter().filter_map(read).collect() })
}

/// The cluster that a sandbox is on.
///
/// # Errors
/// As Docker's.
pub async fn cluster_of(docker: &Docker, sandbox: &str) -> Result<String, docker::Error> {
    Ok(taken(docker).await?.cluster_of(sandbox).to_owned())
}

/// Says that a sandbox is on this cluster.
///
/// # Errors
/// [`Error::VolumeTaken`], [`Error::Docker`].
pub(super) async fn mark(docker: &Docker, sandbox: &str, cluster: &str, node_image: &ImageRef) -> Result<(), Error> {
    let (name, image) = (mark_name(sandbox), node_image.to_string());
    let said = [(TAKER_LABEL, sandbox), (IMAGE_LABEL, image.as_str())];
    let labels: Vec<_> = cluster_labels(cluster).into_iter().chain(said).collect();
    docker.create_volume(&name, &labels).await?;
    // Docker takes a volume that is there for the one that is asked for, whatever its labels.
    if cluster_of(docker, sandbox).await? == cluster { Ok(()) } else { Err(Error::VolumeTaken(name)) }
}

/// Takes back that a sandbox is on another cluster than its own.
///
/// # Errors
/// As Docker's, also where a container mounts the mark.
pub(super) async fn unmark(docker: &Docker, sandbox: &str) -> Result<(), docker::Error> {
    docker.remove_volume(&mark_name(sandbox)).await
}

pub(super) fn is_mark(volume: &Volume) -> bool {
    volume.labels.contains_key(TAKER_LABEL)
}

pub(super) fn mark_name(sandbox: &str) -> String {
    format!("{}-cluster", network_name(sandbox))
}

fn read(mark: &Volume) -> Option<(String, Mark)> {
    let label = |key: &str| mark.labels.get(key).cloned();
    let read = Mark { cluster: label(CLUSTER_LABEL)?, node_image: label(IMAGE_LABEL)?.parse().ok()? };
    Some((label(TAKER_LABEL)?, read))
}
