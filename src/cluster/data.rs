//! The data volume: what users put into a sandbox, which outlives pods, stops of the node and, where asked for, the node.

use std::collections::BTreeMap;

use serde_json::json;

use super::error::Error;
use super::labels::{CLUSTER_LABEL, OWNER_LABEL, cluster_labels};
use crate::docker::{self, Docker, Volume};
use crate::plan::{data_volume, network_name};

/// The label of the volume that says that a sandbox's data volume is not whole.
const FILLING_LABEL: &str = "sandbox.flyte/filling";

/// The label of a data volume; its value is the images that its data was begun with, by component, as JSON.
pub(super) const DATA_LABEL: &str = "sandbox.flyte/data";

/// The data of a sandbox whose node is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptData {
    /// The name of the sandbox.
    pub sandbox: String,
    /// When it was begun, RFC 3339; empty where the daemon does not say.
    pub since: String,
    /// The image of each component that wrote it, by component.
    pub images: BTreeMap<String, String>,
}

impl KeptData {
    fn read(volume: &Volume) -> Option<Self> {
        Some(Self {
            sandbox: volume.labels.get(OWNER_LABEL)?.clone(),
            since: volume.created.clone(),
            images: serde_json::from_str(volume.labels.get(DATA_LABEL)?).unwrap_or_default(),
        })
    }
}

/// All data volumes of the daemon that are whole, of sandboxes that have a node too.
///
/// # Errors
/// [`Reason::Docker`](crate::failure::Reason::Docker).
pub async fn kept_data(docker: &Docker) -> Result<Vec<KeptData>, docker::Error> {
    let (volumes, unfilled) = tokio::try_join!(docker.volumes(DATA_LABEL), unfilled(docker))?;
    let all = volumes.iter().filter_map(KeptData::read);
    Ok(all.filter(|kept| !unfilled.contains_key(&kept.sandbox)).collect())
}

/// Makes the data volume of a cluster, unless it is there. `images` are those of the components that write to it.
///
/// # Errors
/// [`Error::Docker`]; [`Error::VolumeTaken`].
pub async fn make_data_volume(docker: &Docker, cluster: &str, images: &BTreeMap<String, String>) -> Result<(), Error> {
    let (name, images) = (data_volume(cluster), json!(images).to_string());
    let labels: Vec<_> = cluster_labels(cluster).into_iter().chain([(DATA_LABEL, images.as_str())]).collect();
    docker.create_volume(&name, &labels).await?;
    // Docker takes a volume that is there for the one that is asked for, whatever its labels.
    let ours = docker.volumes(&format!("{CLUSTER_LABEL}={cluster}")).await?;
    if ours.iter().any(|volume| volume.name == name && volume.labels.contains_key(DATA_LABEL)) {
        return Ok(());
    }
    Err(Error::VolumeTaken(name))
}

/// Makes the data volume of a cluster while it is to be filled: until [`end_filling`] nobody takes it for data. The labels
/// of a volume cannot be changed, so another, empty one says so.
///
/// # Errors
/// As [`make_data_volume`].
pub(super) async fn begin_filling(
    docker: &Docker,
    cluster: &str,
    images: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let labels: Vec<_> = cluster_labels(cluster).into_iter().chain([(FILLING_LABEL, "true")]).collect();
    docker.create_volume(&filling_mark(cluster), &labels).await?;
    make_data_volume(docker, cluster, images).await
}

/// Says that the data volume of a cluster is whole.
///
/// # Errors
/// As Docker's.
pub(super) async fn end_filling(docker: &Docker, cluster: &str) -> Result<(), docker::Error> {
    docker.remove_volume(&filling_mark(cluster)).await
}

/// The clusters whose data volume is not whole: it is being filled, or the run that filled it was killed. Each with the
/// volume that says so.
///
/// # Errors
/// As Docker's.
pub async fn unfilled(docker: &Docker) -> Result<BTreeMap<String, Volume>, docker::Error> {
    let marks = docker.volumes(FILLING_LABEL).await?;
    Ok(marks.into_iter().filter_map(|mark| Some((mark.labels.get(OWNER_LABEL)?.clone(), mark))).collect())
}

fn filling_mark(cluster: &str) -> String {
    format!("{}-filling", network_name(cluster))
}
