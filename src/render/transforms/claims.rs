//! `claims`: claims for storage as folders of the node's data volume. No provisioner runs in a sandbox, so a claim would
//! never be bound.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::component::{component_of, is_workload};
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use super::edit::put;
use crate::manifest::Object;

/// What only claims need.
const STORAGE: [&str; 4] = ["PersistentVolumeClaim", "PersistentVolume", "StorageClass", "CSIDriver"];

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let Some(folder) = context.spec.scope().data_folder else { return Ok(()) };
    let mut told = Vec::new();
    for object in draft.objects.iter_mut().filter(|object| is_workload(object)) {
        let claims = as_folders(object, folder);
        if !claims.is_empty() {
            let effect = if component_of(object).is_some() { Effect::Harmless } else { Effect::Differs };
            let claims = claims.into_iter().collect::<Vec<_>>().join(", ");
            told.push((
                effect,
                object.clone(),
                format!("keeps what it claims ({claims}) in a folder of the node's data volume"),
            ));
        }
    }
    draft.objects.retain(|object| !STORAGE.contains(&object.kind()));
    for (effect, object, message) in told {
        draft.warn(effect, &object, message);
    }
    Ok(())
}

/// Replaces the claims of a workload's pods; their names.
fn as_folders(workload: &mut Object, folder: &str) -> BTreeSet<String> {
    let mut claims = BTreeSet::new();
    let place = |claim: &str| json!({"path": format!("{folder}/claims/{claim}"), "type": "DirectoryOrCreate"});
    let templates = workload.remove(&["spec", "volumeClaimTemplates"]);
    let owner = workload.name().to_owned();
    let Some(pod) = workload.pod_spec_mut() else { return claims };
    if !pod["volumes"].is_array() && templates.is_some() {
        put(pod, "volumes", json!([]));
    }
    let Some(volumes) = pod.get_mut("volumes").and_then(Value::as_array_mut) else { return claims };
    for volume in volumes.iter_mut() {
        let ephemeral = volume.get("ephemeral").is_some();
        let claim = volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str).map(str::to_owned);
        if let (Some(claim), Some(volume)) = (claim, volume.as_object_mut()) {
            volume.shift_remove("persistentVolumeClaim");
            volume.insert("hostPath".to_owned(), place(&claim));
            claims.insert(claim);
        } else if let (true, Some(volume)) = (ephemeral, volume.as_object_mut()) {
            volume.shift_remove("ephemeral");
            volume.insert("emptyDir".to_owned(), json!({}));
        }
    }
    for template in templates.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let Some(name) = template.pointer("/metadata/name").and_then(Value::as_str) else { continue };
        let claim = format!("{name}-{owner}");
        volumes.push(json!({"name": name, "hostPath": place(&claim)}));
        claims.insert(claim);
    }
    claims
}
