//! Objects as Helm charts write them, in upstream's namespace `flyte`.

use serde_json::{Value, json};

/// A ClusterRole and what gives it to a ServiceAccount.
pub(crate) fn cluster_wide(version: &str, name: &str, account: &str) -> Vec<Value> {
    let labels = json!({"app.kubernetes.io/name": account});
    let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name});
    vec![
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
               "metadata": {"name": name, "labels": labels},
               "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create"]}]}),
        json!({"apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": name, "labels": labels},
               "roleRef": reference, "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "flyte"}]}),
    ]
}

fn named(version: &str, kind: &str, name: &str) -> Value {
    let labels = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/instance": "flyte"});
    let metadata = json!({"name": name, "namespace": "flyte", "labels": labels});
    json!({"apiVersion": version, "kind": kind, "metadata": metadata})
}

/// As upstream leaves some of its objects.
pub(crate) fn unlabelled(mut object: Value) -> Value {
    object["metadata"].as_object_mut().expect("metadata").remove("labels");
    object
}

/// A ServiceAccount.
pub(crate) fn account(name: &str) -> Value {
    named("v1", "ServiceAccount", name)
}

/// A Secret.
pub(crate) fn secret(name: &str) -> Value {
    unlabelled(named("v1", "Secret", name))
}

/// Upstream labels the ConfigMaps of admin and propeller both `flyteadmin`.
pub(crate) fn config_map(name: &str, data: Value) -> Value {
    let mut object = named("v1", "ConfigMap", name);
    object["metadata"]["labels"]["app.kubernetes.io/name"] =
        json!(name.strip_suffix("-config").filter(|stem| *stem == "datacatalog").unwrap_or("flyteadmin"));
    object["data"] = data;
    object
}

/// A volume of one ConfigMap.
pub(crate) fn config_volume(name: &str) -> Value {
    json!({"name": "config-volume", "configMap": {"name": name}})
}

/// A Service to the pods of its name.
pub(crate) fn service(name: &str, ports: &[u16]) -> Value {
    let mut object = named("v1", "Service", name);
    let ports: Vec<Value> = ports.iter().map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
    object["spec"] = json!({"ports": ports, "selector": object["metadata"]["labels"]});
    object
}

/// Containers by name, image and command; the one that serves the store has its words as arguments.
pub(crate) fn deployment(name: &str, containers: &[(&str, &str, Value)], volumes: Value) -> Value {
    let mut object = named("apps/v1", "Deployment", name);
    let container = |(called, image, words): &(&str, &str, Value)| {
        let mut container = json!({"name": called, "image": image});
        if !words.is_null() {
            container[if name == "minio" { "args" } else { "command" }] = words.clone();
        }
        container
    };
    let containers: Vec<Value> = containers.iter().map(container).collect();
    let labels = object["metadata"]["labels"].clone();
    object["spec"] = json!({
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers, "volumes": volumes}},
    });
    object
}
