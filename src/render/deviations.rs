//! What a component of the input says otherwise than the built-in one, when every transform has run. Transforms keep it,
//! because it may be what was wanted; nobody has tried it with the pinned image.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::changes::differences;
use super::component::{Component, component_of, is_workload};
use super::config::{Config, overlay};
use super::context::settings_config_maps;
use super::error::RenderError;
use crate::manifest::{Object, ObjectRef};

/// How many settings a warning names.
const NAMED: usize = 3;

/// How one component differs from the built-in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deviation {
    /// Which.
    pub component: Component,
    /// Its workload; the first, where it has several.
    pub object: ObjectRef,
    /// The containers that are only in one of the two, or whose command or arguments differ.
    pub containers: Vec<String>,
    /// The settings in its configuration files that are only in one of the two, or differ: keys joined by dots.
    pub settings: Vec<String>,
}

impl fmt::Display for Deviation {
    /// As the message of a warning; names the first few settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not as the built-in one is in")?;
        if !self.containers.is_empty() {
            write!(f, " what it runs ({})", self.containers.join(", "))?;
        }
        if !self.settings.is_empty() {
            let and = if self.containers.is_empty() { "" } else { " and" };
            write!(f, "{and} its settings ({}", self.settings[..self.settings.len().min(NAMED)].join(", "))?;
            match self.settings.len().saturating_sub(NAMED) {
                0 => f.write_str(")")?,
                more => write!(f, " and {more} more)")?,
            }
        }
        f.write_str(": all of it is kept")
    }
}

/// How the components of one rendered set differ from those of the built-in one, rendered for the same spec.
pub(super) fn deviations(built_in: &[Object], objects: &[Object]) -> Result<Vec<Deviation>, RenderError> {
    let mut found = Vec::new();
    for component in Component::ALL {
        let (Some(own), Some(given)) = (workload(built_in, component), workload(objects, component)) else { continue };
        let mut settings = Vec::new();
        differences(&configuration(built_in, own)?, &configuration(objects, given)?, "", &mut settings);
        let containers = containers(own, given);
        if !containers.is_empty() || !settings.is_empty() {
            found.push(Deviation { component, object: given.reference(), containers, settings });
        }
    }
    Ok(found)
}

fn workload(objects: &[Object], component: Component) -> Option<&Object> {
    objects.iter().find(|object| is_workload(object) && component_of(object) == Some(component))
}

fn containers(own: &Object, given: &Object) -> Vec<String> {
    let words = |container: &Value| ["command", "args"].map(|list| container.get(list).cloned());
    let named = |object: &Object| -> Vec<(String, [Option<Value>; 2])> {
        let name = |container: &Value| container["name"].as_str().unwrap_or_default().to_owned();
        object.containers().map(|container| (name(container), words(container))).collect()
    };
    let (own, given) = (named(own), named(given));
    let only = |these: &[(String, _)], those: &[(String, _)]| -> Vec<String> {
        these.iter().filter(|one| !those.contains(one)).map(|(name, _)| name.clone()).collect()
    };
    let mut names = only(&given, &own);
    names.extend(only(&own, &given));
    names.sort();
    names.dedup();
    names
}

/// All settings that a workload's program reads, as one mapping.
fn configuration(objects: &[Object], workload: &Object) -> Result<Value, RenderError> {
    let mut all = Value::Object(Map::new());
    for name in settings_config_maps(workload) {
        let found = objects.iter().find(|one| one.is("ConfigMap", name) && one.namespace() == workload.namespace());
        if let Some(config_map) = found {
            overlay(&mut all, Config::open(config_map)?.merged());
        }
    }
    Ok(all)
}
