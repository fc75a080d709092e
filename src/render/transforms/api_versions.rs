//! `api-versions`: only API versions that Kubernetes 1.21 and today's both serve.

use serde_json::Value;

use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use crate::flyte::workflow::DEFINITION;
use crate::manifest::Object;

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for object in &mut draft.objects {
        if let Some(stable) = stable(object.api_version(), object.kind()) {
            object.set(&["apiVersion"], stable);
        }
        default_selector(object);
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
        _ => None,
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
