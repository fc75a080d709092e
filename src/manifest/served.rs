//! The kinds that Kubernetes serves itself, by its minor version.

/// A kind: its name, its plural, and whether it is namespaced.
type Kind = (&'static str, &'static str, bool);

/// An API version, the minor version of Kubernetes that came with it (21, the oldest of a sandbox, for all before), the one
/// that removed it (0 where none has), and its kinds.
type Row = (&'static str, u32, u32, &'static [Kind]);

const HPA: &[Kind] = &[("HorizontalPodAutoscaler", "horizontalpodautoscalers", true)];
const FLOW: &[Kind] =
    &[("FlowSchema", "flowschemas", false), ("PriorityLevelConfiguration", "prioritylevelconfigurations", false)];
const WEBHOOKS: &[Kind] = &[
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false),
];
const DEFINITION: &[Kind] = &[("CustomResourceDefinition", "customresourcedefinitions", false)];
const SERVICE: &[Kind] = &[("APIService", "apiservices", false)];
const TOKEN: &[Kind] = &[("TokenReview", "tokenreviews", false)];
const REVIEWS: &[Kind] = &[
    ("LocalSubjectAccessReview", "localsubjectaccessreviews", true),
    ("SelfSubjectAccessReview", "selfsubjectaccessreviews", false),
    ("SelfSubjectRulesReview", "selfsubjectrulesreviews", false),
    ("SubjectAccessReview", "subjectaccessreviews", false),
];
const CERTIFICATE: &[Kind] = &[("CertificateSigningRequest", "certificatesigningrequests", false)];
const LEASE: &[Kind] = &[("Lease", "leases", true)];
const CRON: &[Kind] = &[("CronJob", "cronjobs", true)];
const SLICE: &[Kind] = &[("EndpointSlice", "endpointslices", true)];
const EVENT: &[Kind] = &[("Event", "events", true)];
const INGRESS: &[Kind] = &[("Ingress", "ingresses", true)];
const INGRESS_CLASS: &[Kind] = &[("IngressClass", "ingressclasses", false)];
const RUNTIME: &[Kind] = &[("RuntimeClass", "runtimeclasses", false)];
const BUDGET: &[Kind] = &[("PodDisruptionBudget", "poddisruptionbudgets", true)];
const RBAC: &[Kind] = &[
    ("ClusterRole", "clusterroles", false),
    ("ClusterRoleBinding", "clusterrolebindings", false),
    ("Role", "roles", true),
    ("RoleBinding", "rolebindings", true),
];
const PRIORITY: &[Kind] = &[("PriorityClass", "priorityclasses", false)];
const STORAGE: &[Kind] = &[
    ("CSIDriver", "csidrivers", false),
    ("CSINode", "csinodes", false),
    ("StorageClass", "storageclasses", false),
    ("VolumeAttachment", "volumeattachments", false),
];
const CAPACITY: &[Kind] = &[("CSIStorageCapacity", "csistoragecapacities", true)];

const ROWS: &[Row] = &[
    (
        "v1",
        21,
        0,
        &[
            ("Binding", "bindings", true),
            ("ComponentStatus", "componentstatuses", false),
            ("ConfigMap", "configmaps", true),
            ("Endpoints", "endpoints", true),
            ("Event", "events", true),
            ("LimitRange", "limitranges", true),
            ("Namespace", "namespaces", false),
            ("Node", "nodes", false),
            ("PersistentVolume", "persistentvolumes", false),
            ("PersistentVolumeClaim", "persistentvolumeclaims", true),
            ("Pod", "pods", true),
            ("PodTemplate", "podtemplates", true),
            ("ReplicationController", "replicationcontrollers", true),
            ("ResourceQuota", "resourcequotas", true),
            ("Secret", "secrets", true),
            ("Service", "services", true),
            ("ServiceAccount", "serviceaccounts", true),
        ],
    ),
    ("admissionregistration.k8s.io/v1", 21, 0, WEBHOOKS),
    ("admissionregistration.k8s.io/v1beta1", 21, 22, WEBHOOKS),
    (
        "admissionregistration.k8s.io/v1",
        30,
        0,
        &[
            ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", false),
            ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false),
        ],
    ),
    ("apiextensions.k8s.io/v1", 21, 0, DEFINITION),
    ("apiextensions.k8s.io/v1beta1", 21, 22, DEFINITION),
    ("apiregistration.k8s.io/v1", 21, 0, SERVICE),
    ("apiregistration.k8s.io/v1beta1", 21, 22, SERVICE),
    (
        "apps/v1",
        21,
        0,
        &[
            ("ControllerRevision", "controllerrevisions", true),
            ("DaemonSet", "daemonsets", true),
            ("Deployment", "deployments", true),
            ("ReplicaSet", "replicasets", true),
            ("StatefulSet", "statefulsets", true),
        ],
    ),
    ("authentication.k8s.io/v1", 21, 0, TOKEN),
    ("authentication.k8s.io/v1beta1", 21, 22, TOKEN),
    ("authentication.k8s.io/v1", 28, 0, &[("SelfSubjectReview", "selfsubjectreviews", false)]),
    ("authorization.k8s.io/v1", 21, 0, REVIEWS),
    ("authorization.k8s.io/v1beta1", 21, 22, REVIEWS),
    ("autoscaling/v1", 21, 0, HPA),
    ("autoscaling/v2", 23, 0, HPA),
    ("autoscaling/v2beta1", 21, 25, HPA),
    ("autoscaling/v2beta2", 21, 26, HPA),
    ("batch/v1", 21, 0, CRON),
    ("batch/v1", 21, 0, &[("Job", "jobs", true)]),
    ("batch/v1beta1", 21, 25, CRON),
    ("certificates.k8s.io/v1", 21, 0, CERTIFICATE),
    ("certificates.k8s.io/v1beta1", 21, 22, CERTIFICATE),
    ("coordination.k8s.io/v1", 21, 0, LEASE),
    ("coordination.k8s.io/v1beta1", 21, 22, LEASE),
    ("discovery.k8s.io/v1", 21, 0, SLICE),
    ("discovery.k8s.io/v1beta1", 21, 25, SLICE),
    ("events.k8s.io/v1", 21, 0, EVENT),
    ("events.k8s.io/v1beta1", 21, 25, EVENT),
    ("extensions/v1beta1", 21, 22, INGRESS),
    ("flowcontrol.apiserver.k8s.io/v1", 29, 0, FLOW),
    ("flowcontrol.apiserver.k8s.io/v1beta1", 21, 26, FLOW),
    ("flowcontrol.apiserver.k8s.io/v1beta2", 23, 29, FLOW),
    ("flowcontrol.apiserver.k8s.io/v1beta3", 26, 32, FLOW),
    ("networking.k8s.io/v1", 21, 0, INGRESS),
    ("networking.k8s.io/v1", 21, 0, INGRESS_CLASS),
    ("networking.k8s.io/v1", 21, 0, &[("NetworkPolicy", "networkpolicies", true)]),
    ("networking.k8s.io/v1", 33, 0, &[("IPAddress", "ipaddresses", false), ("ServiceCIDR", "servicecidrs", false)]),
    ("networking.k8s.io/v1beta1", 21, 22, INGRESS),
    ("networking.k8s.io/v1beta1", 21, 22, INGRESS_CLASS),
    ("node.k8s.io/v1", 21, 0, RUNTIME),
    ("node.k8s.io/v1beta1", 21, 25, RUNTIME),
    ("policy/v1", 21, 0, BUDGET),
    ("policy/v1beta1", 21, 25, BUDGET),
    ("policy/v1beta1", 21, 25, &[("PodSecurityPolicy", "podsecuritypolicies", false)]),
    ("rbac.authorization.k8s.io/v1", 21, 0, RBAC),
    ("rbac.authorization.k8s.io/v1beta1", 21, 22, RBAC),
    ("scheduling.k8s.io/v1", 21, 0, PRIORITY),
    ("scheduling.k8s.io/v1beta1", 21, 22, PRIORITY),
    ("storage.k8s.io/v1", 21, 0, STORAGE),
    ("storage.k8s.io/v1", 24, 0, CAPACITY),
    ("storage.k8s.io/v1beta1", 21, 22, STORAGE),
    ("storage.k8s.io/v1beta1", 21, 27, CAPACITY),
];

const fn is_in(row: &Row, minor: u32) -> bool {
    row.1 <= minor && (row.2 == 0 || minor < row.2)
}

/// The kinds of Kubernetes `1.minor`: API version, kind, plural, and whether it is namespaced.
pub(crate) fn served_kinds(minor: u32) -> impl Iterator<Item = (&'static str, &'static str, &'static str, bool)> {
    let rows = ROWS.iter().filter(move |row| is_in(row, minor));
    rows.flat_map(|(version, .., kinds)| {
        kinds.iter().map(move |(kind, plural, within)| (*version, *kind, *plural, *within))
    })
}

/// Whether an API version is of a group of Kubernetes' own.
pub(crate) fn is_own_group(api_version: &str) -> bool {
    let group = |version: &str| version.split_once('/').map_or("", |(group, _)| group).to_owned();
    ROWS.iter().any(|(version, ..)| group(version) == group(api_version))
}

/// Why Kubernetes `1.minor` does not serve a kind of a group of its own; none where it does.
pub(crate) fn unserved(api_version: &str, kind: &str, minor: u32) -> Option<String> {
    let mut rows = ROWS
        .iter()
        .filter(|(version, .., kinds)| *version == api_version && kinds.iter().any(|(one, ..)| *one == kind));
    match rows.next() {
        Some(row) if is_in(row, minor) => None,
        Some((_, since, ..)) if minor < *since => {
            Some(format!("{api_version} came with Kubernetes 1.{since}, and this sandbox has 1.{minor}"))
        }
        Some((.., until, _)) => {
            Some(format!("Kubernetes 1.{until} removed {api_version}, and this sandbox has 1.{minor}"))
        }
        None => Some(format!("no Kubernetes of a sandbox serves {kind} as {api_version}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_goes_by_the_minor_version() {
        for (version, kind, minor, told) in [
            ("batch/v1beta1", "CronJob", 24, None),
            ("batch/v1beta1", "CronJob", 25, Some("Kubernetes 1.25 removed batch/v1beta1")),
            ("extensions/v1beta1", "Ingress", 22, Some("Kubernetes 1.22 removed extensions/v1beta1")),
            ("autoscaling/v2", "HorizontalPodAutoscaler", 21, Some("came with Kubernetes 1.23")),
            ("autoscaling/v2", "HorizontalPodAutoscaler", 23, None),
            ("storage.k8s.io/v1beta1", "CSIStorageCapacity", 26, None),
            ("storage.k8s.io/v1beta1", "CSIDriver", 26, Some("Kubernetes 1.22 removed storage.k8s.io/v1beta1")),
            ("apps/v1beta2", "Deployment", 21, Some("no Kubernetes of a sandbox serves Deployment as apps/v1beta2")),
            ("v1", "Deployment", 33, Some("no Kubernetes of a sandbox serves Deployment as v1")),
        ] {
            let why = unserved(version, kind, minor);
            assert_eq!(why.is_some(), told.is_some(), "{version} {kind} 1.{minor}: {why:?}");
            assert!(why.unwrap_or_default().contains(told.unwrap_or_default()), "{version} {kind} 1.{minor}");
            let listed = served_kinds(minor).any(|(one, name, ..)| one == version && name == kind);
            assert_eq!(listed, told.is_none(), "{version} {kind} 1.{minor}");
        }
        assert!(is_own_group("batch/v7") && !is_own_group("monitoring.coreos.com/v1"));
    }
}
