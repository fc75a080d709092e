//! Pods: their volumes, containers, and what they ask of a node.

use std::net::IpAddr;

use serde_json::Value;

use super::container::container;
use super::names::{Form, labels, name, one_of};
use super::{Check, text};

/// Fields of a volume that are no source.
const NAME: &str = "name";

/// Checks a pod's specification; `restart` are the restart policies that its workload may have, `Always` where it says none.
pub(super) fn pod(pod: &Value, restart: &[&str], at: &str) -> Check {
    volumes(pod, at)?;
    let containers = pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = pod["initContainers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        return Err(format!("{at}.containers: Required value"));
    }
    let mut names: Vec<&str> = Vec::new();
    for (list, containers) in [("containers", containers), ("initContainers", first)] {
        for (index, one) in containers.iter().enumerate() {
            let at = format!("{at}.{list}[{index}]");
            let called = text(&one["name"]);
            if called.is_empty() {
                return Err(format!("{at}.name: Required value"));
            }
            name(called, Form::Label, &format!("{at}.name"))?;
            if names.contains(&called) {
                return Err(format!("{at}.name: Duplicate value: \"{called}\""));
            }
            names.push(called);
            container(one, &pod["volumes"], &at)?;
        }
    }
    let policy = &pod["restartPolicy"];
    let policy_at = format!("{at}.restartPolicy");
    if policy.is_null() && !restart.contains(&"Always") {
        return Err(format!("{policy_at}: Required value: valid values: \"OnFailure\", \"Never\""));
    }
    one_of(policy, restart, &policy_at)?;
    placement(pod, at)
}

fn volumes(pod: &Value, at: &str) -> Check {
    for (index, volume) in pod["volumes"].as_array().into_iter().flatten().enumerate() {
        let at = format!("{at}.volumes[{index}]");
        name(text(&volume["name"]), Form::Label, &format!("{at}.name"))?;
        let sources: Vec<&String> =
            volume.as_object().into_iter().flatten().map(|(key, _)| key).filter(|key| *key != NAME).collect();
        if let [_, second, ..] = sources[..] {
            return Err(format!("{at}.{second}: Forbidden: may not specify more than 1 volume type"));
        }
        let named = [
            ("configMap", "name"),
            ("secret", "secretName"),
            ("persistentVolumeClaim", "claimName"),
            ("hostPath", "path"),
        ];
        for (source, field) in named {
            if volume[source].is_object() && text(&volume[source][field]).is_empty() {
                return Err(format!("{at}.{source}.{field}: Required value"));
            }
        }
        const TYPES: [&str; 8] =
            ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
        one_of(&volume["hostPath"]["type"], &TYPES, &format!("{at}.hostPath.type"))?;
        for source in ["configMap", "secret", "projected"] {
            let source_at = format!("{at}.{source}");
            mode(&volume[source]["defaultMode"], &format!("{source_at}.defaultMode"))?;
            items(&volume[source]["items"], &source_at)?;
        }
    }
    Ok(())
}

fn mode(mode: &Value, at: &str) -> Check {
    match mode.as_i64() {
        Some(mode) if !(0..=0o777).contains(&mode) => {
            Err(format!("{at}: Invalid value: {mode}: must be a number between 0 and 0777 (octal), both inclusive"))
        }
        _ => Ok(()),
    }
}

fn items(items: &Value, at: &str) -> Check {
    for (index, item) in items.as_array().into_iter().flatten().enumerate() {
        let at = format!("{at}.items[{index}]");
        mode(&item["mode"], &format!("{at}.mode"))?;
        for field in ["key", "path"] {
            if text(&item[field]).is_empty() {
                return Err(format!("{at}.{field}: Required value"));
            }
        }
        let path = text(&item["path"]);
        if path.starts_with('/') {
            return Err(format!("{at}.path: Invalid value: \"{path}\": must be a relative path"));
        }
        if path.split('/').any(|part| part == "..") {
            return Err(format!("{at}.path: Invalid value: \"{path}\": must not contain '..'"));
        }
    }
    Ok(())
}

/// Where a pod may run, and what it is called there.
fn placement(pod: &Value, at: &str) -> Check {
    const DNS: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(&pod["dnsPolicy"], &DNS, &format!("{at}.dnsPolicy"))?;
    if pod["dnsPolicy"] == "None" && pod["dnsConfig"]["nameservers"].as_array().is_none_or(Vec::is_empty) {
        return Err(format!("{at}.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"));
    }
    labels(&pod["nodeSelector"], &format!("{at}.nodeSelector"))?;
    for (field, form) in
        [("serviceAccountName", Form::Subdomain), ("hostname", Form::Label), ("subdomain", Form::Label)]
    {
        if let Some(given) = pod[field].as_str().filter(|given| !given.is_empty()) {
            name(given, form, &format!("{at}.{field}"))?;
        }
    }
    for alias in pod["hostAliases"].as_array().into_iter().flatten() {
        if text(&alias["ip"]).parse::<IpAddr>().is_err() {
            return Err(format!("{at}.hostAliases.ip: Invalid value: {}: must be valid IP address", alias["ip"]));
        }
    }
    for (index, toleration) in pod["tolerations"].as_array().into_iter().flatten().enumerate() {
        if toleration["operator"] == "Exists" && !text(&toleration["value"]).is_empty() {
            return Err(format!(
                "{at}.tolerations[{index}].operator: Invalid value: {toleration}: value must be empty when `operator` is 'Exists'"
            ));
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
        for (index, term) in pod["affinity"][kind][REQUIRED].as_array().into_iter().flatten().enumerate() {
            if text(&term["topologyKey"]).is_empty() {
                return Err(format!(
                    "{at}.affinity.{kind}.{REQUIRED}[{index}].topologyKey: Required value: can not be empty"
                ));
            }
        }
    }
    Ok(())
}
