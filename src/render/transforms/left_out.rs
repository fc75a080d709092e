//! `left-out`: parts of later Flytes that need the whole cluster, or serve nobody in a sandbox. Left in without the
//! permissions that a sandbox never gives, each would fail, and the rollout with it.

use serde_json::Value;

use super::super::component::{component_of, is_workload};
use super::super::context::{Context, Draft, Warning};
use super::super::error::RenderError;
use crate::manifest::Object;

/// What upstream calls a part, in a label or at the end of a name, and why it is left out.
const PARTS: [(&str, &str); 5] = [
    (
        "flyte-pod-webhook",
        "it registers a webhook for the whole cluster; tasks that ask for Flyte's secrets will not get any",
    ),
    ("syncresources", SYNC),
    ("sparkoperator", "it needs permissions in the whole cluster; Spark tasks will not run"),
    ("dashboard-metrics-scraper", "the dashboard of a sandbox is for task logs"),
    ("redoc", "it only serves admin's API description, from an image without a version"),
];

const SYNC: &str = "the sandbox makes the workflow namespaces itself, and it needs permissions in the whole cluster; what \
                    else is in the cluster-resource templates, such as quotas, is not made";

/// What admin's program is told in a container that does the same as the part `syncresources`.
const SYNC_COMMAND: &str = "clusterresource";

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let gone: Vec<Object> = draft.objects.iter().filter(|object| part(object).is_some()).cloned().collect();
    draft.objects.retain(|object| part(object).is_none());
    for (object, why) in gone.iter().filter(|object| is_workload(object)).filter_map(|one| Some((one, part(one)?))) {
        draft.warn(object, format!("is left out: {why}"));
    }
    let mut warnings = Vec::new();
    for object in draft.objects.iter_mut().filter(|object| component_of(object).is_some()) {
        let reference = object.reference();
        for list in ["initContainers", "containers"] {
            let containers = object.pod_spec_mut().and_then(|pod| pod.get_mut(list)).and_then(Value::as_array_mut);
            let Some(containers) = containers else { continue };
            for gone in containers.extract_if(.., |container| syncs(container)) {
                let message =
                    format!("runs without {}: the sandbox makes the workflow namespaces itself", gone["name"]);
                warnings.push(Warning { object: reference.clone(), message });
            }
        }
    }
    draft.warnings.extend(warnings);
    Ok(())
}

fn syncs(container: &Value) -> bool {
    let words = ["command", "args"].into_iter().filter_map(|list| container.get(list)?.as_array()).flatten();
    words.into_iter().any(|word| word == SYNC_COMMAND)
}

/// Why an object is left out, if it belongs to such a part.
fn part(object: &Object) -> Option<&'static str> {
    let labels = ["app.kubernetes.io/name", "app"].map(|key| object.label(key));
    let is = |id: &str| {
        let named = object.name().strip_suffix(id).is_some_and(|stem| stem.is_empty() || stem.ends_with('-'));
        named || labels.contains(&Some(id))
    };
    PARTS.iter().find(|(id, _)| is(id)).map(|(_, why)| *why)
}
