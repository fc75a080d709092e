//! What every transform is given, and the draft it works on.

use std::cell::OnceCell;
use std::fmt;

use std::collections::{BTreeMap, BTreeSet};

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
    /// The namespaces in which components stand in the input, flyteadmin's first; none where the input leaves them out.
    pub(super) origins: Vec<String>,
    /// The pinned images.
    pub(super) lock: Lock,
    /// Whether the input is the manifests in this binary.
    pub(super) is_built_in: bool,
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
                let objects = Bundle::embedded(self.spec.flyte)?.objects;
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

/// What something that is told of does to the user, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Something will not start, or not work.
    Fails,
    /// Something behaves otherwise than where the manifests come from.
    Differs,
    /// Nothing that anybody would miss.
    Harmless,
}

/// Something about the manifests to know, which stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Warning {
    /// What it does to the user.
    pub effect: Effect,
    /// What it is about.
    pub object: ObjectRef,
    /// What was (not) done with it, as a sentence without a subject: `is kept, though no transform knows it`.
    pub message: String,
}

impl Warning {
    /// Whether it is worth a line unasked.
    #[must_use]
    pub fn matters(&self) -> bool {
        self.effect != Effect::Harmless
    }
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
    /// Notes something to know.
    pub(super) fn warn(&mut self, effect: Effect, object: &Object, message: impl Into<String>) {
        self.warnings.push(Warning { effect, object: object.reference(), message: message.into() });
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

    /// Edits the settings of each workload of a component: the ConfigMaps that its program reads are opened as one.
    pub(super) fn edit_config(
        &mut self,
        component: Component,
        mut edit: impl FnMut(&mut Config),
    ) -> Result<(), RenderError> {
        for places in self.settings(component) {
            let mut config = self.open(&places)?;
            edit(&mut config);
            for (map, place) in places.into_iter().enumerate() {
                config.write(map, &mut self.objects[place]);
            }
        }
        Ok(())
    }

    /// The first value at a path in the settings of a component.
    pub(super) fn config_value(&self, component: Component, path: &[&str]) -> Result<Option<Value>, RenderError> {
        for places in self.settings(component) {
            if let Some(value) = self.open(&places)?.get(path) {
                return Ok(Some(value.clone()));
            }
        }
        Ok(None)
    }

    fn open(&self, places: &[usize]) -> Result<Config, RenderError> {
        let mut config = Config::default();
        for (map, place) in places.iter().enumerate() {
            config.add(map, &self.objects[*place])?;
        }
        Ok(config)
    }

    /// Where the ConfigMaps with the settings of a component's workloads stand among the objects: those of each together,
    /// in the order of its pods' volumes.
    fn settings(&self, component: Component) -> Vec<Vec<usize>> {
        let mut at: BTreeMap<(Option<&str>, &str), usize> = BTreeMap::new();
        for (place, object) in self.objects.iter().enumerate().filter(|(_, object)| object.kind() == "ConfigMap") {
            at.entry((object.namespace(), object.name())).or_insert(place);
        }
        let mut all: Vec<Vec<usize>> = Vec::new();
        for workload in self.workloads(component) {
            let names = settings_config_maps(workload).into_iter();
            let places: Vec<usize> = names.filter_map(|name| at.get(&(workload.namespace(), name)).copied()).collect();
            if !places.is_empty() && !all.contains(&places) {
                all.push(places);
            }
        }
        all
    }
}

/// The names of the ConfigMaps that a workload's program is told to read its settings from (`--config FOLDER/*.yaml`), in
/// the order of its volumes; all that it mounts, where it is not told so.
pub(super) fn settings_config_maps(workload: &Object) -> Vec<&str> {
    let (settings, all) = mounted(workload, "configMap", "name");
    if settings.is_empty() { all } else { settings }
}

/// The names of the Secrets that a workload's program is told to read its settings from, in the order of its volumes.
pub(super) fn settings_secrets(workload: &Object) -> Vec<&str> {
    mounted(workload, "secret", "secretName").0
}

/// The names of what a workload mounts of a kind where its program is told to read settings, and of all that it mounts of
/// it. `key` is where a volume has the name.
fn mounted<'a>(workload: &'a Object, kind: &'static str, key: &'static str) -> (Vec<&'a str>, Vec<&'a str>) {
    let folders: Vec<&str> = workload.containers().flat_map(settings_folders).collect();
    let told: Vec<&str> = workload
        .containers()
        .flat_map(|container| container["volumeMounts"].as_array().into_iter().flatten())
        .filter(|mount| {
            let path = mount["mountPath"].as_str().unwrap_or_default().trim_end_matches('/');
            // A single file of a ConfigMap is mounted as the file.
            let within = mount.get("subPath").and_then(|_| Some(path.rsplit_once('/')?.0));
            let path = within.unwrap_or(path);
            // `/etc/flyte/config*` stands for several folders.
            folders.iter().any(|folder| match folder.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => *folder == path,
            })
        })
        .filter_map(|mount| mount["name"].as_str())
        .collect();
    let (mut settings, mut all) = (Vec::new(), Vec::new());
    for volume in volumes(workload) {
        for name in of_volume(volume, kind, key).filter(|name| !all.contains(name)).collect::<Vec<_>>() {
            all.push(name);
            if volume["name"].as_str().is_some_and(|volume| told.contains(&volume)) {
                settings.push(name);
            }
        }
    }
    (settings, all)
}

/// The folders that follow `--config` among a container's words.
fn settings_folders(container: &Value) -> Vec<&str> {
    let lists = ["command", "args"].into_iter().filter_map(|list| container.get(list)?.as_array()).flatten();
    let words: Vec<&str> = lists.filter_map(Value::as_str).flat_map(str::split_ascii_whitespace).collect();
    let inline = words.iter().filter_map(|word| word.strip_prefix("--config="));
    let follows = words.windows(2).filter(|pair| pair[0] == "--config").map(|pair| pair[1]);
    inline.chain(follows).filter_map(|files| Some(files.rsplit_once('/')?.0)).collect()
}

fn volumes(workload: &Object) -> impl Iterator<Item = &Value> {
    workload.pod_spec().and_then(|spec| spec.get("volumes")?.as_array()).into_iter().flatten()
}

fn of_volume<'a>(volume: &'a Value, kind: &'static str, key: &'static str) -> impl Iterator<Item = &'a str> {
    let projected = volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten();
    let projected = projected.filter_map(move |source| source.get(kind)?.get("name")?.as_str());
    projected.chain(volume.get(kind).and_then(|source| source.get(key)?.as_str()))
}
