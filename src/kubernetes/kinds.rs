//! Where a kind lives in the API, and whether it is namespaced.
//!
//! What we apply ourselves stands in a table, so that it costs no request; anything else is asked from its own group
//! only: a discovery of all groups fails as a whole while one aggregated API does not answer.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::discovery::{self, Scope};

use crate::flyte::workflow;
use crate::manifest::Collection;

/// A kind in the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Group, version, kind and plural.
    pub api: ApiResource,
    /// Namespaced or not.
    pub scope: Scope,
}

impl Resource {
    /// The endpoint for objects of this kind, in a namespace where the kind is namespaced.
    #[must_use]
    pub fn endpoint(&self, client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match (&self.scope, namespace) {
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, &self.api),
            (Scope::Namespaced, None) => Api::default_namespaced_with(client.clone(), &self.api),
            (Scope::Cluster, _) => self.everywhere(client),
        }
    }

    /// The endpoint for the objects of this kind in all namespaces.
    #[must_use]
    pub fn everywhere(&self, client: &Client) -> Api<DynamicObject> {
        Api::all_with(client.clone(), &self.api)
    }
}

const NAMESPACED: &[(&str, &[(&str, &str)])] = &[
    (
        "v1",
        &[
            ("ConfigMap", "configmaps"),
            ("Endpoints", "endpoints"),
            ("Event", "events"),
            ("LimitRange", "limitranges"),
            ("PersistentVolumeClaim", "persistentvolumeclaims"),
            ("Pod", "pods"),
            ("ResourceQuota", "resourcequotas"),
            ("Secret", "secrets"),
            ("Service", "services"),
            ("ServiceAccount", "serviceaccounts"),
        ],
    ),
    (
        "apps/v1",
        &[
            ("DaemonSet", "daemonsets"),
            ("Deployment", "deployments"),
            ("ReplicaSet", "replicasets"),
            ("StatefulSet", "statefulsets"),
        ],
    ),
    ("batch/v1", &[("CronJob", "cronjobs"), ("Job", "jobs")]),
    ("networking.k8s.io/v1", &[("Ingress", "ingresses"), ("NetworkPolicy", "networkpolicies")]),
    ("policy/v1", &[("PodDisruptionBudget", "poddisruptionbudgets")]),
    ("rbac.authorization.k8s.io/v1", &[("Role", "roles"), ("RoleBinding", "rolebindings")]),
    (workflow::API_VERSION, &[(workflow::KIND, workflow::PLURAL)]),
];

const CLUSTER_SCOPED: &[(&str, &[(&str, &str)])] = &[
    ("v1", &[("Namespace", "namespaces"), ("Node", "nodes"), ("PersistentVolume", "persistentvolumes")]),
    ("apiextensions.k8s.io/v1", &[("CustomResourceDefinition", "customresourcedefinitions")]),
    ("rbac.authorization.k8s.io/v1", &[("ClusterRole", "clusterroles"), ("ClusterRoleBinding", "clusterrolebindings")]),
    ("storage.k8s.io/v1", &[("StorageClass", "storageclasses")]),
];

fn parse(api_version: &str, kind: &str) -> GroupVersionKind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    GroupVersionKind::gvk(group, version, kind)
}

/// A kind of the table; no request.
pub(crate) fn known(api_version: &str, kind: &str) -> Option<Resource> {
    let find = |table: &[(&str, &[(&str, &str)])]| {
        let (_, kinds) = table.iter().find(|(version, _)| *version == api_version)?;
        let (_, plural) = kinds.iter().find(|(name, _)| *name == kind)?;
        Some(ApiResource::from_gvk_with_plural(&parse(api_version, kind), plural))
    };
    let namespaced = find(NAMESPACED).map(|api| Resource { api, scope: Scope::Namespaced });
    namespaced.or_else(|| find(CLUSTER_SCOPED).map(|api| Resource { api, scope: Scope::Cluster }))
}

/// Group, version, kind and plural; the plural is guessed as most are made where the table has it not.
pub(crate) fn api_resource(api_version: &str, kind: &str) -> ApiResource {
    let known = known(api_version, kind).map(|resource| resource.api);
    known.unwrap_or_else(|| ApiResource::from_gvk(&parse(api_version, kind)))
}

/// The API resource of a collection: from the table, or by a discovery of its group.
///
/// # Errors
/// The API's answer; a 404 where the group is not served (yet).
pub async fn resolve(client: &Client, collection: &Collection) -> Result<Resource, kube::Error> {
    if let Some(resource) = known(&collection.api_version, &collection.kind) {
        return Ok(resource);
    }
    let (api, capabilities) = discovery::pinned_kind(client, &parse(&collection.api_version, &collection.kind)).await?;
    Ok(Resource { api, scope: capabilities.scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_knows_group_plural_and_scope() {
        let role = known("rbac.authorization.k8s.io/v1", "Role").expect("a known kind");
        assert_eq!((role.api.group.as_str(), role.api.plural.as_str()), ("rbac.authorization.k8s.io", "roles"));
        assert_eq!(role.scope, Scope::Namespaced);
        let namespace = known("v1", "Namespace").expect("a known kind");
        assert_eq!((namespace.api.group.as_str(), namespace.scope), ("", Scope::Cluster));
    }

    #[test]
    fn other_versions_of_a_known_group_are_not_guessed() {
        assert_eq!(known("rbac.authorization.k8s.io/v1beta1", "Role"), None);
        assert_eq!(known("v1", "Deployment"), None);
    }
}
