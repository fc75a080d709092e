//! `deployments`: each component as a Deployment. Whoever runs several nodes has some as StatefulSets, for stable names and
//! volumes of their own; here each is one pod whose data is on the node's volume.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::component::component_of;
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use super::edit::put;
use crate::manifest::Object;

/// Fields that a Deployment does not have.
const OF_OTHERS: [&str; 5] =
    ["serviceName", "podManagementPolicy", "updateStrategy", "ordinals", "persistentVolumeClaimRetentionPolicy"];

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let is_headless = |object: &&Object| {
        object.kind() == "Service" && object.get("/spec/clusterIP").is_some_and(|address| address == "None")
    };
    let headless: BTreeSet<String> =
        draft.objects.iter().filter(is_headless).map(|object| object.name().to_owned()).collect();
    let mut told = Vec::new();
    for object in draft.objects.iter_mut().filter(|object| is_another(object)) {
        told.push((object.clone(), format!("is a Deployment here, and no {}", object.kind())));
        keep_name(object, &headless);
        object.set(&["kind"], "Deployment");
        for field in OF_OTHERS {
            object.remove(&["spec", field]);
        }
        object.set(&["spec", "strategy"], json!({"type": "Recreate"}));
    }
    for (object, message) in told {
        draft.warn(Effect::Harmless, &object, message);
    }
    Ok(())
}

/// The one pod of a StatefulSet stays `postgres-0.postgres`, which others may reach it by.
fn keep_name(object: &mut Object, headless: &BTreeSet<String>) {
    let service = object.get("/spec/serviceName").and_then(Value::as_str).map(str::to_owned);
    let Some(service) = service.filter(|name| object.kind() == "StatefulSet" && headless.contains(name)) else {
        return;
    };
    let hostname = format!("{}-0", object.name());
    if let Some(pod) = object.pod_spec_mut() {
        put(pod, "hostname", hostname);
        put(pod, "subdomain", service);
    }
}

/// One with claims of its own is left: on a cluster with a provisioner they are its data.
fn is_another(object: &Object) -> bool {
    component_of(object).is_some()
        && matches!(object.kind(), "StatefulSet" | "DaemonSet" | "ReplicaSet")
        && object.get("/spec/volumeClaimTemplates").is_none()
}
