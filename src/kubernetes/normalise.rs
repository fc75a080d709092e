//! What the API of Kubernetes before 1.22 needs to take a server-side apply.
//!
//! Its merge has no defaults for list keys (a port without a protocol is refused) and compares quantities as text
//! (an integer is refused): kubernetes/kubernetes#98576 and structured-merge-diff#130. Writing both out is right for
//! every version, so it is always done. A Secret's `stringData` is written out as the `data` that it becomes: the API
//! keeps no `stringData`, so an apply with it never counts as unchanged.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::manifest::Object;

const SERVER_SET: &[&str] =
    &["managedFields", "resourceVersion", "uid", "creationTimestamp", "selfLink", "generation", "deletionTimestamp"];

/// The object as the API takes it: port protocols and quantities written out, nothing that only the API sets.
#[must_use]
pub fn normalise(object: &Object) -> Object {
    let mut object = object.clone();
    for field in SERVER_SET {
        object.remove(&["metadata", field]);
    }
    object.remove(&["status"]);
    match object.kind() {
        "Service" => protocols(object.get_mut("/spec/ports")),
        "Secret" => encoded(&mut object),
        "ResourceQuota" => quantities(object.get_mut("/spec/hard")),
        "PersistentVolumeClaim" => resources(object.get_mut("/spec/resources")),
        "PersistentVolume" => quantities(object.get_mut("/spec/capacity")),
        "LimitRange" => {
            for limit in elements(object.get_mut("/spec/limits")) {
                for bound in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
                    quantities(limit.get_mut(bound));
                }
            }
        }
        _ => {}
    }
    for claim in elements(object.get_mut("/spec/volumeClaimTemplates")) {
        resources(claim.pointer_mut("/spec/resources"));
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in object.containers_mut(list) {
            protocols(container.get_mut("ports"));
            resources(container.get_mut("resources"));
        }
    }
    if let Some(spec) = object.pod_spec_mut() {
        quantities(spec.get_mut("overhead"));
        for volume in elements(spec.get_mut("volumes")) {
            if let Some(limit) = volume.pointer_mut("/emptyDir/sizeLimit") {
                quantity(limit);
            }
        }
    }
    object
}

fn encoded(secret: &mut Object) {
    let texts = secret.get("/stringData").and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, text) in texts {
        if let Some(text) = text.as_str() {
            secret.set(&["data", &key], json!(ByteString(text.as_bytes().to_vec())));
        }
    }
    secret.remove(&["stringData"]);
}

fn elements(list: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

fn protocols(ports: Option<&mut Value>) {
    for port in elements(ports).filter_map(Value::as_object_mut) {
        port.entry("protocol").or_insert_with(|| "TCP".into());
    }
}

fn resources(resources: Option<&mut Value>) {
    if let Some(resources) = resources {
        quantities(resources.get_mut("limits"));
        quantities(resources.get_mut("requests"));
    }
}

fn quantities(amounts: Option<&mut Value>) {
    amounts.and_then(Value::as_object_mut).into_iter().flat_map(|map| map.values_mut()).for_each(quantity);
}

fn quantity(amount: &mut Value) {
    if let Value::Number(number) = amount {
        *amount = Value::String(number.to_string());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn normalised(value: Value) -> Value {
        normalise(&Object::new(value).expect("an object")).into_value()
    }

    #[test]
    fn ports_get_their_protocol_and_keep_one_they_have() {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
            "spec": {"ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}});
        assert_eq!(
            normalised(service)["spec"]["ports"],
            json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}])
        );
    }

    #[test]
    fn a_secrets_texts_become_the_data_that_the_api_keeps() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"a": "QQ=="}, "stringData": {"client_secret": "foobar"}});
        let secret = normalised(secret);
        assert_eq!(secret["data"], json!({"a": "QQ==", "client_secret": "Zm9vYmFy"}));
        assert!(secret.get("stringData").is_none());
    }

    #[test]
    fn quantities_become_text_in_every_container() {
        let resources = json!({"limits": {"cpu": 2, "memory": "1Gi"}, "requests": {"cpu": 0.5}});
        let spec = json!({"containers": [{"name": "c", "resources": resources, "ports": [{"containerPort": 1}]}],
            "initContainers": [{"name": "i", "resources": resources}],
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": 1000}}]});
        let pod = normalised(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"template": {"spec": spec}}}));
        let wanted = json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "0.5"}});
        let spec = &pod["spec"]["template"]["spec"];
        assert_eq!(spec["containers"][0]["resources"], wanted);
        assert_eq!(spec["initContainers"][0]["resources"], wanted);
        assert_eq!(spec["containers"][0]["ports"], json!([{"containerPort": 1, "protocol": "TCP"}]));
        assert_eq!(spec["volumes"][0]["emptyDir"]["sizeLimit"], "1000");
    }

    #[test]
    fn what_only_the_api_sets_is_left_out() {
        let live = json!({"apiVersion": "v1", "kind": "ConfigMap", "status": {}, "metadata": {"name": "c",
            "uid": "u", "resourceVersion": "7", "managedFields": [], "creationTimestamp": "2021-01-01T00:00:00Z"}});
        assert_eq!(normalised(live), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}));
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(cpu in 0u32..100, kind in "Service|Deployment|Pod|Job", port in 1u16..) {
            let spec = json!({"ports": [{"port": port}], "containers": [{"resources": {"limits": {"cpu": cpu}}}],
                "template": {"spec": {"containers": [{"ports": [{"containerPort": port}]}]}}});
            let once = normalised(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "n"}, "spec": spec}));
            prop_assert_eq!(normalised(once.clone()), once);
        }
    }
}
