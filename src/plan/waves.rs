//! Which objects go to the API together, and what must be ready before the next ones.
//!
//! A client that connects before its server has endpoints may reach something else entirely and stay there, so the
//! order is not only for speed: Services come early, the database is ready before what opens connections to it, and admin is
//! ready before propellers start. The gateway opens a connection for each request, and nobody asks it before all are ready.

use serde::Serialize;

use crate::manifest::{Object, ObjectRef};
use crate::render::{Component, component_of};

/// Objects that go to the API together. The next wave starts when this one's workloads are ready.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wave {
    /// Such as `stores`.
    pub name: &'static str,
    /// In a stable order.
    pub objects: Vec<Object>,
}

const NAMES: [&str; 5] = ["namespaces", "foundation", "stores", "services", "front"];

impl Wave {
    /// The objects of the wave that become ready some time after they were applied.
    pub fn workloads(&self) -> impl Iterator<Item = ObjectRef> {
        self.objects.iter().filter(|object| is_workload(object)).map(Object::reference)
    }
}

fn is_workload(object: &Object) -> bool {
    matches!(object.kind(), "Deployment" | "StatefulSet" | "DaemonSet" | "Job")
}

pub(super) fn sort(objects: Vec<Object>) -> Vec<Wave> {
    let mut waves = NAMES.map(|name| Wave { name, objects: Vec::new() });
    for object in objects {
        waves[wave_of(&object)].objects.push(object);
    }
    waves.into_iter().filter(|wave| !wave.objects.is_empty()).collect()
}

/// Whether the object is cluster-scoped. On an attached cluster a cluster admin makes those.
#[must_use]
pub fn is_cluster_scoped(object: &Object) -> bool {
    matches!(object.kind(), "Namespace" | "CustomResourceDefinition")
}

fn wave_of(object: &Object) -> usize {
    match object {
        _ if is_cluster_scoped(object) => 0,
        _ if !is_workload(object) => 1,
        _ => match component_of(object) {
            Some(store) if store.is_store() => 2,
            Some(Component::Flytepropeller) | None => 4,
            Some(_) => 3,
        },
    }
}
