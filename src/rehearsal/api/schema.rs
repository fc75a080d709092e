//! What server-side apply refuses before it looks at values: fields that a kind does not have, values of another type,
//! and two entries of one key in a list.

use std::fmt::Write as _;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, LimitRange, Namespace, PersistentVolume, PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service,
    ServiceAccount,
};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::manifest::Quantity;

/// Lists whose entries have a key, and the keys.
const KEYED: [(&str, &[&str]); 8] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("hostAliases", &["ip"]),
    ("ports", &["containerPort", "port", "protocol"]),
];

/// Mappings of quantities.
const QUANTITIES: [&str; 9] =
    ["limits", "requests", "hard", "default", "defaultRequest", "max", "min", "capacity", "sizeLimit"];

/// Why an apply of an object is refused before its values are looked at, in the API's words.
pub(super) fn untyped(body: &Value) -> Option<String> {
    let read = match typed(body)? {
        Ok(read) => read,
        Err(error) => {
            let told = error.inner().to_string();
            let Some(told) = mistyped(&told) else {
                return Some(format!(
                    "failed to convert new object to proper version: error decoding from json: {told}"
                ));
            };
            let path = keyed(body, &error.path().to_string());
            return Some(format!("failed to create typed patch object: {path}: {told}"));
        }
    };
    let wrong = undeclared(body, &read, "").or_else(|| duplicate(body, ""));
    let wrong = wrong.map(|wrong| format!("failed to create typed patch object: {wrong}"));
    wrong.or_else(|| {
        let is_wrong = body["kind"] != "CustomResourceDefinition" && !quantities_are_valid(body);
        is_wrong.then(|| {
            let (version, kind) = (text(&body["apiVersion"]), text(&body["kind"]));
            let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
            format!(
                "failed to convert new object to proper version: unable to convert unstructured object to {version}, \
                 Kind={kind}: quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            )
        })
    })
}

/// A mistake of type, `invalid type: integer `1`, expected a string`, in the API's words.
fn mistyped(told: &str) -> Option<String> {
    let (got, expected) = told.strip_prefix("invalid type: ")?.split_once(", expected ")?;
    let expected = match expected {
        "a string" => "string",
        "a boolean" => "boolean",
        "i32" | "i64" | "f64" => "numeric (int or float)",
        other => other,
    };
    Some(format!("expected {expected}, got {got}"))
}

type Read = Result<Value, serde_path_to_error::Error<serde_json::Error>>;

/// An object as its kind's type has it; none where the kind has no type here.
fn typed(body: &Value) -> Option<Read> {
    let read = match (text(&body["apiVersion"]), text(&body["kind"])) {
        ("v1", "ConfigMap") => reread::<ConfigMap>,
        ("v1", "LimitRange") => reread::<LimitRange>,
        ("v1", "Namespace") => reread::<Namespace>,
        ("v1", "PersistentVolume") => reread::<PersistentVolume>,
        ("v1", "PersistentVolumeClaim") => reread::<PersistentVolumeClaim>,
        ("v1", "Pod") => reread::<Pod>,
        ("v1", "ResourceQuota") => reread::<ResourceQuota>,
        ("v1", "Secret") => reread::<Secret>,
        ("v1", "Service") => reread::<Service>,
        ("v1", "ServiceAccount") => reread::<ServiceAccount>,
        ("apps/v1", "DaemonSet") => reread::<DaemonSet>,
        ("apps/v1", "Deployment") => reread::<Deployment>,
        ("apps/v1", "ReplicaSet") => reread::<ReplicaSet>,
        ("apps/v1", "StatefulSet") => reread::<StatefulSet>,
        ("batch/v1", "CronJob") => reread::<CronJob>,
        ("batch/v1", "Job") => reread::<Job>,
        ("networking.k8s.io/v1", "Ingress") => reread::<Ingress>,
        ("networking.k8s.io/v1", "NetworkPolicy") => reread::<NetworkPolicy>,
        ("policy/v1", "PodDisruptionBudget") => reread::<PodDisruptionBudget>,
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => reread::<ClusterRole>,
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => reread::<ClusterRoleBinding>,
        ("rbac.authorization.k8s.io/v1", "Role") => reread::<Role>,
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => reread::<RoleBinding>,
        ("scheduling.k8s.io/v1", "PriorityClass") => reread::<PriorityClass>,
        ("storage.k8s.io/v1", "StorageClass") => reread::<StorageClass>,
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => reread::<CustomResourceDefinition>,
        _ => return None,
    };
    Some(read(body))
}

fn reread<T: DeserializeOwned + Serialize>(body: &Value) -> Read {
    let typed: T = serde_path_to_error::deserialize(body)?;
    Ok(serde_json::to_value(typed).unwrap_or_default())
}

/// The first field that the type did not read.
fn undeclared(given: &Value, read: &Value, at: &str) -> Option<String> {
    match (given, read) {
        (Value::Object(given), Value::Object(read)) => given.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            match read.get(key) {
                Some(read) => undeclared(value, read, &at),
                None if value.is_null() => None,
                None => Some(format!("{at}: field not declared in schema")),
            }
        }),
        (Value::Array(given), Value::Array(read)) => given
            .iter()
            .zip(read)
            .enumerate()
            .find_map(|(index, (given, read))| undeclared(given, read, &format!("{at}{}", entry(at, index, given)))),
        _ => None,
    }
}

/// The first list that has two entries of one key.
fn duplicate(value: &Value, at: &str) -> Option<String> {
    match value {
        Value::Object(map) => map.iter().find_map(|(key, inner)| duplicate(inner, &format!("{at}.{key}"))),
        Value::Array(items) => {
            let entries: Vec<String> = items.iter().enumerate().map(|(index, item)| entry(at, index, item)).collect();
            let twice = entries.iter().enumerate().find(|(index, entry)| entries[..*index].contains(entry));
            if let Some((_, entry)) = twice {
                return Some(format!("{at}: duplicate entries for key {entry}"));
            }
            items.iter().zip(entries).find_map(|(item, entry)| duplicate(item, &format!("{at}{entry}")))
        }
        _ => None,
    }
}

/// How the API calls an entry of a list: by its key, or by where it stands.
fn entry(list: &str, index: usize, item: &Value) -> String {
    let name = list.rsplit('.').next().unwrap_or_default();
    let keys = KEYED.iter().find(|(known, _)| *known == name).map(|(_, keys)| *keys).unwrap_or_default();
    let mut told = Vec::new();
    for key in keys {
        match &item[*key] {
            Value::Null if *key == "protocol" && !told.is_empty() => told.push("protocol=\"TCP\"".to_owned()),
            Value::Null => {}
            value => told.push(format!("{key}={value}")),
        }
    }
    if told.is_empty() { format!("[{index}]") } else { format!("[{}]", told.join(",")) }
}

/// A path with places in lists, `spec.containers[0].name`, as the API writes it.
fn keyed(body: &Value, path: &str) -> String {
    let (mut inner, mut told) = (body, String::new());
    for step in path.split(['.', '[']) {
        match step.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()) {
            Some(index) => {
                let entry = entry(&told, index, &inner[index]);
                inner = &inner[index];
                told.push_str(&entry);
            }
            None => {
                inner = &inner[step];
                let _ = write!(told, ".{step}");
            }
        }
    }
    told
}

fn quantities_are_valid(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().all(|(key, inner)| match inner {
            Value::Object(amounts) if QUANTITIES.contains(&key.as_str()) => {
                amounts.values().all(|amount| amount.is_object() || Quantity::of(amount).is_some())
            }
            Value::String(_) if key == "sizeLimit" => Quantity::of(inner).is_some(),
            inner => quantities_are_valid(inner),
        }),
        Value::Array(items) => items.iter().all(quantities_are_valid),
        _ => true,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
