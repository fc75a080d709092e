//! `offline-console`: a console whose page needs nothing from the internet. Upstream's page of v0.20 loads React from
//! unpkg.com, and stays blank without it; those of all releases wait for fonts of Google's.
//!
//! The image itself has React. Node loads a file of ours before the console's own program, whatever that is called: it
//! changes the page as it is read, so nothing is written into the image. A program that is not Node's takes no notice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::{put_named, put_variable};
use crate::manifest::Object;

const CODE: &str = include_str!("offline_console.js");
const FILE: &str = "offline.js";
const FOLDER: &str = "/etc/flyte-console-offline";
/// The ConfigMap, and the volume of it.
const NAME: &str = "flyte-console-offline";

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let maps = draft.objects.iter().filter(|object| object.kind() == "ConfigMap");
    let given = |map: &Object| Some((map.name().to_owned(), map.get("/data/NODE_OPTIONS")?.clone()));
    let given: BTreeMap<String, Value> = maps.filter_map(given).collect();
    let mut namespaces = BTreeSet::new();
    for console in draft.workloads_mut(Component::Flyteconsole) {
        if load_first(console, &given) {
            namespaces.insert(console.namespace().map(str::to_owned));
        }
    }
    draft.objects.retain(|object| !object.is("ConfigMap", NAME));
    draft.objects.extend(namespaces.into_iter().map(code));
    Ok(())
}

/// Has Node load the file first; false where the console has no container of its own, or options that cannot be read.
/// `given` are the options in ConfigMaps, by their names.
fn load_first(console: &mut Object, given: &BTreeMap<String, Value>) -> bool {
    let own = |container: &&mut Value| container["name"] == Component::Flyteconsole.id();
    let Some(server) = console.containers_mut("containers").find(own) else { return false };
    let Some(options) = options(server, given) else { return false };
    put_variable(server, json!({"name": "NODE_OPTIONS", "value": options}));
    put_named(server, "volumeMounts", json!({"name": NAME, "mountPath": FOLDER, "readOnly": true}));
    if let Some(pod) = console.pod_spec_mut() {
        put_named(pod, "volumes", json!({"name": NAME, "configMap": {"name": NAME}}));
    }
    true
}

/// What Node is told: by the manifests, and by us.
fn options(server: &Value, given: &BTreeMap<String, Value>) -> Option<String> {
    let ours = format!("--require {FOLDER}/{FILE}");
    let list = |name| server[name].as_array().into_iter().flatten();
    let variable = list("env").find(|one| one["name"] == "NODE_OPTIONS").map(|one| &one["value"]);
    let all = || list("envFrom").rev().find_map(|from| given.get(from["configMapRef"]["name"].as_str()?));
    let Some(given) = variable.or_else(all) else { return Some(ours) };
    let given = given.as_str()?;
    Some(if given.contains(&ours) { given.to_owned() } else { format!("{given} {ours}") })
}

fn code(namespace: Option<String>) -> Object {
    let mut map = Object::named("v1", "ConfigMap", NAME);
    if let Some(namespace) = namespace {
        map.set(&["metadata", "namespace"], namespace);
    }
    map.set(
        &["metadata", "labels"],
        json!({"app.kubernetes.io/name": Component::Flyteconsole.id(), "app.kubernetes.io/instance": "flyte"}),
    );
    map.set(&["data"], json!({ FILE: CODE }));
    map
}
