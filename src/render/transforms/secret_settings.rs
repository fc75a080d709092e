//! `secret-settings`: settings that a component reads from a Secret, in a ConfigMap. What other transforms read and set
//! would be hidden from them otherwise, and a sandbox's own keys are no secret of anybody's.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::component::{Component, component_of, is_workload};
use super::super::config::is_yaml;
use super::super::context::{Context, Draft, Effect, settings_secrets};
use super::super::error::RenderError;
use super::super::pod_references::PodReference;
use crate::manifest::Object;

/// The programs that read Flyte's settings.
const READERS: [Component; 4] =
    [Component::Flyteadmin, Component::Datacatalog, Component::Flytepropeller, Component::Flytescheduler];

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let is_reader = |object: &&Object| {
        is_workload(object) && component_of(object).is_some_and(|component| READERS.contains(&component))
    };
    let mut read: Vec<(Option<String>, String)> = Vec::new();
    for workload in draft.objects.iter().filter(is_reader) {
        let namespace = workload.namespace().map(str::to_owned);
        let secrets = settings_secrets(workload).into_iter().map(|name| (namespace.clone(), name.to_owned()));
        read.extend(secrets);
    }
    read.sort();
    read.dedup();
    for (namespace, name) in read {
        let is_there = |object: &&Object| object.namespace() == namespace.as_deref();
        let Some(secret) = draft.objects.iter().find(|one| is_there(one) && one.is("Secret", &name)).cloned() else {
            continue;
        };
        let Some(Entries { texts, bytes }) = entries(&secret) else { continue };
        let taken = draft.objects.iter().any(|one| is_there(&one) && one.is("ConfigMap", &name));
        let place = if taken { format!("{name}-settings") } else { name.clone() };
        let mut metadata = secret.get("/metadata").cloned().unwrap_or_default();
        metadata["name"] = json!(place);
        let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": texts});
        if !bytes.is_empty() {
            map["binaryData"] = json!(bytes);
        }
        let Ok(map) = Object::new(map) else { continue };
        draft.warn(Effect::Harmless, &secret, format!("has settings, which are in the ConfigMap {place} here"));
        draft.objects.push(map);
        for workload in draft.objects.iter_mut() {
            if is_reader(&&*workload) && workload.namespace() == namespace.as_deref() {
                point(workload, &name, &place);
            }
        }
        let still_read = draft.objects.iter().any(|one| {
            is_there(&one) && PodReference::all(one).iter().any(|it| it.kind == "Secret" && it.name == name)
        });
        if !still_read {
            draft.objects.retain(|one| one.reference() != secret.reference());
        }
    }
    Ok(())
}

/// What a Secret has: settings, and what lies beside them in the folder that the Secret is mounted at.
#[derive(Default)]
struct Entries {
    /// As text.
    texts: BTreeMap<String, String>,
    /// What is no text, in base64.
    bytes: BTreeMap<String, String>,
}

/// The entries of a Secret, where some of them are settings.
fn entries(secret: &Object) -> Option<Entries> {
    let given = |field: &str| secret.get(field).and_then(Value::as_object).into_iter().flatten();
    let mut entries = Entries::default();
    for (key, value) in given("/data") {
        let encoded: String = value.as_str()?.split_ascii_whitespace().collect();
        match String::from_utf8(STANDARD.decode(&encoded).ok()?) {
            Ok(text) => drop(entries.texts.insert(key.clone(), text)),
            Err(_) => drop(entries.bytes.insert(key.clone(), encoded)),
        }
    }
    for (key, value) in given("/stringData") {
        entries.bytes.remove(key);
        entries.texts.insert(key.clone(), value.as_str()?.to_owned());
    }
    entries.texts.keys().any(|key| is_yaml(key)).then_some(entries)
}

/// Mounts the ConfigMap wherever the Secret was mounted.
fn point(workload: &mut Object, secret: &str, config_map: &str) {
    let Some(pod) = workload.pod_spec_mut() else { return };
    let volumes = pod.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten();
    for volume in volumes {
        replace(volume, "secretName", secret, config_map);
        let sources = volume.pointer_mut("/projected/sources").and_then(Value::as_array_mut);
        for source in sources.into_iter().flatten() {
            replace(source, "name", secret, config_map);
        }
    }
}

fn replace(holder: &mut Value, key: &str, secret: &str, config_map: &str) {
    let Some(holder) = holder.as_object_mut() else { return };
    if holder.get("secret").and_then(|source| source.get(key)).is_none_or(|name| name != secret) {
        return;
    }
    if let Some(mut source) = holder.shift_remove("secret") {
        if let Some(source) = source.as_object_mut() {
            source.shift_remove(key);
            source.insert("name".to_owned(), json!(config_map));
        }
        holder.insert("configMap".to_owned(), source);
    }
}
