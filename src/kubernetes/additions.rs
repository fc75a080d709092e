//! Fields that somebody added to an object that was applied: an apply leaves them, and they may be in force.
//!
//! A key more in a ConfigMap is one more file that admin reads, a label more in a Service's selector leads nowhere. Metadata
//! is anybody's, and so is what controllers write: they write no field of a specification that is looked at here.

use kube::api::ObjectMeta;
use serde_json::{Map, Value};

use super::fields::{DASHBOARD, element, entries, told};
use super::normalise::normalise;
use crate::flyte::labels::MANAGER;
use crate::manifest::Object;

/// Kinds that nobody but who applies them has a reason to write to.
const KINDS: &[&str] = &[
    "ConfigMap",
    "DaemonSet",
    "Deployment",
    "NetworkPolicy",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "StatefulSet",
];

/// What others added.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Additions {
    /// The fields, as the API writes them: `.data.own.yaml`.
    pub(super) fields: Vec<String>,
    /// The merge patch that takes them away.
    pub(super) removal: Map<String, Value>,
}

/// What others added to an object that was applied as `object`, by the metadata that it has now.
pub(super) fn additions(object: &Object, metadata: &ObjectMeta) -> Option<Additions> {
    if !KINDS.contains(&object.kind()) {
        return None;
    }
    let body = normalise(object);
    let mut found = Additions::default();
    let managed = metadata.managed_fields.iter().flatten();
    let theirs = managed.filter(|entry| {
        let manager = entry.manager.as_deref().unwrap_or_default();
        !manager.starts_with(MANAGER) && manager != DASHBOARD && entry.subresource.as_deref() != Some("status")
    });
    for fields in theirs.filter_map(|entry| entry.fields_v1.as_ref()) {
        let mut fields = fields.0.clone();
        if let Some(top) = fields.as_object_mut() {
            top.retain(|key, _| !matches!(key.as_str(), "f:status" | "f:apiVersion" | "f:kind"));
        }
        if let Some(Value::Object(removal)) = beyond(&fields, body.value(), "", &mut found.fields) {
            merge(&mut found.removal, removal);
        }
    }
    (!found.fields.is_empty()).then_some(found)
}

/// The merge patch that takes away what is in their share and not in our value. A list is patched as a whole.
fn beyond(theirs: &Value, ours: &Value, at: &str, fields: &mut Vec<String>) -> Option<Value> {
    match ours {
        Value::Object(ours) => {
            let mut removal = Map::new();
            for (name, below) in entries(theirs) {
                let Some(key) = name.strip_prefix("f:").filter(|key| *key != "metadata") else { continue };
                let path = format!("{at}.{key}");
                let of_it = match ours.get(key) {
                    Some(own) => beyond(below, own, &path, fields),
                    None => {
                        fields.push(path);
                        Some(Value::Null)
                    }
                };
                removal.extend(of_it.map(|of_it| (key.to_owned(), of_it)));
            }
            (!removal.is_empty()).then(|| removal.into())
        }
        Value::Array(own) => {
            let before = fields.len();
            for (name, below) in entries(theirs) {
                let Some((by, key)) = name.split_once(':') else { continue };
                let Ok(key) = serde_json::from_str::<Value>(key) else { continue };
                let only = Value::Object(Map::from_iter([(name.to_owned(), below.clone())]));
                let at = format!("{at}[{}]", told(&key));
                match own.iter().find(|item| element(&only, item).is_some()) {
                    Some(item) if by == "k" => _ = beyond(below, item, &at, fields),
                    Some(_) => {}
                    None => fields.push(at),
                }
            }
            (fields.len() > before).then(|| ours.clone())
        }
        _ => None,
    }
}

fn merge(into: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (_, value) => _ = into.insert(key, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(object: Value, manager: &str, fields: &Value) -> Option<(Vec<String>, Value)> {
        let metadata = json!({"managedFields": [{"manager": manager, "operation": "Update", "fieldsV1": fields}]});
        let metadata = serde_json::from_value(metadata).expect("metadata");
        let found = additions(&Object::new(object).expect("an object"), &metadata);
        found.map(|Additions { fields, removal }| (fields, removal.into()))
    }

    fn deployment() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 1,
            "template": {"spec": {"containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}]}]}}}})
    }

    #[test]
    fn a_field_more_is_named_and_taken_away() {
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
            "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}});
        let containers = deployment()["spec"]["template"]["spec"]["containers"].clone();
        let template = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let in_container = |fields: Value| {
            json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": fields}}}}})
        };
        let at = ".spec.template.spec.containers[name=\"c\"]";
        for (object, fields, named, removal) in [
            (
                config.clone(),
                json!({"f:data": {"f:b": {}}, "f:metadata": {"f:labels": {"f:own": {}}}}),
                vec![".data.b".to_owned()],
                json!({"data": {"b": null}}),
            ),
            (config, json!({"f:immutable": {}}), vec![".immutable".to_owned()], json!({"immutable": null})),
            (secret, json!({"f:data": {".": {}, "f:b": {}}}), vec![".data".to_owned()], json!({"data": null})),
            (
                service.clone(),
                json!({"f:spec": {"f:selector": {"f:own": {}}}}),
                vec![".spec.selector.own".to_owned()],
                json!({"spec": {"selector": {"own": null}}}),
            ),
            (
                service,
                json!({"f:spec": {"f:ports": {"k:{\"port\":81,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}}),
                vec![".spec.ports[port=81,protocol=\"TCP\"]".to_owned()],
                json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}]}}),
            ),
            (
                deployment(),
                json!({"f:spec": {"f:paused": {}}}),
                vec![".spec.paused".to_owned()],
                json!({"spec": {"paused": null}}),
            ),
            (
                deployment(),
                in_container(json!({"f:env": {"k:{\"name\":\"B\"}": {".": {}, "f:name": {}}}, "f:tty": {}})),
                vec![format!("{at}.env[name=\"B\"]"), format!("{at}.tty")],
                template,
            ),
        ] {
            assert_eq!(found(object, "kubectl-edit", &fields), Some((named, removal)), "{fields}");
        }
    }

    #[test]
    fn what_is_ours_or_a_controllers_is_no_addition() {
        let status = json!({"f:status": {"f:replicas": {}}, "f:metadata": {"f:annotations": {"f:revision": {}}}});
        let same = json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:value": {}}}}}}}}});
        let own = json!({"f:spec": {"f:paused": {}}});
        for (manager, fields) in
            [("k3s", status), ("kubectl-client-side-apply", same), ("sandbox-restart", own.clone()), ("dashboard", own)]
        {
            assert_eq!(found(deployment(), manager, &fields), None, "{manager}");
        }
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s"}});
        assert_eq!(found(account, "k3s", &json!({"f:secrets": {".": {}}})), None, "the token controller's");
    }
}
