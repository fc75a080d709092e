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
use crate::render::{Component, Lock, RenderError, Rendered, component_of};
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
        let node_images = Lock::embedded(spec.flyte)?.node_images(&spec.kubernetes).to_vec();
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

    /// The images of the workloads in the order in which a new sandbox needs them: those of the stores, on which all else
    /// waits; then all others but, last, those of what people alone wait for, as far as one workload alone starts from them, and of tasks.
    #[must_use]
    pub fn images_by_need(&self) -> [Vec<ImageRef>; 3] {
        let workloads: Vec<_> = self.manifests().map(|object| (component_of(object), object.images())).collect();
        let users = |image| workloads.iter().filter(move |(_, images)| images.contains(image));
        let is_of =
            |image, which: fn(Component) -> bool| users(image).any(|(component, _)| component.is_some_and(which));
        let mut by_need = [const { Vec::new() }; 3];
        for image in &self.images {
            let need = match image {
                _ if is_of(image, Component::is_store) => 0,
                _ if is_of(image, Component::serves_people) && users(image).count() == 1 => 2,
                // Of tasks.
                _ if users(image).count() == 0 => 2,
                _ => 1,
            };
            by_need[need].push(image.clone());
        }
        by_need
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Bundle;
    use crate::render::render;

    fn by_need(images: &[(&str, &str)]) -> [Vec<String>; 3] {
        let image = |(component, image): &(&str, &str)| ((*component).to_owned(), image.parse().expect("an image"));
        let spec = Spec { images: images.iter().map(image).collect(), ..Spec::default() };
        let rendered = render(&spec, Bundle::embedded(spec.flyte).expect("built in")).expect("renders");
        let plan = Plan::new(spec, rendered).expect("a plan");
        let by_need = plan.images_by_need();
        let mut all: Vec<_> = by_need.iter().flatten().cloned().collect();
        all.sort();
        assert_eq!(all, plan.images, "each of them once");
        by_need.map(|images| images.iter().map(ImageRef::to_string).collect())
    }

    #[test]
    fn the_stores_images_come_first_and_last_those_that_nothing_but_people_wait_for() {
        let [stores, others, last] = by_need(&[]);
        assert_eq!(stores, ["minio/minio:RELEASE.2020-12-16T05-05-17Z", "postgres:10.16-alpine"]);
        let flyte = ["datacatalog:v0.3.5", "flyteadmin:v0.6.13", "flytepropeller:v0.12.9"];
        assert_eq!(others, flyte.map(|name| format!("cr.flyte.org/flyteorg/{name}")));
        assert_eq!(last.len(), 3, "console, dashboard and gateway: {last:?}");
    }

    #[test]
    fn an_image_that_several_workloads_start_from_comes_with_the_first_of_them() {
        let [stores, others, last] = by_need(&[("gateway", "all:1"), ("flyteconsole", "all:1")]);
        assert!(others.contains(&"all:1".to_owned()) && last.len() == 1, "{stores:?} {others:?} {last:?}");
        let [stores, ..] = by_need(&[("minio", "all:1"), ("kubernetes-dashboard", "all:1")]);
        assert!(stores.contains(&"all:1".to_owned()), "{stores:?}");
    }
}
