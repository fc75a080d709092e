//! `config-checksum`: pods restart when a ConfigMap or Secret that they read changes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::CONFIG_CHECKSUM;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::super::pod_references::PodReference;
use crate::digest::{Sha256, hex};
use crate::manifest::Object;

/// Kind, namespace and name of something that a pod reads.
type Source = (&'static str, Option<String>, String);

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let wanted: BTreeSet<Source> = draft.objects.iter().flat_map(sources).collect();
    let mut digests = BTreeMap::new();
    for object in &draft.objects {
        for kind in ["ConfigMap", "Secret"].into_iter().filter(|kind| *kind == object.kind()) {
            let source = (kind, object.namespace().map(str::to_owned), object.name().to_owned());
            if wanted.contains(&source) {
                digests.insert(source, digest(object));
            }
        }
    }
    for object in &mut draft.objects {
        let mut all = Sha256::default();
        let read: Vec<&Vec<u8>> = sources(object).iter().filter_map(|source| digests.get(source)).collect();
        read.iter().for_each(|digest| all.update(digest));
        let any = !read.is_empty();
        let Some(template) = object.pod_template_mut() else { continue };
        drop_checksums(template);
        if any {
            object.set(&["spec", "template", "metadata", "annotations", CONFIG_CHECKSUM], hex(&all.finish()));
        }
    }
    Ok(())
}

/// What the pods of a workload read, each once, in an order of its own.
fn sources(object: &Object) -> BTreeSet<Source> {
    let read = PodReference::all(object).into_iter().filter(|one| matches!(one.kind, "ConfigMap" | "Secret"));
    read.map(|one| (one.kind, object.namespace().map(str::to_owned), one.name)).collect()
}

/// Independent of the order in which keys are written.
fn digest(object: &Object) -> Vec<u8> {
    let mut hash = Sha256::default();
    for field in ["data", "stringData", "binaryData"] {
        let entries = object.value().get(field).and_then(Value::as_object).into_iter().flatten();
        let sorted: BTreeMap<&String, &Value> = entries.collect();
        for (key, value) in sorted {
            for part in [field, key, value.as_str().unwrap_or_default()] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
    }
    hash.finish()
}

/// Others' checksums are of configuration as it was before it came here.
fn drop_checksums(template: &mut Value) {
    let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !key.to_ascii_lowercase().contains("checksum"));
        if annotations.is_empty() {
            metadata.shift_remove("annotations");
        }
    }
}
