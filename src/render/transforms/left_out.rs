//! `left-out`: parts of later Flytes that need the whole cluster, or serve nobody in a sandbox, with all that only they
//! use. Left in without the permissions that a sandbox never gives, each would fail, and the rollout with it.

use serde_json::Value;

use super::super::component::{Component, component_of, is_workload};
use super::super::context::{Context, Draft, Effect, Warning};
use super::super::error::RenderError;
use super::edit::words;
use super::left_behind;
use crate::manifest::{ImageRef, Object};

/// What upstream calls a part, in a label or within a name, why it is left out, and what that does to the user.
const PARTS: [(&str, &str, Effect); 6] = [
    (
        WEBHOOK,
        "it registers a webhook for the whole cluster; tasks that ask for Flyte's secrets will not get any",
        Effect::Differs,
    ),
    ("syncresources", SYNC, Effect::Differs),
    ("sparkoperator", "it needs permissions in the whole cluster; Spark tasks will not run", Effect::Differs),
    ("pytorch-operator", "it needs permissions in the whole cluster; PyTorch tasks will not run", Effect::Differs),
    ("dashboard-metrics-scraper", "the dashboard of a sandbox is for task logs", Effect::Harmless),
    ("redoc", "it only serves admin's API description, from an image without a version", Effect::Harmless),
];

/// Starts workflows on a schedule, where the spec asks for it.
const SCHEDULER: (&str, &str, Effect) =
    ("flytescheduler", "no schedule starts a workflow; `--scheduler` keeps it, with Flyte 1.16", Effect::Differs);

const WEBHOOK: &str = "flyte-pod-webhook";

const SYNC: &str = "the sandbox makes the workflow namespaces itself, and it needs permissions in the whole cluster; what \
                    else is in the cluster-resource templates, such as quotas, is not made";

/// What admin's program is told in a container that does the same as the part `syncresources`.
const SYNC_COMMAND: &str = "clusterresource";

/// What a propeller's program is told where it is the webhook, or makes its certificate.
const WEBHOOK_COMMAND: (&str, &str) = ("flytepropeller", "webhook");

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    // Of a release whose own nobody tried it stays where admin is of its version.
    let of_admin =
        !context.spec.flyte.facts().scheduler && context.spec.images.contains_key(Component::Flyteadmin.id());
    let is_kept = context.spec.scheduler || of_admin;
    let part = |object: &Object| part(object, !is_kept);
    let (mut gone, kept): (Vec<Object>, Vec<Object>) =
        std::mem::take(&mut draft.objects).into_iter().partition(|object| part(object).is_some());
    draft.objects = kept;
    for (object, (why, effect)) in
        gone.iter().filter(|object| is_workload(object)).filter_map(|one| Some((one, part(one)?)))
    {
        // What a part is prepared by is not missed of itself.
        let effect = if object.kind() == "Job" { Effect::Harmless } else { effect };
        draft.warn(effect, object, format!("is left out: {why}"));
    }
    if !gone.is_empty() {
        left_behind::follow(draft, &mut gone);
    }
    let mut warnings = Vec::new();
    for object in draft.objects.iter_mut().filter(|object| component_of(object).is_some()) {
        let reference = object.reference();
        for list in ["initContainers", "containers"] {
            let containers = object.pod_spec_mut().and_then(|pod| pod.get_mut(list)).and_then(Value::as_array_mut);
            let Some(containers) = containers else { continue };
            for gone in containers.extract_if(.., |container| words(container).any(|word| word == SYNC_COMMAND)) {
                let message =
                    format!("runs without {}: the sandbox makes the workflow namespaces itself", gone["name"]);
                warnings.push(Warning { effect: Effect::Harmless, object: reference.clone(), message });
            }
        }
    }
    draft.warnings.extend(warnings);
    Ok(())
}

/// Why an object is left out, if it belongs to such a part.
fn part(object: &Object, with_scheduler: bool) -> Option<(&'static str, Effect)> {
    let labels = ["app.kubernetes.io/name", "app", "k8s-app"];
    let of_pods = |key: &str| object.value().pointer("/spec/template/metadata/labels")?.get(key)?.as_str();
    let labels = labels.map(|key| [object.label(key), of_pods(key)]);
    let is = |id: &str| {
        let mut parts = object.name().match_indices(id);
        let whole = |(at, _): (usize, &str)| {
            let (before, after) = (&object.name()[..at], &object.name()[at + id.len()..]);
            (before.is_empty() || before.ends_with('-')) && (after.is_empty() || after.starts_with('-'))
        };
        parts.any(whole) || labels.iter().flatten().any(|label| *label == Some(id))
    };
    let webhook = || component_of(object).is_none() && object.containers().any(serves_webhook);
    PARTS
        .iter()
        .chain(with_scheduler.then_some(&SCHEDULER))
        .find(|(id, ..)| is(id) || *id == WEBHOOK && is_workload(object) && webhook())
        .map(|(_, why, effect)| (*why, *effect))
}

fn serves_webhook(container: &Value) -> bool {
    let (program, command) = WEBHOOK_COMMAND;
    let image = container.get("image").and_then(Value::as_str).and_then(|image| image.parse::<ImageRef>().ok());
    let of_propeller = image.is_some_and(|image| image.repository().rsplit('/').next() == Some(program));
    (of_propeller || words(container).any(|word| word == program)) && words(container).any(|word| word == command)
}
