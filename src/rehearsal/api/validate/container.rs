//! Containers: ports, variables, mounts, probes and resources.

use serde_json::Value;

use super::names::{one_of, port_name, port_number};
use super::{Check, text};
use crate::manifest::Quantity;

/// Fields that a variable may be taken from.
const FIELDS: [&str; 8] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.podIP",
    "status.podIPs",
];
/// What a container may ask for besides what has a domain of its own.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];

/// Checks a container of a pod with these volumes.
pub(super) fn container(container: &Value, volumes: &Value, at: &str) -> Check {
    if text(&container["image"]).is_empty() {
        return Err(format!("{at}.image: Required value"));
    }
    const PULL: [&str; 3] = ["Always", "IfNotPresent", "Never"];
    one_of(&container["imagePullPolicy"], &PULL, &format!("{at}.imagePullPolicy"))?;
    ports(&container["ports"], at)?;
    variables(&container["env"], at)?;
    mounts(&container["volumeMounts"], volumes, at)?;
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container[probe].is_object() {
            check_probe(&container[probe], probe, &format!("{at}.{probe}"))?;
        }
    }
    let security = &container["securityContext"];
    if security["privileged"] == true && security["allowPrivilegeEscalation"] == false {
        return Err(format!(
            "{at}.securityContext: Invalid value: {security}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        ));
    }
    resources(&container["resources"], &format!("{at}.resources"))
}

fn ports(ports: &Value, at: &str) -> Check {
    let ports = ports.as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, port) in ports.iter().enumerate() {
        let before = &ports[..index];
        let at = |field: &str| format!("{at}.ports[{index}].{field}");
        if let Some(name) = port["name"].as_str() {
            port_name(name, &at("name"))?;
            if before.iter().any(|other| other["name"] == name) {
                return Err(format!("{}: Duplicate value: \"{name}\"", at("name")));
            }
        }
        if port["containerPort"].as_i64().unwrap_or(0) == 0 {
            return Err(format!("{}: Required value", at("containerPort")));
        }
        port_number(&port["containerPort"], &at("containerPort"))?;
        one_of(&port["protocol"], &["SCTP", "TCP", "UDP"], &at("protocol"))?;
        let host = &port["hostPort"];
        port_number(host, &at("hostPort"))?;
        let same = |other: &Value| ["hostPort", "protocol", "hostIP"].iter().all(|key| other[*key] == port[*key]);
        if !host.is_null() && before.iter().any(same) {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            return Err(format!(
                "{}: Duplicate value: \"{protocol}/{}/{host}\"",
                at("hostPort"),
                text(&port["hostIP"])
            ));
        }
    }
    Ok(())
}

fn variables(variables: &Value, at: &str) -> Check {
    for (index, variable) in variables.as_array().into_iter().flatten().enumerate() {
        let at = format!("{at}.env[{index}]");
        let name = text(&variable["name"]);
        if name.is_empty() {
            return Err(format!("{at}.name: Required value"));
        }
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !name.chars().all(inner) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!(
                "{at}.name: Invalid value: \"{name}\": a valid environment variable name must consist of"
            ));
        }
        let Some(source) = variable["valueFrom"].as_object() else { continue };
        let at = format!("{at}.valueFrom");
        if source.is_empty() {
            return Err(format!(
                "{at}: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            ));
        }
        if !text(&variable["value"]).is_empty() {
            return Err(format!("{at}: Invalid value: \"\": may not be specified when `value` is not empty"));
        }
        let Some(field) = source.get("fieldRef").and_then(|field| field["fieldPath"].as_str()) else { continue };
        let of_map = ["metadata.labels['", "metadata.annotations['"].iter().any(|start| field.starts_with(start));
        if !of_map && !FIELDS.contains(&field) && field != "status.hostIPs" {
            return Err(format!(
                "{at}.fieldRef.fieldPath: Invalid value: \"{field}\": error converting fieldPath: field label not supported: {field}"
            ));
        }
    }
    Ok(())
}

fn mounts(mounts: &Value, volumes: &Value, at: &str) -> Check {
    for (index, mount) in mounts.as_array().into_iter().flatten().enumerate() {
        let name = &mount["name"];
        let named = |volumes: &Vec<Value>| volumes.iter().any(|volume| volume["name"] == *name);
        if !volumes.as_array().is_some_and(named) {
            return Err(format!("{at}.volumeMounts[{index}].name: Not found: {name}"));
        }
        if text(&mount["mountPath"]).is_empty() {
            return Err(format!("{at}.volumeMounts[{index}].mountPath: Required value"));
        }
        let path = text(&mount["subPath"]);
        if path.starts_with('/') {
            return Err(format!("{at}.volumeMounts.subPath: Invalid value: \"{path}\": must be a relative path"));
        }
        if path.split('/').any(|part| part == "..") {
            return Err(format!("{at}.volumeMounts.subPath: Invalid value: \"{path}\": must not contain '..'"));
        }
    }
    Ok(())
}

fn check_probe(probe: &Value, kind: &str, at: &str) -> Check {
    let given: Vec<&str> = HANDLERS.into_iter().filter(|handler| probe[*handler].is_object()).collect();
    match given[..] {
        [] => return Err(format!("{at}: Required value: must specify a handler type")),
        [_, second, ..] => {
            return Err(format!("{at}.{second}: Forbidden: may not specify more than 1 handler type"));
        }
        _ => {}
    }
    for handler in ["httpGet", "tcpSocket"] {
        match &probe[handler]["port"] {
            Value::String(name) => port_name(name, &format!("{at}.{handler}.port"))?,
            port => port_number(port, &format!("{at}.{handler}.port"))?,
        }
    }
    one_of(&probe["httpGet"]["scheme"], &["HTTP", "HTTPS"], &format!("{at}.httpGet.scheme"))?;
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        if let Some(number) = probe[field].as_i64().filter(|number| *number < 0) {
            return Err(format!("{at}.{field}: Invalid value: {number}: must be greater than or equal to 0"));
        }
    }
    match probe["successThreshold"].as_i64() {
        Some(number) if number > 1 && kind != "readinessProbe" => {
            Err(format!("{at}.successThreshold: Invalid value: {number}: must be 1"))
        }
        _ => Ok(()),
    }
}

fn resources(resources: &Value, at: &str) -> Check {
    for kind in ["limits", "requests"] {
        for (name, amount) in resources[kind].as_object().into_iter().flatten() {
            let at = format!("{at}.{kind}[{name}]");
            if !RESOURCES.contains(&name.as_str()) && !name.contains('/') && !name.starts_with("hugepages-") {
                return Err(format!(
                    "{at}: Invalid value: \"{name}\": must be a standard resource type or fully qualified"
                ));
            }
            if Quantity::of(amount) < Quantity::of(&Value::from(0)) {
                return Err(format!("{at}: Invalid value: {amount}: must be greater than or equal to 0"));
            }
        }
    }
    for (name, request) in resources["requests"].as_object().into_iter().flatten() {
        let limit = resources["limits"].get(name);
        let is_extended = name.contains('/') && !name.contains("kubernetes.io/");
        match limit {
            Some(limit) if is_extended && Quantity::of(request) != Quantity::of(limit) => {
                return Err(format!("{at}.requests: Invalid value: {request}: must be equal to {name} limit"));
            }
            Some(limit) if Quantity::of(request) > Quantity::of(limit) => {
                return Err(format!(
                    "{at}.requests: Invalid value: {request}: must be less than or equal to {name} limit"
                ));
            }
            None if is_extended => {
                return Err(format!("{at}.limits: Required value: Limit must be set for non overcommitable resources"));
            }
            _ => {}
        }
    }
    Ok(())
}
