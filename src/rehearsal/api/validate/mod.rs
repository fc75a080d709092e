//! What the API refuses of objects that it reads: its own rules, so that a rehearsal does not say yes to what a node says no
//! to. Of several mistakes in one object the first is told.
//!
//! | file | what |
//! |---|---|
//! | `names.rs` | names, labels, annotations and ports |
//! | `workload.rs` | selectors, strategies, schedules |
//! | `pod.rs` | pods: volumes, and where they may run |
//! | `container.rs` | containers: ports, variables, mounts, probes, resources |
//! | `service.rs` | Services: types, ports, addresses |
//! | `others.rs` | settings, permissions, policies, claims, definitions |
//! | `immutable.rs` | what cannot change once it is there |

mod container;
mod immutable;
mod names;
mod others;
mod pod;
mod service;
mod workload;

use serde_json::Value;

/// Nothing, or what is wrong with which field, in the API's words.
type Check = Result<(), String>;

/// Why the API refuses an object, in its words; `live` is the object as it is there, `others` are all that are there.
pub(super) fn invalid<'a>(
    object: &Value,
    live: Option<&Value>,
    others: impl Iterator<Item = &'a Value>,
) -> Option<String> {
    let why = check(object, live, others).err()?;
    let group = text(&object["apiVersion"]).split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    Some(format!("{kind}{group} \"{name}\" is invalid: {why}"))
}

fn check<'a>(object: &Value, live: Option<&Value>, others: impl Iterator<Item = &'a Value>) -> Check {
    names::metadata(object)?;
    match text(&object["kind"]) {
        "Service" => service::service(object, others),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "CronJob" | "Pod" => {
            workload::workload(object)
        }
        "ConfigMap" | "Secret" => others::settings(object),
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => others::permissions(object),
        "NetworkPolicy" => others::policy(object),
        "Ingress" => others::ingress(object),
        "PersistentVolumeClaim" => others::claim(object),
        "CustomResourceDefinition" => others::definition(object),
        _ => Ok(()),
    }?;
    live.map_or(Ok(()), |live| immutable::unchanged(live, object))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
