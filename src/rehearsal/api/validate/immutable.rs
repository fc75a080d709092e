//! What cannot change once it is there.

use serde_json::Value;

use super::{Check, text};

/// Fields of a StatefulSet's specification that can.
const OF_STATEFUL_SETS: [&str; 7] = [
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "persistentVolumeClaimRetentionPolicy",
    "revisionHistoryLimit",
];

/// Checks an object against itself as it was.
pub(super) fn unchanged(live: &Value, next: &Value) -> Check {
    let same = |pointer: &str| live.pointer(pointer) == next.pointer(pointer);
    let fixed = |pointer: &str| {
        let path = pointer.trim_start_matches('/').replace('/', ".");
        let value = next.pointer(pointer).unwrap_or(&Value::Null);
        if same(pointer) { Ok(()) } else { Err(format!("{path}: Invalid value: {value}: field is immutable")) }
    };
    match text(&next["kind"]) {
        "Deployment" | "DaemonSet" | "ReplicaSet" => fixed("/spec/selector"),
        "Job" => {
            fixed("/spec/completions")?;
            fixed("/spec/selector")?;
            fixed("/spec/template")
        }
        "StatefulSet" => {
            let kept = |object: &Value| {
                let mut spec = object["spec"].as_object().cloned().unwrap_or_default();
                spec.retain(|key, _| !OF_STATEFUL_SETS.contains(&key.as_str()));
                spec
            };
            if kept(live) == kept(next) {
                return Ok(());
            }
            Err("spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'template', and 'updateStrategy' are forbidden".to_owned())
        }
        "RoleBinding" | "ClusterRoleBinding" if !same("/roleRef") => {
            Err(format!("roleRef: Invalid value: {}: cannot change roleRef", next["roleRef"]))
        }
        "PersistentVolumeClaim"
            if ["accessModes", "storageClassName", "volumeMode", "selector"]
                .iter()
                .any(|field| !same(&format!("/spec/{field}"))) =>
        {
            Err("spec: Forbidden: spec is immutable after creation except resources.requests for bound claims"
                .to_owned())
        }
        "ConfigMap" | "Secret" => settings(live, next),
        "Service" => address(text(&live["spec"]["clusterIP"]), text(&next["spec"]["clusterIP"])),
        _ => Ok(()),
    }
}

fn settings(live: &Value, next: &Value) -> Check {
    const WHY: &str = "Forbidden: field is immutable when `immutable` is set";
    let kind = |object: &Value| object["type"].as_str().unwrap_or("Opaque").to_owned();
    if next["kind"] == "Secret" && kind(live) != kind(next) {
        return Err(format!("type: Invalid value: \"{}\": field is immutable", kind(next)));
    }
    if live["immutable"] != true {
        return Ok(());
    }
    if next["immutable"] != true {
        return Err(format!("immutable: {WHY}"));
    }
    match ["data", "stringData", "binaryData"].into_iter().find(|field| live[*field] != next[*field]) {
        Some("binaryData") => Err(format!("binaryData: {WHY}")),
        Some(_) => Err(format!("data: {WHY}")),
        None => Ok(()),
    }
}

/// The address of a Service: an apply without one keeps it, unless there is none to keep.
fn address(live: &str, next: &str) -> Check {
    match (live, next) {
        _ if live == next => Ok(()),
        ("None", "") => {
            Err("spec.clusterIPs[0]: Invalid value: []string(nil): primary clusterIP can not be unset".to_owned())
        }
        (_, "") => Ok(()),
        _ => Err(format!("spec.clusterIPs[0]: Invalid value: []string{{\"{next}\"}}: may not change once set")),
    }
}
