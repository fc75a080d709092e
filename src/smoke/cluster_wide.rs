//! R3: no ClusterRole or ClusterRoleBinding of the sandbox, or for its ServiceAccounts.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Subject};
use kube::Api;
use kube::api::{ListParams, ObjectMeta};

use crate::flyte::labels::{MANAGED_BY, MANAGER};

use super::check_failure::{CheckFailure, CheckResult};
use super::target::CheckContext;

pub(super) async fn nothing(context: &CheckContext<'_>) -> CheckResult {
    if !context.spec.scope().owns_cluster {
        return Err(CheckFailure::skip(
            "ClusterRoles and ClusterRoleBindings cannot be read with rights in namespaces; the sandbox applies none",
        ));
    }
    let client = context.api.client();
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(client);
    let everything = ListParams::default();
    let (roles, bindings) = tokio::join!(
        context.api.ask("list clusterroles", roles.list(&everything)),
        context.api.ask("list clusterrolebindings", bindings.list(&everything)),
    );
    let (roles, bindings) = (roles?.items, bindings?.items);

    let mut namespaces: BTreeSet<String> =
        context.spec.workflow_namespaces().into_iter().map(|namespace| namespace.name).collect();
    namespaces.insert(context.spec.system_namespace());
    let found = roles
        .iter()
        .filter(|role| ours(&role.metadata))
        .map(|role| named("clusterrole", &role.metadata, "it is the sandbox's"))
        .chain(bindings.iter().filter_map(|binding| {
            let why = if ours(&binding.metadata) {
                "it is the sandbox's".to_owned()
            } else {
                reaches(binding.subjects.iter().flatten(), &namespaces)?
            };
            Some(named("clusterrolebinding", &binding.metadata, &why))
        }));
    let mut found = found.collect::<Vec<_>>().into_iter();
    match found.next() {
        None => Ok(format!("{} ClusterRoles and {} bindings checked", roles.len(), bindings.len())),
        Some((object, why)) => Err(CheckFailure::new(object.clone(), why)
            .evidence(found.map(|(object, why)| format!("{object}: {why}")))
            .hint(format!("`kubectl delete {}`, or find out who made it", object.replace(' ', "/")))
            .final_answer()),
    }
}

fn ours(metadata: &ObjectMeta) -> bool {
    metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|value| value == MANAGER)
}

fn named(kind: &str, metadata: &ObjectMeta, why: &str) -> (String, String) {
    (format!("{kind} {}", metadata.name.as_deref().unwrap_or_default()), why.to_owned())
}

/// The first subject that is a ServiceAccount of the sandbox, or all of a namespace's.
fn reaches<'a>(subjects: impl IntoIterator<Item = &'a Subject>, namespaces: &BTreeSet<String>) -> Option<String> {
    subjects.into_iter().find_map(|subject| match subject.kind.as_str() {
        "ServiceAccount" => {
            let namespace = subject.namespace.as_ref().filter(|namespace| namespaces.contains(*namespace))?;
            Some(format!("it names ServiceAccount {namespace}/{}", subject.name))
        }
        "Group" => {
            let namespace = subject.name.strip_prefix("system:serviceaccounts:")?;
            namespaces.contains(namespace).then(|| format!("it names all ServiceAccounts of {namespace}"))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Subject, reaches};

    #[test]
    fn only_subjects_of_our_namespaces_count() {
        let subject = |kind: &str, name: &str, namespace: Option<&str>| Subject {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            api_group: None,
        };
        let table = [
            (subject("ServiceAccount", "a", Some("ours")), Some("it names ServiceAccount ours/a")),
            (subject("ServiceAccount", "a", Some("theirs")), None),
            (subject("Group", "system:serviceaccounts:ours", None), Some("it names all ServiceAccounts of ours")),
            (subject("Group", "system:authenticated", None), None),
            (subject("User", "ours", None), None),
        ];
        for (subject, expected) in table {
            let ours = BTreeSet::from(["ours".to_owned()]);
            assert_eq!(reaches([&subject], &ours).as_deref(), expected, "{subject:?}");
        }
    }
}
