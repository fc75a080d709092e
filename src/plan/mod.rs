//! Everything that would happen, as data.
//!
//! | file | what |
//! |---|---|
//! | `cluster.rs` | the cluster as planned, and the names of its node and network |
//! | `difference.rs` | the plan against what was applied last |
//! | `waves.rs` | which objects go to the API together, and what must be ready before the next ones |

mod cluster;
mod difference;
mod waves;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use cluster::{API_PORT, data_volume, network_name, node_name};
pub use cluster::{ClusterPlan, PortMapping};
pub use difference::Difference;
pub use waves::{Wave, is_cluster_scoped};

use crate::digest::{Sha256, hex, sha256};
use crate::manifest::{ImageRef, Object, ObjectRef};
use crate::render::{Lock, RenderError, Rendered, component_of};
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
    ///
    /// # Errors
    /// Never in a released binary: the built-in image lock cannot be read.
    pub fn new(spec: Spec, rendered: Rendered) -> Result<Self, RenderError> {
        let images = rendered.images().into_iter().collect();
        let (major, minor) = spec.kubernetes_minor();
        let node_images = Lock::embedded()?.node_images(&format!("v{major}.{minor}")).to_vec();
        let waves = waves::sort(rendered.objects);
        let mut hash = Sha256::default();
        for object in waves.iter().flat_map(|wave| &wave.objects) {
            hash.update(object.value().to_string());
            hash.update([0]);
        }
        let digest = hex(&hash.finish());
        Ok(Self { cluster: ClusterPlan::of(&spec), spec, images, node_images, waves, digest })
    }

    /// Every object.
    pub fn manifests(&self) -> impl Iterator<Item = &Object> {
        self.waves.iter().flat_map(|wave| &wave.objects)
    }

    /// Every object's identity.
    pub fn objects(&self) -> impl Iterator<Item = ObjectRef> {
        self.manifests().map(Object::reference)
    }

    /// Every object's identity, with a digest that changes when the object does.
    #[must_use]
    pub fn digests(&self) -> BTreeMap<ObjectRef, String> {
        // Half of the digest tells any two versions of one object apart.
        let digest = |object: &Object| hex(&sha256(object.value().to_string())[..16]);
        self.manifests().map(|object| (object.reference(), digest(object))).collect()
    }

    /// Every image that the sandbox runs, the node's own aside.
    pub fn all_images(&self) -> impl Iterator<Item = &ImageRef> {
        self.images.iter().chain(&self.node_images)
    }

    /// The image of each component that writes to the data volume, by component.
    #[must_use]
    pub fn data_images(&self) -> BTreeMap<String, String> {
        let image = |object: &Object| {
            let component = component_of(object).filter(|component| component.keeps_data())?;
            let server = object.containers().find(|container| container["name"] == component.id())?;
            Some((component.id().to_owned(), server["image"].as_str()?.to_owned()))
        };
        self.manifests().filter_map(image).collect()
    }

    /// Every workload's identity.
    pub fn workloads(&self) -> impl Iterator<Item = ObjectRef> {
        self.waves.iter().flat_map(Wave::workloads)
    }
}
