//! What the pods of a workload read or run as, by name.

use std::collections::BTreeSet;

use serde_json::Value;

use super::component::is_workload;
use crate::manifest::Object;

/// A name in a pod that stands for another object of its namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodReference {
    /// Of what is named.
    pub(crate) kind: &'static str,
    /// Of what is named.
    pub(crate) name: String,
    /// Whether a pod starts without it.
    pub(super) optional: bool,
}

impl PodReference {
    /// Every one in a workload, each once, in an order of its own.
    pub(crate) fn all(workload: &Object) -> BTreeSet<Self> {
        let mut found = BTreeSet::new();
        if let Some(pod) = workload.pod_spec() {
            collect(pod, &mut found);
            let account = pod.get("serviceAccountName").and_then(Value::as_str).filter(|name| *name != "default");
            found.extend(account.map(|name| Self { kind: "ServiceAccount", name: name.to_owned(), optional: false }));
        }
        found
    }

    /// Those in a workload without which its pods do not start, and which lead to none of the objects.
    pub(super) fn dangling(workload: &Object, objects: &[Object]) -> Vec<Self> {
        if !is_workload(workload) {
            return Vec::new();
        }
        let leads = |one: &Self| {
            objects.iter().any(|object| object.is(one.kind, &one.name) && object.namespace() == workload.namespace())
        };
        Self::all(workload).into_iter().filter(|one| !one.optional && !leads(one)).collect()
    }
}

fn collect(value: &Value, found: &mut BTreeSet<PodReference>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let (kind, name) = match key.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => ("ConfigMap", inner.get("name")),
                    "secret" => ("Secret", inner.get("secretName").or_else(|| inner.get("name"))),
                    "secretRef" | "secretKeyRef" => ("Secret", inner.get("name")),
                    "persistentVolumeClaim" => ("PersistentVolumeClaim", inner.get("claimName")),
                    _ => ("", None),
                };
                if let Some(name) = name.and_then(Value::as_str) {
                    let optional = inner.get("optional") == Some(&Value::Bool(true));
                    found.insert(PodReference { kind, name: name.to_owned(), optional });
                }
                collect(inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}
