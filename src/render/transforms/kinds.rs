//! `kinds`: no objects that the chosen Kubernetes does not serve, and none that would keep pods from one small node.

use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use crate::manifest::{is_own_group, unserved};

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
    let (_, minor) = context.spec.kubernetes_minor();
    for object in &draft.objects {
        let (version, kind) = (object.api_version(), object.kind());
        let group = version.split_once('/').map_or("", |(group, _)| group);
        if let Some((_, why, effect)) = UNWANTED.iter().find(|(unwanted, ..)| *unwanted == kind) {
            gone.push((object.clone(), *effect, format!("is left out: {why}")));
        } else if defined.iter().any(|one| one == group) {
        } else if !is_own_group(version) {
            let why = format!(
                "is left out: no CustomResourceDefinition of {group} is among the manifests, so Kubernetes does not know the kind"
            );
            gone.push((object.clone(), Effect::Differs, why));
        } else if let Some(why) = unserved(version, kind, minor) {
            gone.push((object.clone(), Effect::Differs, format!("is left out: {why}")));
        }
    }
    draft.objects.retain(|object| !gone.iter().any(|(one, ..)| one.reference() == object.reference()));
    for (object, effect, message) in gone {
        draft.warn(effect, &object, message);
    }
    Ok(())
}
