//! One Kubernetes object, its identity, and lenses into it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::image::ImageRef;

/// What identifies an object within a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Absent for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectRef {
    /// Group, kind, namespace and name: an object stays the same when its group's version changes.
    #[must_use]
    pub fn identity(&self) -> (&str, &str, Option<&str>, &str) {
        let group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        (group, &self.kind, self.namespace.as_deref(), &self.name)
    }

    /// The collection that it is in.
    #[must_use]
    pub fn collection(&self) -> Collection {
        let Self { api_version, kind, namespace, .. } = self.clone();
        Collection { api_version, kind, namespace }
    }
}

/// A collection: all objects of a kind in a namespace, or in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Collection {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Absent for kinds that are cluster-scoped.
    pub namespace: Option<String>,
}

impl Collection {
    /// The object of this name in it.
    #[must_use]
    pub fn object(&self, name: impl Into<String>) -> ObjectRef {
        let Self { api_version, kind, namespace } = self.clone();
        ObjectRef { api_version, kind, namespace, name: name.into() }
    }
}

impl fmt::Display for Collection {
    /// `deployment 103020-flytepoc-dev/*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.object("*").fmt(f)
    }
}

impl fmt::Display for ObjectRef {
    /// `deployment 103020-flytepoc-dev/flyteadmin`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.to_lowercase())?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// A document that is no Kubernetes object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Not a mapping at all.
    #[error("it is not a mapping")]
    NotAMapping,
    /// A field that every object has is not there, or is not text.
    #[error("it has no `{0}`")]
    Missing(&'static str),
}

/// A Kubernetes object: a mapping with `apiVersion`, `kind` and `metadata.name`, all text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Object(Value);

impl Object {
    /// Checks that the value has what every object has, and drops explicit nulls, which mean absence to Kubernetes.
    ///
    /// # Errors
    /// [`ObjectError`] says which part is not there.
    pub fn new(mut value: Value) -> Result<Self, ObjectError> {
        if !value.is_object() {
            return Err(ObjectError::NotAMapping);
        }
        for (pointer, name) in [("/apiVersion", "apiVersion"), ("/kind", "kind"), ("/metadata/name", "metadata.name")] {
            if value.pointer(pointer).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(ObjectError::Missing(name));
            }
        }
        strip_nulls(&mut value);
        Ok(Self(value))
    }

    /// An object with nothing but its identity.
    #[must_use]
    pub fn named(api_version: &str, kind: &str, name: &str) -> Self {
        Self(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}))
    }

    /// `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.0.get("apiVersion").and_then(Value::as_str).unwrap_or_default()
    }

    /// `kind`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.get("kind").and_then(Value::as_str).unwrap_or_default()
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata("name").unwrap_or_default()
    }

    /// `metadata.namespace`.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.metadata("namespace")
    }

    /// Whether it is of this kind and name.
    #[must_use]
    pub fn is(&self, kind: &str, name: &str) -> bool {
        self.kind() == kind && self.name() == name
    }

    /// What identifies it.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            api_version: self.api_version().to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.name().to_owned(),
        }
    }

    /// A label's value.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(key)?.as_str()
    }

    /// The part at a JSON pointer.
    #[must_use]
    pub fn get(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }

    /// The part at a JSON pointer.
    pub fn get_mut(&mut self, pointer: &str) -> Option<&mut Value> {
        self.0.pointer_mut(pointer)
    }

    /// Sets the value at a path of mapping keys, making the mappings on the way.
    pub fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        let mut at = &mut self.0;
        for key in path {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            let Value::Object(map) = at else { return };
            at = map.entry((*key).to_owned()).or_insert(Value::Null);
        }
        *at = value.into();
    }

    /// Removes the value at a path of mapping keys, and returns it.
    pub fn remove(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        let mut at = &mut self.0;
        for key in parents {
            at = at.get_mut(*key)?;
        }
        at.as_object_mut()?.shift_remove(*last)
    }

    /// The pod template of a workload (Deployment, DaemonSet, StatefulSet, Job).
    pub fn pod_template_mut(&mut self) -> Option<&mut Value> {
        self.part_mut(&["spec", "template"]).filter(|template| template.get("spec").is_some())
    }

    /// The pod spec of a workload, or of a Pod.
    #[must_use]
    pub fn pod_spec(&self) -> Option<&Value> {
        self.pod_spec_path().iter().try_fold(&self.0, |part, key| part.get(*key))
    }

    /// The pod spec of a workload, or of a Pod.
    pub fn pod_spec_mut(&mut self) -> Option<&mut Value> {
        self.part_mut(self.pod_spec_path())
    }

    /// All containers of a workload, init containers first.
    pub fn containers(&self) -> impl Iterator<Item = &Value> {
        let list = |key| self.pod_spec().and_then(|spec| spec.get(key)).and_then(Value::as_array);
        list("initContainers").into_iter().chain(list("containers")).flatten()
    }

    /// The images that the workload's pods start from. Text that is no image reference is left to the node to refuse.
    #[must_use]
    pub fn images(&self) -> BTreeSet<ImageRef> {
        self.containers().filter_map(|container| container.get("image")?.as_str()?.parse().ok()).collect()
    }

    /// The containers of one list, `initContainers` or `containers`.
    pub fn containers_mut(&mut self, list: &str) -> impl Iterator<Item = &mut Value> {
        self.pod_spec_mut().and_then(|spec| spec.get_mut(list)).and_then(Value::as_array_mut).into_iter().flatten()
    }

    /// The whole.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The whole.
    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    /// The whole.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.0
    }

    // What follows is asked many times for every object; a JSON pointer would be taken apart each time.

    fn metadata(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get(key)?.as_str()
    }

    fn pod_spec_path(&self) -> &'static [&'static str] {
        match self.kind() {
            "Pod" => &["spec"],
            "CronJob" => &["spec", "jobTemplate", "spec", "template", "spec"],
            _ => &["spec", "template", "spec"],
        }
    }

    fn part_mut(&mut self, path: &[&str]) -> Option<&mut Value> {
        path.iter().try_fold(&mut self.0, |part, key| part.get_mut(*key))
    }
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}
