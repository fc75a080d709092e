//! Workloads whose pods run an image that was built or pulled again under its name since they started.

use std::collections::BTreeSet;
use std::fmt;

use kube::Client;
use serde::Serialize;

use crate::failure::Failure;
use crate::manifest::{ImageRef, ObjectRef};
use crate::rollout::{self, RunningImage};

/// A workload whose pods run an older image than Docker has under its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outdated {
    /// The workload.
    pub object: ObjectRef,
    /// The image's name.
    pub image: ImageRef,
}

impl fmt::Display for Outdated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: its pods run another image than {}, as Docker has it now", self.object, self.image)
    }
}

/// The outdated workloads of a namespace. `among` says which images are, of those that its pods run.
///
/// # Errors
/// The API does not answer, or those of `among`.
pub(super) async fn outdated(
    client: &Client,
    namespace: &str,
    among: impl AsyncFnOnce(BTreeSet<(ImageRef, String)>) -> Result<BTreeSet<(ImageRef, String)>, Failure>,
) -> Result<BTreeSet<Outdated>, Failure> {
    let running = rollout::images_within(client, namespace).await?;
    let pair = |one: &RunningImage| (one.image.clone(), one.digest.clone());
    let images = among(running.iter().map(pair).collect()).await?;
    let outdated = running.into_iter().filter(|one| images.contains(&pair(one)));
    Ok(outdated.map(|RunningImage { workload, image, .. }| Outdated { object: workload, image }).collect())
}
