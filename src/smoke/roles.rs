//! What the Roles and RoleBindings of the namespaces grant: all that can be seen where nobody may be asked about.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, Subject};
use kube::Api;
use kube::api::ListParams;

use super::access::Access;
use super::miss::Miss;
use super::target::Context;

/// Of every namespace its RoleBindings, each with the rules of the Role that it is about.
#[derive(Debug, Default)]
pub(super) struct Granted {
    by_namespace: BTreeMap<String, Vec<Grant>>,
    /// Bindings to ClusterRoles, whose rules are not the namespaces'.
    pub(super) unread: usize,
}

/// Who may do what in a namespace.
#[derive(Debug)]
struct Grant {
    subjects: Vec<Subject>,
    rules: Vec<PolicyRule>,
}

/// Reads them in every namespace of the sandbox.
pub(super) async fn read(context: &Context<'_>) -> Result<Granted, Miss> {
    let namespaces = context.spec.namespaces();
    let reads = namespaces.iter().map(|namespace| async move {
        let client = context.api.client();
        let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
        let bindings: Api<RoleBinding> = Api::namespaced(client, namespace);
        let everything = ListParams::default();
        let roles = context.api.ask("list roles", roles.list(&everything)).await?.items;
        let bindings = context.api.ask("list rolebindings", bindings.list(&everything)).await?.items;
        Ok::<_, Miss>((namespace.clone(), roles, bindings))
    });
    let mut granted = Granted::default();
    for (namespace, roles, bindings) in try_join_all(reads).await? {
        granted.take(namespace, roles, bindings);
    }
    Ok(granted)
}

impl Granted {
    fn take(&mut self, namespace: String, roles: Vec<Role>, bindings: Vec<RoleBinding>) {
        let rules: BTreeMap<_, _> =
            roles.into_iter().filter_map(|role| Some((role.metadata.name?, role.rules.unwrap_or_default()))).collect();
        let here = self.by_namespace.entry(namespace).or_default();
        for binding in bindings {
            if binding.role_ref.kind != "Role" {
                self.unread += 1;
                continue;
            }
            let rules = rules.get(&binding.role_ref.name).cloned().unwrap_or_default();
            here.push(Grant { subjects: binding.subjects.unwrap_or_default(), rules });
        }
    }

    /// Whether a Role of the question's namespace grants it.
    pub(super) fn allows(&self, row: &Access) -> bool {
        let here = self.by_namespace.get(&row.namespace).into_iter().flatten();
        let mut about = here.filter(|grant| grant.subjects.iter().any(|subject| is_of(subject, row)));
        about.any(|grant| grant.rules.iter().any(|rule| grants(rule, row)))
    }
}

fn is_of(subject: &Subject, row: &Access) -> bool {
    let Access { account_namespace: namespace, account, .. } = row;
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

fn grants(rule: &PolicyRule, row: &Access) -> bool {
    let has = |list: Option<&Vec<String>>, wanted: &str| {
        list.into_iter().flatten().any(|given| given == wanted || given == "*")
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
    use crate::smoke::access::table;
    use crate::spec::{EngineKind, Spec};

    fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
        serde_json::from_value(value.clone()).expect("of its kind")
    }

    fn spec() -> Spec {
        Spec { engine: Some(EngineKind::Context), ..Spec::default() }
    }

    /// What the rendered Roles grant, and one binding more in the first project's first namespace.
    fn granted(more: Option<Value>) -> Granted {
        let spec = spec();
        let objects = render(&spec, Bundle::embedded().expect("built in")).expect("renders").objects;
        let mut granted = Granted::default();
        for namespace in spec.namespaces() {
            let of = |kind: &str| {
                let here =
                    objects.iter().filter(|object| object.kind() == kind && object.namespace() == Some(&namespace));
                here.map(|object| object.value().clone()).collect::<Vec<_>>()
            };
            let mut bindings = of("RoleBinding");
            bindings.extend(more.clone().filter(|_| namespace.ends_with("x-d-dev")));
            granted.take(
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
        for row in table(&spec()).iter().filter(|row| ours.contains(&row.namespace)) {
            assert_eq!(granted.allows(row), row.allowed, "{row}");
        }
        assert_eq!(granted.unread, 0);
    }

    #[test]
    fn a_binding_of_a_group_reaches_the_accounts_in_it_and_one_to_a_cluster_role_is_counted() {
        let binding = |kind: &str, role: &str| {
            json!({"metadata": {"name": "more"}, "roleRef": {"apiGroup": "", "kind": kind, "name": role},
                "subjects": [{"kind": "Group", "name": "system:serviceaccounts"}]})
        };
        let wide = granted(Some(binding("Role", "flytepropeller-103020-flytepoc-x-d-dev")));
        let excess =
            table(&spec()).into_iter().filter(|row| !row.allowed && wide.allows(row)).map(|row| row.to_string());
        assert!(excess.collect::<Vec<_>>().contains(&"flyteadmin list pods in 103020-flytepoc-x-d-dev".to_owned()));
        assert_eq!(granted(Some(binding("ClusterRole", "view"))).unread, 1);
    }
}
