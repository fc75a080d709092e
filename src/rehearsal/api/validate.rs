//! What the API refuses of objects that it reads: enough of its own rules that a rehearsal does not say yes to what a node
//! says no to.

use serde_json::Value;

use crate::manifest::Quantity;

/// Why the API refuses an object, in its words; `others` are those that are there.
pub(super) fn invalid<'a>(object: &Value, others: impl Iterator<Item = &'a Value>) -> Option<String> {
    let why = match object["kind"].as_str()? {
        "Service" => service(object, others),
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => {
            containers(&object["spec"]["template"]["spec"], "spec.template.spec")
        }
        "Pod" => containers(&object["spec"], "spec"),
        _ => None,
    }?;
    let group = object["apiVersion"].as_str()?.split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
    Some(format!("{}{group} \"{}\" is invalid: {why}", object["kind"].as_str()?, object["metadata"]["name"].as_str()?))
}

fn service<'a>(object: &Value, others: impl Iterator<Item = &'a Value>) -> Option<String> {
    let (spec, metadata) = (&object["spec"], &object["metadata"]);
    let kind = spec["type"].as_str().unwrap_or("ClusterIP");
    if kind != "LoadBalancer" {
        for field in ["loadBalancerSourceRanges", "allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if !spec[field].is_null() {
                return Some(format!("spec.{field}: Forbidden: may only be used when `type` is 'LoadBalancer'"));
            }
        }
    }
    if kind == "ClusterIP" && !spec["externalTrafficPolicy"].is_null() {
        return Some(
            "spec.externalTrafficPolicy: Invalid value: may only be set when `type` is 'NodePort' or 'LoadBalancer'"
                .to_owned(),
        );
    }
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(index) = ports.iter().position(|port| ports.len() > 1 && port["name"].is_null()) {
        return Some(format!("spec.ports[{index}].name: Required value"));
    }
    let same = |other: &Value| ["name", "namespace"].iter().all(|key| other["metadata"][*key] == metadata[*key]);
    let taken: Vec<&Value> = others
        .filter(|other| other["kind"] == "Service" && !same(other))
        .flat_map(|other| other["spec"]["ports"].as_array().into_iter().flatten())
        .map(|port| &port["nodePort"])
        .collect();
    ports.iter().enumerate().find_map(|(index, port)| {
        let wanted = &port["nodePort"];
        if wanted.is_null() {
            return None;
        }
        let at = format!("spec.ports[{index}].nodePort: ");
        match kind {
            "ClusterIP" => Some(format!("{at}Forbidden: may not be used when `type` is 'ClusterIP'")),
            _ if taken.contains(&wanted) => {
                Some(format!("{at}Invalid value: {wanted}: provided port is already allocated"))
            }
            _ => None,
        }
    })
}

fn containers(pod: &Value, at: &str) -> Option<String> {
    ["initContainers", "containers"].into_iter().find_map(|list| {
        let containers = pod[list].as_array().into_iter().flatten().enumerate();
        containers.into_iter().find_map(|(index, container)| {
            let why = resources(&container["resources"])?;
            Some(format!("{at}.{list}[{index}].resources.{why}"))
        })
    })
}

fn resources(resources: &Value) -> Option<String> {
    for kind in ["limits", "requests"] {
        for (name, amount) in resources[kind].as_object().into_iter().flatten() {
            if Quantity::of(amount).is_none() {
                return Some(format!(
                    "{kind}[{name}]: Invalid value: {amount}: quantities must match the regular expression"
                ));
            }
        }
    }
    resources["requests"].as_object()?.iter().find_map(|(name, request)| {
        let limit = resources["limits"].get(name)?;
        let above = Quantity::of(request) > Quantity::of(limit);
        above.then(|| format!("requests: Invalid value: {request}: must be less than or equal to {name} limit"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_node_refuses_is_refused() {
        let service = |name: &str, spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
        let pods = |resources: Value| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "resources": resources}]}}}})
        };
        let there = service("ours", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30081}]}));
        for (object, why) in [
            (
                service("a", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30081}]})),
                Some(
                    "Service \"a\" is invalid: spec.ports[0].nodePort: Invalid value: 30081: provided port is already allocated",
                ),
            ),
            (
                service("a", json!({"ports": [{"port": 80}, {"port": 81, "name": "b"}]})),
                Some("spec.ports[0].name: Required value"),
            ),
            (
                service("a", json!({"loadBalancerSourceRanges": ["10.0.0.0/8"]})),
                Some("spec.loadBalancerSourceRanges: Forbidden"),
            ),
            (
                pods(json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "500Mi"}})),
                Some(
                    "Deployment.apps \"d\" is invalid: spec.template.spec.containers[0].resources.requests: Invalid value: \"1Gi\": must be less than or equal to memory limit",
                ),
            ),
            (pods(json!({"requests": {"memory": "1GB"}})), Some("quantities must match")),
            (there.clone(), None),
            (pods(json!({"requests": {"memory": "500Mi"}, "limits": {"memory": "1Gi"}})), None),
        ] {
            let told = invalid(&object, std::iter::once(&there));
            assert_eq!(told.is_some(), why.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(why.unwrap_or_default()), "{object}");
        }
    }
}
