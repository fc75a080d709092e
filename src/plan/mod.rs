//! Everything that would happen, as data.
//!
//! | file | what |
//! |---|---|
//! | `waves.rs` | which objects go to the API together, and what must be ready before the next ones |

mod waves;

use serde::Serialize;
use sha2::{Digest, Sha256};

pub use waves::Wave;

use crate::cluster::ClusterPlan;
use crate::manifest::{ImageRef, ObjectRef};
use crate::render::Rendered;
use crate::spec::Spec;

/// What `up` would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// What was asked for.
    pub spec: Spec,
    /// The cluster.
    pub cluster: ClusterPlan,
    /// Images of the workloads, which must be in the node before they start.
    pub images: Vec<ImageRef>,
    /// Images that k3s itself starts from; carried into the node where they are here, else the node gets them itself.
    pub node_images: Vec<ImageRef>,
    /// Objects, in the order in which they go to the API.
    pub waves: Vec<Wave>,
    /// Changes when anything above does.
    pub digest: String,
}

impl Plan {
    /// The plan for a spec and the objects rendered for it.
    #[must_use]
    pub fn new(spec: Spec, rendered: Rendered, node_images: Vec<ImageRef>) -> Self {
        let images = rendered.images().into_iter().collect();
        let cluster = ClusterPlan::new(&spec);
        let waves = waves::sort(rendered.objects);
        let mut hash = Sha256::new();
        for object in waves.iter().flat_map(|wave| &wave.objects) {
            hash.update(object.value().to_string());
            hash.update([0]);
        }
        let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { spec, cluster, images, node_images, waves, digest }
    }

    /// Every object's identity.
    pub fn objects(&self) -> impl Iterator<Item = ObjectRef> {
        self.waves.iter().flat_map(|wave| &wave.objects).map(crate::manifest::Object::reference)
    }

    /// Every workload's identity.
    pub fn workloads(&self) -> impl Iterator<Item = ObjectRef> {
        self.waves.iter().flat_map(Wave::workloads)
    }
}
