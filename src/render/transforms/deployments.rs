//! `deployments`: each component as a Deployment. Whoever runs several nodes has some as StatefulSets, for stable names and
//! volumes of their own; here each is one pod whose data is on the node's volume.

use serde_json::json;

use super::super::component::component_of;
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use crate::manifest::Object;

/// Fields that a Deployment does not have.
const OF_OTHERS: [&str; 5] =
    ["serviceName", "podManagementPolicy", "updateStrategy", "ordinals", "persistentVolumeClaimRetentionPolicy"];

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let mut told = Vec::new();
    for object in draft.objects.iter_mut().filter(|object| is_another(object)) {
        told.push((object.clone(), format!("is a Deployment here, and no {}", object.kind())));
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

/// One with claims of its own is left: on a cluster with a provisioner they are its data.
fn is_another(object: &Object) -> bool {
    component_of(object).is_some()
        && matches!(object.kind(), "StatefulSet" | "DaemonSet" | "ReplicaSet")
        && object.get("/spec/volumeClaimTemplates").is_none()
}
