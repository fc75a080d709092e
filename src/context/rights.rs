//! Permissions of the user who runs `up`: a pure table from the objects.
//!
//! Kubernetes refuses to grant permissions that one does not have, so those of the components' Roles are among them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::flyte::workflow;
use crate::kubernetes::api_resource;
use crate::manifest::Object;
use crate::spec::Spec;

/// A permission in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The namespace.
    pub namespace: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource, plural, with its subresource if any: `pods/log`.
    pub resource: String,
    /// The object's name, or empty for any.
    pub name: String,
    /// The verb, such as `patch`.
    pub verb: String,
}

/// Verbs for every kind that is applied.
const APPLY: [&str; 5] = ["list", "get", "create", "patch", "delete"];

/// More permissions in the system namespace: for the rollout, logs and port-forwards.
const SYSTEM: [(&str, &str, &[&str]); 8] = [
    ("apps", "deployments", &["watch"]),
    ("apps", "replicasets", &["list", "watch"]),
    ("", "pods", &["get", "list", "watch"]),
    ("", "events", &["list", "watch"]),
    ("", "pods/log", &["get"]),
    // Metrics of propellers.
    ("", "pods/proxy", &["get"]),
    // Projects are registered with admin by its Service.
    ("", "services/proxy", &["get", "create", "update"]),
    // An upgrade of a GET, which a new API server takes for a creation.
    ("", "pods/portforward", &["get", "create"]),
];

/// More permissions on the locks of the propellers: who holds them, and to let them go.
const LOCKS: [&str; 3] = ["get", "list", "delete"];

/// More permissions in a workflow namespace: for the smoke workflow.
const WORKFLOWS: [(&str, &str, &[&str]); 3] = [
    (workflow::GROUP, workflow::PLURAL, &["get", "list", "delete", "patch"]),
    ("", "pods", &["get", "list"]),
    ("", "events", &["list"]),
];

/// The permission for access reviews. Without it `smoke` skips R1 and R2; `up` does not need it.
pub(super) const REVIEW: (&str, &str, &str) = ("authorization.k8s.io", "localsubjectaccessreviews", "create");

/// Every permission that `up`, `smoke` and `down` need for these objects, in order and each once.
#[must_use]
pub fn rights(spec: &Spec, objects: &[Object]) -> Vec<Right> {
    let mut rights = BTreeSet::new();
    let system = spec.system_namespace();
    let mut add = |namespace: &str, group: &str, resource: &str, name: &str, verb: &str| {
        let [namespace, group, resource, name, verb] = [namespace, group, resource, name, verb].map(str::to_owned);
        rights.insert(Right { namespace, group, resource, name, verb });
    };
    // The inventory is a Secret.
    for verb in APPLY {
        add(&system, "", "secrets", "", verb);
    }
    for object in objects {
        let Some(namespace) = object.namespace() else { continue };
        let group = object.api_version().split_once('/').map_or("", |(group, _)| group);
        let resource = api_resource(object.api_version(), object.kind()).plural;
        for verb in APPLY {
            add(namespace, group, &resource, "", verb);
        }
        for (group, resource, name, verb) in granted(object) {
            add(namespace, group, resource, name, verb);
        }
    }
    let besides =
        |namespace: &str, table: &[(&str, &str, &[&str])], add: &mut dyn FnMut(&str, &str, &str, &str, &str)| {
            for (group, resource, verbs) in table {
                verbs.iter().for_each(|verb| add(namespace, group, resource, "", verb));
            }
        };
    besides(&system, &SYSTEM, &mut add);
    let election = spec.flyte.facts().election;
    besides(&system, &[(election.group(), election.plural(), &LOCKS)], &mut add);
    for workflow in spec.workflow_namespaces() {
        besides(&workflow.name, &WORKFLOWS, &mut add);
    }
    without_repetition(rights)
}

/// The permissions without those for a name where any name is allowed.
fn without_repetition(rights: BTreeSet<Right>) -> Vec<Right> {
    let any = |right: &Right| Right { name: String::new(), ..right.clone() };
    rights.iter().filter(|right| right.name.is_empty() || !rights.contains(&any(right))).cloned().collect()
}

/// The permissions of a Role: group, resource, name, verb.
fn granted(object: &Object) -> impl Iterator<Item = (&str, &str, &str, &str)> {
    let rules = object.get("/rules").filter(|_| object.kind() == "Role").and_then(Value::as_array);
    rules.into_iter().flatten().flat_map(|rule| {
        let texts = |key: &str| {
            let values = rule.get(key).and_then(Value::as_array).into_iter().flatten();
            values.filter_map(Value::as_str).collect::<Vec<_>>()
        };
        let (groups, resources, verbs, mut names) =
            (texts("apiGroups"), texts("resources"), texts("verbs"), texts("resourceNames"));
        if names.is_empty() {
            names.push("");
        }
        let mut all = Vec::new();
        for group in &groups {
            for resource in &resources {
                for name in &names {
                    all.extend(verbs.iter().map(|verb| (*group, *resource, *name, *verb)));
                }
            }
        }
        all
    })
}

/// Permissions by namespace, group, resource and name, each with its verbs, as in a Role.
pub(super) type Rules<'a> = BTreeMap<(&'a str, &'a str, &'a str, &'a str), Vec<&'a str>>;

/// The permissions as rules of Roles.
pub(super) fn rules<'a>(rights: impl IntoIterator<Item = &'a Right>) -> Rules<'a> {
    let mut rules = Rules::new();
    for Right { namespace, group, resource, name, verb } in rights {
        rules.entry((namespace, group, resource, name)).or_default().push(verb);
    }
    rules
}

impl fmt::Display for Right {
    /// For example `list deployments.apps in 103020-flytepoc-dev`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in {}", self.verb, shown(&self.group, &self.resource, &self.name), self.namespace)
    }
}

/// A resource as kubectl takes it: `deployments.apps`, `pods/log`; with the object's name where there is one.
pub(super) fn shown(group: &str, resource: &str, name: &str) -> String {
    let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
    let mut text = resource.to_owned();
    for (separator, part) in [(".", group), ("/", sub), (" ", name)] {
        if !part.is_empty() {
            text.push_str(separator);
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::manifest::Bundle;
    use crate::render::render;
    use crate::spec::EngineKind;

    fn rights_of(projects: &[&str]) -> Vec<Right> {
        let mut spec = Spec { engine: Some(EngineKind::Context), ..Spec::default() };
        spec.projects = projects.iter().map(ToString::to_string).collect();
        spec.domains.truncate(1);
        let rendered = render(&spec, Bundle::embedded(spec.flyte).expect("built in")).expect("renders");
        rights(&spec, &rendered.objects)
    }

    #[test]
    fn the_table_of_one_project() {
        let rights = rights_of(&["x"]);
        let mut text = String::new();
        for ((namespace, group, resource, name), verbs) in rules(&rights) {
            let _ = writeln!(text, "{namespace}: {} {}", verbs.join(","), shown(group, resource, name));
        }
        insta::assert_snapshot!("rights", text);
    }

    #[test]
    fn nothing_outside_the_namespaces_and_nothing_twice() {
        let rights = rights_of(&["x", "y"]);
        assert!(rights.iter().all(|right| right.namespace.starts_with("103020-flytepoc-")));
        assert!(rights.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(rights.iter().all(|right| !["*", "escalate", "bind"].contains(&right.verb.as_str())));
    }
}
