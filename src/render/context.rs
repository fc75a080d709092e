//! What every transform is given, and the draft it works on.

use std::cell::OnceCell;
use std::fmt;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::component::{Component, component_of, is_workload};
use super::config::Config;
use super::error::RenderError;
use super::lock::Lock;
use super::references::Move;
use crate::manifest::{Bundle, Object, ObjectRef};
use crate::spec::{Spec, WorkflowNamespace};

/// The namespace in which our own manifests are written.
const BUILT_IN_NAMESPACE: &str = "flyte";

/// What every transform is given.
pub struct Context<'a> {
    /// What the user wants.
    pub(super) spec: &'a Spec,
    /// The system namespace.
    pub(super) system: String,
    /// The workflow namespaces.
    pub(super) workflows: Vec<WorkflowNamespace>,
    /// The namespace in which flyteadmin stands in the input; absent where the input leaves namespaces out.
    pub(super) origin: Option<String>,
    /// The pinned images.
    pub(super) lock: Lock,
    /// The manifests in this binary, read when they are first asked for.
    pub(super) built_in: OnceCell<Vec<Object>>,
}

impl Context<'_> {
    /// Our own objects of a component, in the system namespace and without permissions, which have their own transform.
    pub(super) fn built_in(&self, component: Component) -> Result<Vec<Object>, RenderError> {
        let own = |object: &Object| component_of(object) == Some(component);
        self.built_in_objects(|object| own(object) && !matches!(object.kind(), "Role" | "RoleBinding"))
    }

    /// Our own objects that satisfy a condition, in the system namespace.
    pub(super) fn built_in_objects(&self, wanted: impl Fn(&Object) -> bool) -> Result<Vec<Object>, RenderError> {
        let objects = match self.built_in.get() {
            Some(objects) => objects,
            None => {
                let objects = Bundle::embedded()?.objects;
                self.built_in.get_or_init(|| objects)
            }
        };
        let services = BTreeSet::new();
        let relocation = Move { from: BUILT_IN_NAMESPACE, to: &self.system, services: &services };
        let mut wanted: Vec<Object> = objects.iter().filter(|object| wanted(object)).cloned().collect();
        for object in &mut wanted {
            relocation.object(object)?;
        }
        Ok(wanted)
    }

    /// Whether a namespace is one of this sandbox's.
    pub(super) fn is_ours(&self, namespace: &str) -> bool {
        namespace == self.system || self.workflows.iter().any(|workflow| workflow.name == namespace)
    }
}

/// Something that rendering could not place, which stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Warning {
    /// What it is about.
    pub object: ObjectRef,
    /// What was (not) done with it, as a sentence without a subject: `is kept, though no transform knows it`.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.object, self.message)
    }
}

/// The set of objects on its way from a bundle to what is applied.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The objects so far.
    pub(super) objects: Vec<Object>,
    /// What could not be placed so far.
    pub(super) warnings: Vec<Warning>,
}

impl Draft {
    /// Notes something that could not be placed.
    pub(super) fn warn(&mut self, object: &Object, message: impl Into<String>) {
        self.warnings.push(Warning { object: object.reference(), message: message.into() });
    }

    /// The object of this kind and name.
    pub(super) fn find(&self, kind: &str, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.is(kind, name))
    }

    /// The object of this kind and name.
    pub(super) fn find_mut(&mut self, kind: &str, name: &str) -> Option<&mut Object> {
        self.objects.iter_mut().find(|object| object.is(kind, name))
    }

    /// Adds those of the objects of whose kind and name there is none yet.
    pub(super) fn add_missing(&mut self, objects: Vec<Object>) {
        let identity = |object: &Object| (object.kind().to_owned(), object.name().to_owned());
        let mut there: BTreeSet<(String, String)> = self.objects.iter().map(identity).collect();
        for object in objects {
            if there.insert(identity(&object)) {
                self.objects.push(object);
            }
        }
    }

    /// The workloads of a component.
    pub(super) fn workloads(&self, component: Component) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |object| is_workload(object) && component_of(object) == Some(component))
    }

    /// The workloads of a component.
    pub(super) fn workloads_mut(&mut self, component: Component) -> impl Iterator<Item = &mut Object> {
        self.objects.iter_mut().filter(move |object| is_workload(object) && component_of(object) == Some(component))
    }

    /// Edits the configuration that a component's pods mount; every ConfigMap is opened once.
    pub(super) fn edit_config(
        &mut self,
        component: Component,
        mut edit: impl FnMut(&mut Config),
    ) -> Result<(), RenderError> {
        let mounted: BTreeSet<(Option<String>, String)> = self
            .workloads(component)
            .flat_map(|workload| {
                let namespace = workload.namespace().map(str::to_owned);
                mounted_config_maps(workload).into_iter().map(move |name| (namespace.clone(), name.to_owned()))
            })
            .collect();
        for object in self.objects.iter_mut().filter(|object| object.kind() == "ConfigMap") {
            if mounted.contains(&(object.namespace().map(str::to_owned), object.name().to_owned())) {
                let mut config = Config::open(object)?;
                edit(&mut config);
                config.close(object);
            }
        }
        Ok(())
    }

    /// The first value at a path in the configuration that a component's pods mount.
    pub(super) fn config_value(&self, component: Component, path: &[&str]) -> Result<Option<Value>, RenderError> {
        let Some(workload) = self.workloads(component).next() else { return Ok(None) };
        for name in mounted_config_maps(workload) {
            let found = self
                .objects
                .iter()
                .find(|object| object.is("ConfigMap", name) && object.namespace() == workload.namespace());
            if let Some(value) = found.map(Config::open).transpose()?.and_then(|config| config.get(path).cloned()) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

/// The names of the ConfigMaps that a workload's pods mount, in the order of its volumes.
pub(super) fn mounted_config_maps(workload: &Object) -> Vec<&str> {
    fn of_volume(volume: &Value) -> impl Iterator<Item = &str> {
        let projected = volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten();
        let sources = projected.filter_map(|source| source.get("configMap")).chain(volume.get("configMap"));
        sources.filter_map(|source| source.get("name")?.as_str())
    }
    let volumes = workload.pod_spec().and_then(|spec| spec.get("volumes")).and_then(Value::as_array);
    volumes.into_iter().flatten().flat_map(of_volume).collect()
}
