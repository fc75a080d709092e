//! Settings, permissions, policies, claims and definitions.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::names::one_of;
use super::{Check, text};

/// Checks a ConfigMap or a Secret.
pub(super) fn settings(object: &Value) -> Check {
    let keys = |field: &str| object[field].as_object().into_iter().flatten().map(|(key, _)| key);
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    for (told, field) in [("data", "data"), ("binaryData", "binaryData"), ("data", "stringData")] {
        for key in keys(field) {
            if key.is_empty() || !key.chars().all(is_key) {
                return Err(format!(
                    "{told}[{key}]: Invalid value: \"{key}\": a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                ));
            }
        }
    }
    if let Some(key) = keys("data").find(|key| !object["binaryData"][key.as_str()].is_null()) {
        return Err(format!("data[{key}]: Invalid value: \"{key}\": duplicate of key present in binaryData"));
    }
    let of_type: &[&str] = match text(&object["type"]) {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in of_type {
        if object["data"][key].is_null() && object["stringData"][key].is_null() {
            return Err(format!("data[{key}]: Required value"));
        }
    }
    let login = ".dockerconfigjson";
    if of_type == [login] {
        let decoded = object["data"][login].as_str().and_then(|encoded| STANDARD.decode(encoded).ok());
        let given = object["stringData"][login].as_str().map(|text| text.as_bytes().to_vec()).or(decoded);
        if serde_json::from_slice::<Value>(&given.unwrap_or_default()).is_err() {
            return Err(format!(
                "data[{login}]: Invalid value: \"<secret contents redacted>\": invalid character in literal"
            ));
        }
    }
    Ok(())
}

/// Checks a Role, a ClusterRole or a binding.
pub(super) fn permissions(object: &Value) -> Check {
    if text(&object["kind"]).ends_with("Binding") {
        let kinds: &[&str] = if object["kind"] == "RoleBinding" { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
        let role = &object["roleRef"];
        one_of(role.get("kind").unwrap_or(&Value::from("")), kinds, "roleRef.kind")?;
        if text(&role["name"]).is_empty() {
            return Err("roleRef.name: Required value".to_owned());
        }
    }
    for (index, rule) in object["rules"].as_array().into_iter().flatten().enumerate() {
        if rule["verbs"].as_array().is_none_or(Vec::is_empty) {
            return Err(format!("rules[{index}].verbs: Required value: verbs must contain at least one value"));
        }
    }
    Ok(())
}

/// Checks a NetworkPolicy.
pub(super) fn policy(object: &Value) -> Check {
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in object["spec"][list].as_array().into_iter().flatten().enumerate() {
            for (peer, one) in rule[peers].as_array().into_iter().flatten().enumerate() {
                let Some(block) = one["ipBlock"]["cidr"].as_str() else { continue };
                let is_block = block.split_once('/').is_some_and(|(address, bits)| {
                    address.parse::<std::net::IpAddr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 128)
                });
                if !is_block {
                    let at = format!("spec.{list}[{index}].{peers}[{peer}].ipBlock.cidr");
                    return Err(format!("{at}: Invalid value: \"{block}\": not a valid CIDR"));
                }
            }
        }
    }
    Ok(())
}

/// Checks an Ingress.
pub(super) fn ingress(object: &Value) -> Check {
    for (index, rule) in object["spec"]["rules"].as_array().into_iter().flatten().enumerate() {
        for (path, one) in rule["http"]["paths"].as_array().into_iter().flatten().enumerate() {
            if one["pathType"].is_null() {
                let at = format!("spec.rules[{index}].http.paths[{path}].pathType");
                return Err(format!("{at}: Required value: pathType must be specified"));
            }
        }
    }
    Ok(())
}

/// Checks a PersistentVolumeClaim.
pub(super) fn claim(object: &Value) -> Check {
    let spec = &object["spec"];
    for mode in spec["accessModes"].as_array().into_iter().flatten() {
        one_of(mode, &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"], "spec.accessModes")?;
    }
    if spec["resources"]["requests"]["storage"].is_null() {
        return Err("spec.resources[storage]: Required value".to_owned());
    }
    Ok(())
}

/// Checks a CustomResourceDefinition.
pub(super) fn definition(object: &Value) -> Check {
    let (spec, name) = (&object["spec"], text(&object["metadata"]["name"]));
    if name != format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"])) {
        return Err(format!("metadata.name: Invalid value: \"{name}\": must be spec.names.plural+\".\"+spec.group"));
    }
    for (index, version) in spec["versions"].as_array().into_iter().flatten().enumerate() {
        if version["schema"]["openAPIV3Schema"].is_null() {
            let at = format!("spec.versions[{index}].schema.openAPIV3Schema");
            return Err(format!("{at}: Required value: schemas are required"));
        }
    }
    Ok(())
}
