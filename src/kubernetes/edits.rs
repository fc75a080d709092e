//! Fields of an object that somebody else changed, removed or added since it was applied, by what the API records of who
//! owns what.
//!
//! A change by another manager takes a field out of our entry in `managedFields`, a removal too. So an entry that lacks a field of the object that was
//! applied tells of an edit without the value being read. What controllers write (status, defaults, annotations of their
//! own) was never in our entry.

use kube::api::ObjectMeta;
use serde_json::{Map, Value};

use super::additions::additions;
use super::fields::{DASHBOARD, element, entries, told};
use super::normalise::normalise;
use super::request::applied;
use crate::manifest::{Edit, Object};

/// Where an object has the number of its pods.
pub(super) const REPLICAS: &str = "/spec/replicas";

/// The edit of an object that was applied as `object`, by the metadata that it has now, and the replicas where it has some:
/// before Kubernetes 1.22 `kubectl scale` changes these without a trace in the metadata.
pub(super) fn edit(object: &Object, metadata: &ObjectMeta, replicas: Option<u64>) -> Option<Edit> {
    let by_dashboard =
        || metadata.managed_fields.iter().flatten().any(|entry| entry.manager.as_deref() == Some(DASHBOARD));
    if object.kind() == "Secret" && by_dashboard() {
        return None;
    }
    let owned = applied(metadata).and_then(|entry| entry.fields_v1.as_ref()).map(|fields| &fields.0);
    let Some(owned) = owned else { return Some(Edit { object: object.reference(), fields: Vec::new() }) };
    let mut lost = Vec::new();
    let body = normalise(object);
    for (key, value) in entries(body.value()) {
        match key {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let named = entries(value).filter(|(key, _)| !matches!(*key, "name" | "namespace"));
                let owned = owned.get("f:metadata").unwrap_or(&Value::Null);
                named.for_each(|(key, value)| field(owned, key, value, ".metadata", &mut lost));
            }
            _ => field(owned, key, value, "", &mut lost),
        }
    }
    let scaled = replicas.is_some() && object.get(REPLICAS).is_some_and(|wanted| wanted.as_u64() != replicas);
    if scaled && !lost.iter().any(|field| field == ".spec.replicas") {
        lost.push(".spec.replicas".to_owned());
    }
    let added = additions(object, metadata).into_iter().flat_map(|added| added.fields);
    lost.extend(added.map(|field| format!("{field} (added)")));
    (!lost.is_empty()).then(|| Edit { object: object.reference(), fields: lost })
}

fn field(owned: &Value, key: &str, value: &Value, at: &str, lost: &mut Vec<String>) {
    let path = format!("{at}.{key}");
    match owned.get(format!("f:{key}")) {
        Some(below) => within(below, value, &path, lost),
        None => lost.push(path),
    }
}

/// Below a field that we own: nothing where the API takes it as a whole.
fn within(owned: &Value, value: &Value, at: &str, lost: &mut Vec<String>) {
    if owned.as_object().is_none_or(Map::is_empty) {
        return;
    }
    match value {
        Value::Object(_) => entries(value).for_each(|(key, value)| field(owned, key, value, at, lost)),
        Value::Array(items) => {
            for item in items {
                match element(owned, item) {
                    Some((key, below)) => within(below, item, &format!("{at}[{}]", told(&key)), lost),
                    None => lost.push(format!("{at}[{}]", told(item))),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Object {
        Object::new(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "n", "labels": {"a": "b"}},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {
                "containers": [{"name": "c", "image": "i", "command": ["x"], "ports": [{"containerPort": 80}]}],
                "volumes": [{"name": "v", "emptyDir": {}}]}}}}))
        .expect("an object")
    }

    /// As Kubernetes 1.21 records an apply of it.
    fn owned() -> Value {
        json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:replicas": {}, "f:selector": {},
            "f:template": {"f:spec": {
                "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}, "f:command": {}, "f:ports": {
                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}}}},
                "f:volumes": {"k:{\"name\":\"v\"}": {".": {}, "f:name": {}, "f:emptyDir": {}}}}}}})
    }

    fn lost(object: &Object, managed: &Value) -> Option<Vec<String>> {
        let metadata = serde_json::from_value(json!({"name": "d", "managedFields": managed})).expect("metadata");
        edit(object, &metadata, Some(1)).map(|edit| edit.fields)
    }

    fn ours(fields: &Value) -> Value {
        json!({"manager": "sandbox", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn a_field_that_left_our_entry_was_edited_and_is_named() {
        let container = "/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"c\"}";
        let in_container = ".spec.template.spec.containers[name=\"c\"]";
        for (at, key, told) in [
            ("/f:spec", "f:replicas", ".spec.replicas".to_owned()),
            // Nothing is owned of a mapping without a field that is.
            ("/f:metadata", "f:labels", ".metadata.labels".to_owned()),
            (container, "f:image", format!("{in_container}.image")),
            ("/f:spec/f:template/f:spec", "f:containers", ".spec.template.spec.containers".to_owned()),
            (
                &format!("{container}/f:ports"),
                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}",
                format!("{in_container}.ports[containerPort=80,protocol=\"TCP\"]"),
            ),
            (container, "f:ports", format!("{in_container}.ports")),
        ] {
            let mut fields = owned();
            // A pointer takes `~` and `/` for its own; there are none of these in keys here.
            let parent = fields.pointer_mut(at).and_then(Value::as_object_mut).expect("a field");
            parent.remove(key).expect("a field");
            // The API keeps the element itself, and no mapping or list without a field that is owned.
            if parent.is_empty() {
                parent.insert(".".to_owned(), json!({}));
            }
            assert_eq!(lost(&deployment(), &json!([ours(&fields)])), Some(vec![told]), "{at} {key}");
        }
    }

    #[test]
    fn replicas_are_compared_by_value() {
        let metadata =
            serde_json::from_value(json!({"name": "d", "managedFields": [ours(&owned())]})).expect("metadata");
        for (replicas, edited) in [(None, false), (Some(1), false), (Some(0), true)] {
            assert_eq!(edit(&deployment(), &metadata, replicas).is_some(), edited, "{replicas:?}");
        }
    }

    #[test]
    fn what_controllers_write_is_no_edit() {
        let revision = json!({"f:metadata": {"f:annotations": {".": {}, "f:deployment.kubernetes.io/revision": {}}},
            "f:status": {"f:replicas": {}}});
        let theirs = json!({"manager": "k3s", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": revision});
        assert_eq!(lost(&deployment(), &json!([ours(&owned()), theirs])), None);
    }

    #[test]
    fn an_object_that_we_have_no_entry_in_was_replaced() {
        assert_eq!(lost(&deployment(), &json!([])), Some(vec![]));
    }

    #[test]
    fn the_dashboard_may_replace_its_own_secrets() {
        let secret =
            Object::new(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "d", "labels": {"a": "b"}}}));
        let secret = secret.expect("an object");
        let dashboard =
            json!({"manager": "dashboard", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {}}});
        assert_eq!(lost(&secret, &json!([dashboard])), None);
        assert_eq!(lost(&secret, &json!([])), Some(vec![]));
    }

    #[test]
    fn lists_of_plain_values_are_owned_by_value_and_atomic_ones_as_a_whole() {
        let object =
            Object::new(json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "d", "finalizers": ["a", "b"]},
            "rules": [{"verbs": ["get"]}]}));
        let object = object.expect("an object");
        let fields = json!({"f:metadata": {"f:finalizers": {".": {}, "v:\"a\"": {}}}, "f:rules": {}});
        assert_eq!(lost(&object, &json!([ours(&fields)])), Some(vec![".metadata.finalizers[=\"b\"]".to_owned()]));
    }
}
