//! API discovery: enough for `kubectl`, and for clients that ask for one group.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::path::Path;
use crate::manifest::served_kinds;

const VERBS: [&str; 6] = ["create", "delete", "get", "list", "patch", "watch"];

/// Short names of kinds for `kubectl`.
const SHORT: &[(&str, &str)] = &[
    ("configmaps", "cm"),
    ("deployments", "deploy"),
    ("events", "ev"),
    ("namespaces", "ns"),
    ("nodes", "no"),
    ("pods", "po"),
    ("replicasets", "rs"),
    ("serviceaccounts", "sa"),
    ("services", "svc"),
];

/// The answer to `/api`, `/apis`, `/api/v1` or `/apis/<group>/<version>`, if the path is one of these and is served.
pub(super) fn answer<'a>(
    path: &str,
    minor: u32,
    definitions: impl Iterator<Item = (&'a Path, &'a Value)>,
) -> Option<Value> {
    let kinds = kinds(minor, definitions);
    // In this order a stable version comes before the beta ones.
    let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (group, version) in kinds.keys().filter_map(|version| version.split_once('/')) {
        let versioned = json!({"groupVersion": format!("{group}/{version}"), "version": version});
        groups.entry(group).or_default().push(versioned);
    }
    let group = |(group, versions): (&&str, &Vec<Value>)| json!({"name": group, "versions": versions, "preferredVersion": versions[0]});
    match path.trim_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        ["apis"] => {
            let groups: Vec<_> = groups.iter().map(group).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["api", "v1"] => Some(list("v1", kinds.get("v1")?)),
        ["apis", name] => {
            let found = groups.get_key_value(name).map(group)?;
            Some(json!({"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": found["versions"],
                "preferredVersion": found["preferredVersion"]}))
        }
        ["apis", name, version] => {
            let version = format!("{name}/{version}");
            Some(list(&version, kinds.get(&version)?))
        }
        _ => None,
    }
}

/// True if a path is of a served kind.
pub(super) fn serves<'a>(
    path: &Path,
    minor: u32,
    mut definitions: impl Iterator<Item = (&'a Path, &'a Value)>,
) -> bool {
    let version = path.root.split_once('/').map_or("", |(_, version)| version);
    let asked = version == "v1" || path.root.starts_with("apis/");
    let own = served_kinds(minor).any(|(known, _, plural, _)| known == version && plural == path.plural);
    let reviews = path.plural.ends_with("accessreviews");
    asked
        && (own
            || reviews
            || definitions.any(|(at, definition)| {
                at.plural == "customresourcedefinitions"
                    && definition["spec"]["names"]["plural"] == path.plural.as_str()
                    && version.starts_with(definition["spec"]["group"].as_str().unwrap_or("?"))
            }))
}

fn list(version: &str, resources: &[Value]) -> Value {
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}

/// Resources by API version: built-in ones, and those of CustomResourceDefinitions.
fn kinds<'a>(minor: u32, definitions: impl Iterator<Item = (&'a Path, &'a Value)>) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut add = |version: String, kind: &str, plural: &str, namespaced: bool| {
        let resources = found.entry(version).or_default();
        if !resources.iter().any(|there| there["name"] == plural) {
            let short: Vec<_> = SHORT.iter().filter(|(of, _)| *of == plural).map(|(_, short)| short).collect();
            resources.push(json!({"name": plural, "singularName": kind.to_lowercase(), "kind": kind,
                "namespaced": namespaced, "verbs": VERBS, "shortNames": short}));
        }
    };
    for (version, kind, plural, namespaced) in served_kinds(minor) {
        add(version.to_owned(), kind, plural, namespaced);
    }
    for (_, definition) in definitions.filter(|(path, _)| path.plural == "customresourcedefinitions") {
        let spec = &definition["spec"];
        let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        for version in spec["versions"].as_array().into_iter().flatten() {
            let version = format!("{}/{}", text("/group"), version["name"].as_str().unwrap_or_default());
            add(version, text("/names/kind"), text("/names/plural"), text("/scope") == "Namespaced");
        }
    }
    found
}
