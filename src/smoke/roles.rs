//! RBAC evaluation of Roles and RoleBindings, where the API server refuses access reviews.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, Subject};
use kube::Api;
use kube::api::ListParams;

use super::access::AccessRule;
use super::check_failure::CheckFailure;
use super::target::CheckContext;

/// The RoleBindings of every namespace, each with the rules of its Role.
#[derive(Debug, Default)]
pub(super) struct Granted {
    by_namespace: BTreeMap<String, Vec<Grant>>,
    /// The number of RoleBindings to ClusterRoles, whose rules cannot be read.
    pub(super) unreadable: usize,
}

/// A RoleBinding's subjects with the rules of its Role.
#[derive(Debug)]
struct Grant {
    subjects: Vec<Subject>,
    rules: Vec<PolicyRule>,
}

/// The grants in every namespace of the sandbox.
pub(super) async fn read(context: &CheckContext<'_>) -> Result<Granted, CheckFailure> {
    let namespaces = context.spec.namespaces();
    let reads = namespaces.iter().map(|namespace| async move {
        let client = context.api.client();
        let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
        let bindings: Api<RoleBinding> = Api::namespaced(client, namespace);
        let everything = ListParams::default();
        let roles = context.api.ask("list roles", roles.list(&everything)).await?.items;
        let bindings = context.api.ask("list rolebindings", bindings.list(&everything)).await?.items;
        Ok::<_, CheckFailure>((namespace.clone(), roles, bindings))
    });
    let mut granted = Granted::default();
    for (namespace, roles, bindings) in try_join_all(reads).await? {
        granted.add(namespace, roles, bindings);
    }
    Ok(granted)
}

impl Granted {
    fn add(&mut self, namespace: String, roles: Vec<Role>, bindings: Vec<RoleBinding>) {
        let rules: BTreeMap<_, _> =
            roles.into_iter().filter_map(|role| Some((role.metadata.name?, role.rules.unwrap_or_default()))).collect();
        let here = self.by_namespace.entry(namespace).or_default();
        for binding in bindings {
            if binding.role_ref.kind != "Role" {
                self.unreadable += 1;
                continue;
            }
            let rules = rules.get(&binding.role_ref.name).cloned().unwrap_or_default();
            here.push(Grant { subjects: binding.subjects.unwrap_or_default(), rules });
        }
    }

    /// True if a Role in the rule's namespace grants it.
    pub(super) fn allows(&self, row: &AccessRule) -> bool {
        let here = self.by_namespace.get(&row.namespace).into_iter().flatten();
        let mut about = here.filter(|grant| grant.subjects.iter().any(|subject| is_of(subject, row)));
        about.any(|grant| grant.rules.iter().any(|rule| grants(rule, row)))
    }
}

fn is_of(subject: &Subject, row: &AccessRule) -> bool {
    let AccessRule { account_namespace: namespace, account, .. } = row;
    match subject.kind.as_str() {
        "ServiceAccount" => subject.name == *account && subject.namespace.as_ref() == Some(namespace),
        "User" => subject.name == format!("system:serviceaccount:{namespace}:{account}"),
        "Group" => {
            let own = format!("system:serviceaccounts:{namespace}");
            [own.as_str(), "system:serviceaccounts", "system:authenticated"].contains(&subject.name.as_str())
        }
        _ => false,
    }
}

fn grants(rule: &PolicyRule, row: &AccessRule) -> bool {
    let has = |list: Option<&Vec<String>>, wanted: &str| {
        list.into_iter().flatten().any(|value| value == wanted || value == "*")
    };
    let resource = if row.subresource.is_empty() {
        row.resource.to_owned()
    } else {
        format!("{}/{}", row.resource, row.subresource)
    };
    let names = rule.resource_names.as_deref().unwrap_or_default();
    has(Some(&rule.verbs), row.verb)
        && has(rule.api_groups.as_ref(), row.group)
        && has(rule.resources.as_ref(), &resource)
        && (names.is_empty() || names.contains(&row.name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::manifest::Bundle;
    use crate::render::render;
    use crate::smoke::access::access_rules;
    use crate::spec::{EngineKind, Spec};

    fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
        serde_json::from_value(value.clone()).expect("of its kind")
    }

    fn spec() -> Spec {
        Spec { engine: Some(EngineKind::Context), ..Spec::default() }
    }

    /// The grants of the rendered Roles, and one more binding in the first project's first namespace.
    fn granted(more: Option<Value>) -> Granted {
        let spec = spec();
        let objects = render(&spec, Bundle::embedded(spec.flyte).expect("built in")).expect("renders").objects;
        let mut granted = Granted::default();
        for namespace in spec.namespaces() {
            let of = |kind: &str| {
                let here =
                    objects.iter().filter(|object| object.kind() == kind && object.namespace() == Some(&namespace));
                here.map(|object| object.value().clone()).collect::<Vec<_>>()
            };
            let mut bindings = of("RoleBinding");
            bindings.extend(more.clone().filter(|_| namespace.ends_with("x-d-dev")));
            granted.add(
                namespace.clone(),
                of("Role").iter().map(typed).collect(),
                bindings.iter().map(typed).collect(),
            );
        }
        granted
    }

    #[test]
    fn the_rendered_roles_grant_what_the_table_allows_and_nothing_that_it_denies() {
        let granted = granted(None);
        let ours = spec().namespaces();
        for row in access_rules(&spec()).iter().filter(|row| ours.contains(&row.namespace)) {
            assert_eq!(granted.allows(row), row.allowed, "{row}");
        }
        assert_eq!(granted.unreadable, 0);
    }

    #[test]
    fn a_binding_of_a_group_reaches_the_accounts_in_it_and_one_to_a_cluster_role_is_counted() {
        let binding = |kind: &str, role: &str| {
            json!({"metadata": {"name": "more"}, "roleRef": {"apiGroup": "", "kind": kind, "name": role},
                "subjects": [{"kind": "Group", "name": "system:serviceaccounts"}]})
        };
        let wide = granted(Some(binding("Role", "flytepropeller-103020-flytepoc-x-d-dev")));
        let excess =
            access_rules(&spec()).into_iter().filter(|row| !row.allowed && wide.allows(row)).map(|row| row.to_string());
        assert!(excess.collect::<Vec<_>>().contains(&"flyteadmin list pods in 103020-flytepoc-x-d-dev".to_owned()));
        assert_eq!(granted(Some(binding("ClusterRole", "view"))).unreadable, 1);
    }
}
