//! `api-versions`: only API versions that Kubernetes 1.21 and today's both serve.

use serde_json::{Value, json};

use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use crate::flyte::workflow::DEFINITION;
use crate::manifest::Object;

/// Fields of beta workloads that the stable versions do not have: the API refuses an object for them.
const OF_BETA: [&str; 2] = ["rollbackTo", "templateGeneration"];

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for object in &mut draft.objects {
        if let Some(stable) = stable(object.api_version(), object.kind()) {
            object.set(&["apiVersion"], stable);
            for field in OF_BETA {
                object.remove(&["spec", field]);
            }
        }
        default_selector(object);
        if object.kind() == "CustomResourceDefinition" {
            stable_definition(object);
            approve(object);
        }
    }
    let own = context.built_in_objects(|object| object.is("CustomResourceDefinition", DEFINITION))?;
    if let (Some(given), Some(own)) = (draft.find_mut("CustomResourceDefinition", DEFINITION), own.first()) {
        // As a whole: a status subresource, or a schema that prunes, would lose what the propeller writes.
        given.set(&["apiVersion"], own.api_version());
        given.set(&["spec"], own.get("/spec").cloned().unwrap_or_default());
        given.remove(&["status"]);
    }
    Ok(())
}

fn stable(version: &str, kind: &str) -> Option<&'static str> {
    let (group, version) = version.split_once('/')?;
    match (group, kind) {
        _ if version == "v1" => None,
        ("rbac.authorization.k8s.io", _) => Some("rbac.authorization.k8s.io/v1"),
        ("extensions" | "apps", "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet") => Some("apps/v1"),
        ("extensions" | "networking.k8s.io", "NetworkPolicy") => Some("networking.k8s.io/v1"),
        ("scheduling.k8s.io", "PriorityClass") => Some("scheduling.k8s.io/v1"),
        ("coordination.k8s.io", "Lease") => Some("coordination.k8s.io/v1"),
        ("batch", "CronJob") => Some("batch/v1"),
        ("policy", "PodDisruptionBudget") => Some("policy/v1"),
        ("apiregistration.k8s.io", "APIService") => Some("apiregistration.k8s.io/v1"),
        ("storage.k8s.io", "CSIDriver" | "CSINode" | "StorageClass" | "VolumeAttachment") => Some("storage.k8s.io/v1"),
        _ => None,
    }
}

/// Kubernetes refuses kinds of its own groups without a word about who approved them, which `v1beta1` did not ask for.
fn approve(object: &mut Object) {
    const KEY: &str = "api-approved.kubernetes.io";
    let group = object.get("/spec/group").and_then(Value::as_str).unwrap_or_default();
    let is_protected = group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io");
    let annotations = object.get("/metadata/annotations");
    if is_protected && annotations.and_then(|all| all.get(KEY)).is_none() {
        object.set(&["metadata", "annotations", KEY], "unapproved, as its authors wrote it");
    }
}

/// Brings a definition of `v1beta1` into the form of `v1`: what it says of all versions, each says of itself. A version
/// without a schema keeps all fields.
fn stable_definition(object: &mut Object) {
    if object.api_version() != "apiextensions.k8s.io/v1beta1" {
        return;
    }
    object.set(&["apiVersion"], "apiextensions.k8s.io/v1");
    let schema =
        object.remove(&["spec", "validation"]).and_then(|mut all| all.get_mut("openAPIV3Schema").map(Value::take));
    let schema = schema.filter(|schema| schema.get("type").is_some());
    let mut schema = schema.unwrap_or_else(|| json!({"type": "object"}));
    // Before `v1` nothing that a schema leaves out was dropped.
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
    }
    let subresources = object.remove(&["spec", "subresources"]);
    let columns = object.remove(&["spec", "additionalPrinterColumns"]);
    for field in ["version", "preserveUnknownFields"] {
        let given = object.remove(&["spec", field]);
        if let (Some(name), "version", None) = (given, field, object.get("/spec/versions")) {
            object.set(&["spec", "versions"], json!([{"name": name, "served": true, "storage": true}]));
        }
    }
    object.remove(&["status"]);
    if object.get("/spec/scope").is_none() {
        object.set(&["spec", "scope"], "Namespaced");
    }
    let versions = object.get_mut("/spec/versions").and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten().filter_map(Value::as_object_mut) {
        version.entry("schema").or_insert_with(|| json!({"openAPIV3Schema": schema.clone()}));
        for (field, given) in [("subresources", &subresources), ("additionalPrinterColumns", &columns)] {
            if let (Some(given), None) = (given, version.get(field)) {
                version.insert(field.to_owned(), given.clone());
            }
        }
        for column in version.get_mut("additionalPrinterColumns").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(path) = column.as_object_mut().and_then(|column| column.shift_remove("JSONPath"))
                && let Some(column) = column.as_object_mut()
            {
                column.insert("jsonPath".to_owned(), path);
            }
        }
    }
}

/// The beta versions took a missing selector from the pod template; the stable one refuses the object.
fn default_selector(object: &mut Object) {
    let needs = object.api_version() == "apps/v1" && object.get("/spec/selector").is_none();
    let labels = object.get("/spec/template/metadata/labels").and_then(Value::as_object).cloned();
    if let (true, Some(labels)) = (needs, labels) {
        object.set(&["spec", "selector", "matchLabels"], labels);
    }
}
