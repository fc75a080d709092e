//! `kinds`: no objects that the chosen Kubernetes does not serve, and none that would keep pods from one small node.

use super::super::component::component_of;
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use crate::manifest::Object;

/// Kinds of Kubernetes' own, whatever their version, that do more harm than good on one node, and why.
const UNWANTED: [(&str, &str, Effect); 10] = [
    (
        "HorizontalPodAutoscaler",
        "nothing measures load in a sandbox, and one pod of each component runs",
        Effect::Harmless,
    ),
    ("VerticalPodAutoscaler", "nothing measures load in a sandbox", Effect::Harmless),
    ("PodDisruptionBudget", "there is one node, which nobody drains", Effect::Harmless),
    (
        "ResourceQuota",
        "a quota would keep the sandbox's own pods from starting; nothing limits tasks together",
        Effect::Differs,
    ),
    (
        "LimitRange",
        "limits of others would keep the sandbox's own pods from starting; tasks have Flyte's defaults",
        Effect::Differs,
    ),
    (
        "PodSecurityPolicy",
        "Kubernetes 1.25 removed the kind, and a sandbox's node does not look at it",
        Effect::Harmless,
    ),
    ("HelmChart", "it would have k3s install a chart from the network", Effect::Differs),
    ("HelmChartConfig", "it is for charts that a sandbox's node does not have", Effect::Harmless),
    ("Addon", "it is k3s' own", Effect::Harmless),
    ("RuntimeClass", "the node has one runtime", Effect::Harmless),
];

/// Groups that Kubernetes serves itself.
const GROUPS: [&str; 19] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
];

/// Further groups that Kubernetes serves itself.
const MORE_GROUPS: [&str; 2] = ["scheduling.k8s.io", "storage.k8s.io"];

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    if !context.spec.scope().owns_cluster {
        return Ok(());
    }
    let defined: Vec<String> = draft
        .objects
        .iter()
        .filter(|object| object.kind() == "CustomResourceDefinition")
        .filter_map(|object| object.get("/spec/group")?.as_str().map(str::to_owned))
        .collect();
    let mut gone = Vec::new();
    for object in draft.objects.iter().filter(|object| component_of(object).is_none() || !is_kept_kind(object)) {
        let group = object.api_version().split_once('/').map_or("", |(group, _)| group);
        if let Some((_, why, effect)) = UNWANTED.iter().find(|(kind, ..)| *kind == object.kind()) {
            gone.push((object.clone(), *effect, format!("is left out: {why}")));
        } else if !GROUPS.contains(&group) && !MORE_GROUPS.contains(&group) && !defined.iter().any(|one| one == group) {
            let why = format!(
                "is left out: no CustomResourceDefinition of {group} is among the manifests, so Kubernetes does not know the kind"
            );
            gone.push((object.clone(), Effect::Differs, why));
        }
    }
    draft.objects.retain(|object| !gone.iter().any(|(one, ..)| one.reference() == object.reference()));
    for (object, effect, message) in gone {
        draft.warn(effect, &object, message);
    }
    Ok(())
}

/// Kinds that components are made of; nothing of them is left out here.
fn is_kept_kind(object: &Object) -> bool {
    matches!(object.api_version(), "v1" | "apps/v1") && !matches!(object.kind(), "ResourceQuota" | "LimitRange")
}
