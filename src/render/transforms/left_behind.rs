//! What nobody needs once some workloads are gone: what only they read or ran as, and what only led to them.

use serde_json::Value;

use super::super::component::{Component, component_of, is_workload};
use super::super::context::{Draft, Effect};
use super::super::pod_references::PodReference;
use crate::manifest::Object;

/// Takes what follows the objects that are gone out of the draft, and adds it to them.
pub(super) fn follow(draft: &mut Draft, gone: &mut Vec<Object>) {
    loop {
        let (follow, kept): (Vec<Object>, Vec<Object>) = {
            let objects = std::mem::take(&mut draft.objects);
            let follows: Vec<bool> = objects.iter().map(|object| follows(object, &objects, gone)).collect();
            let mut follows = follows.into_iter();
            objects.into_iter().partition(|_| follows.next() == Some(true))
        };
        draft.objects = kept;
        if follow.is_empty() {
            return;
        }
        for object in follow.iter().filter(|object| is_workload(object)) {
            draft.warn(Effect::Harmless, object, "is left out with the part that it prepares");
        }
        gone.extend(follow);
    }
}

fn follows(object: &Object, objects: &[Object], gone: &[Object]) -> bool {
    let here = |one: &&Object| one.namespace() == object.namespace();
    let workloads_here = |all| -> Vec<&Object> { workloads(all).filter(here).collect() };
    let (left, running) = (workloads_here(gone), workloads_here(objects));
    let is_gone = |kind: &str, name: &str| gone.iter().filter(here).any(|one| one.is(kind, name));
    let names = |one: &&Object| PodReference::all(one).iter().any(|it| object.is(it.kind, &it.name));
    let leads = |selector: &Value, workloads: &[&Object]| workloads.iter().any(|one| selects(selector, one));
    match object.kind() {
        // A Job that shares an account with what is gone only prepares it.
        "ServiceAccount" => {
            let lasts = |one: &&&Object| one.kind() != "Job" || component_of(one).is_some();
            is_no_essential(object) && left.iter().any(names) && !running.iter().filter(lasts).any(names)
        }
        "Secret" | "ConfigMap" | "PersistentVolumeClaim" => {
            is_no_essential(object) && left.iter().any(names) && !running.iter().any(names)
        }
        "Service" => {
            object.get("/spec/selector").is_some_and(|selector| leads(selector, &left) && !leads(selector, &running))
        }
        "PodDisruptionBudget" | "NetworkPolicy" => {
            let path = if object.kind() == "NetworkPolicy" { "/spec/podSelector" } else { "/spec/selector" };
            let labels = object.get(path).and_then(|selector| selector.get("matchLabels"));
            labels.is_some_and(|labels| leads(labels, &left) && !leads(labels, &running))
        }
        "HorizontalPodAutoscaler" => {
            let target = |key: &str| object.get("/spec/scaleTargetRef")?.get(key)?.as_str();
            target("kind").zip(target("name")).is_some_and(|(kind, name)| is_gone(kind, name))
        }
        "RoleBinding" => {
            let subjects = object.get("/subjects").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let gone_account = |subject: &Value| {
                let name = subject["name"].as_str().unwrap_or_default();
                subject["kind"] == "ServiceAccount" && is_gone("ServiceAccount", name)
            };
            !subjects.is_empty() && subjects.iter().all(gone_account)
        }
        // One that runs as an account that is gone, such as a Job that makes a certificate, would never be made.
        _ if is_workload(object) && component_of(object).is_none() => {
            let account = object.pod_spec().and_then(|pod| pod.get("serviceAccountName")?.as_str());
            account.is_some_and(|account| is_gone("ServiceAccount", account))
        }
        _ => false,
    }
}

fn is_no_essential(object: &Object) -> bool {
    component_of(object).is_none_or(Component::is_optional)
}

fn workloads(objects: &[Object]) -> impl Iterator<Item = &Object> {
    objects.iter().filter(|object| is_workload(object))
}

/// Whether a selector, which is not empty, selects the pods of a workload.
pub(super) fn selects(selector: &Value, workload: &Object) -> bool {
    let carried = match workload.kind() {
        "Pod" => workload.get("/metadata/labels"),
        "CronJob" => workload.get("/spec/jobTemplate/spec/template/metadata/labels"),
        _ => workload.get("/spec/template/metadata/labels"),
    };
    let Some((selector, carried)) = selector.as_object().zip(carried) else { return false };
    !selector.is_empty() && selector.iter().all(|(key, value)| carried.get(key) == Some(value))
}
