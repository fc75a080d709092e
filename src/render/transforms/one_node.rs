//! `one-node`: pods that one node without pools, classes and registries' secrets can take, and one of each component.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::component::{component_of, is_workload};
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use super::containers::is_lasting;
use crate::manifest::Object;

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    if !context.spec.scope().owns_cluster {
        return Ok(());
    }
    let named = |kind: &str| -> BTreeSet<String> {
        draft.objects.iter().filter(|object| object.kind() == kind).map(|object| object.name().to_owned()).collect()
    };
    let (secrets, classes, runtimes) = (named("Secret"), named("PriorityClass"), named("RuntimeClass"));
    let mut told = Vec::new();
    for object in draft.objects.iter_mut().filter(|object| is_workload(object)) {
        let mut dropped = BTreeSet::new();
        let is_component = component_of(object).is_some();
        if let Some(pod) = object.pod_spec_mut().and_then(Value::as_object_mut) {
            loosen_affinity(pod, &mut dropped);
            let elsewhere = |selector: &Value| {
                selector.as_object().is_some_and(|all| all.keys().any(|key| key != "kubernetes.io/os"))
            };
            if pod.get("nodeSelector").is_some_and(elsewhere) {
                pod.shift_remove("nodeSelector");
                dropped.insert("node selector");
            }
            // A toleration of everything would let its pods start before the node has a network.
            pod.shift_remove("tolerations");
            let is_unknown = |key: &str, known: &BTreeSet<String>| {
                pod.get(key)
                    .and_then(Value::as_str)
                    .is_some_and(|name| !known.contains(name) && !name.starts_with("system-"))
            };
            let priority = is_unknown("priorityClassName", &classes);
            let unknown = [
                ("nodeName", pod.contains_key("nodeName"), "node name"),
                ("runtimeClassName", is_unknown("runtimeClassName", &runtimes), "runtime class"),
                ("priorityClassName", priority, "priority class"),
                ("priority", priority, "priority class"),
                (
                    "schedulerName",
                    pod.get("schedulerName").is_some_and(|name| name != "default-scheduler"),
                    "scheduler",
                ),
            ];
            if is_component && pod.shift_remove("hostNetwork").is_some_and(|given| given == json!(true)) {
                pod.shift_remove("dnsPolicy");
                dropped.insert("host network");
            }
            if !pod.contains_key("hostNetwork") && drop_host_ports(pod) {
                dropped.insert("host ports");
            }
            for (key, _, what) in unknown.into_iter().filter(|(_, drop, _)| *drop) {
                pod.shift_remove(key);
                dropped.insert(what);
            }
        }
        if !dropped.is_empty() {
            let what = dropped.into_iter().collect::<Vec<_>>().join(", ");
            told.push((Effect::Harmless, object.clone(), format!("runs without its {what}: there is one node")));
        }
        drop_secrets(object, &secrets);
        let none = object.get("/spec/replicas") == Some(&json!(0));
        let effect = if none { Effect::Differs } else { Effect::Harmless };
        told.extend(replicas(object).map(|message| (effect, object.clone(), message)));
    }
    for account in draft.objects.iter_mut().filter(|object| object.kind() == "ServiceAccount") {
        drop_secrets(account, &secrets);
    }
    for (effect, object, message) in told {
        draft.warn(effect, &object, message);
    }
    Ok(())
}

/// Drops what a scheduler may not overlook; what it prefers stays.
fn loosen_affinity(pod: &mut serde_json::Map<String, Value>, dropped: &mut BTreeSet<&'static str>) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const KINDS: [(&str, &str); 3] =
        [("nodeAffinity", "node affinity"), ("podAffinity", "pod affinity"), ("podAntiAffinity", "pod anti-affinity")];
    if let Some(affinity) = pod.get_mut("affinity").and_then(Value::as_object_mut) {
        for (kind, what) in KINDS {
            let found =
                affinity.get_mut(kind).and_then(Value::as_object_mut).and_then(|one| one.shift_remove(REQUIRED));
            if found.is_some() {
                dropped.insert(what);
            }
        }
        affinity.retain(|_, kind| kind.as_object().is_none_or(|kind| !kind.is_empty()));
        if affinity.is_empty() {
            pod.shift_remove("affinity");
        }
    }
    if let Some(spread) = pod.get_mut("topologySpreadConstraints").and_then(Value::as_array_mut) {
        let before = spread.len();
        spread.retain(|constraint| constraint["whenUnsatisfiable"] == "ScheduleAnyway");
        if spread.len() < before {
            dropped.insert("topology spread");
        }
        if spread.is_empty() {
            pod.shift_remove("topologySpreadConstraints");
        }
    }
}

/// Nothing outside the node reaches them, and two pods cannot have one.
fn drop_host_ports(pod: &mut serde_json::Map<String, Value>) -> bool {
    let mut dropped = false;
    for list in ["initContainers", "containers"] {
        let containers = pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        let ports = containers.filter_map(|container| container.get_mut("ports")?.as_array_mut()).flatten();
        for port in ports.filter_map(Value::as_object_mut) {
            dropped |= port.shift_remove("hostPort").is_some();
            port.shift_remove("hostIP");
        }
    }
    dropped
}

/// Images are in the node already: a Secret for pulling that nobody brought is missed by nothing but an event.
fn drop_secrets(object: &mut Object, secrets: &BTreeSet<String>) {
    let holder = if object.kind() == "ServiceAccount" { Some(object.value_mut()) } else { object.pod_spec_mut() };
    let Some(holder) = holder.and_then(Value::as_object_mut) else { return };
    let Some(named) = holder.get_mut("imagePullSecrets").and_then(Value::as_array_mut) else { return };
    named.retain(|one| one["name"].as_str().is_some_and(|name| secrets.contains(name)));
    if named.is_empty() {
        holder.shift_remove("imagePullSecrets");
    }
}

/// One pod of a component: none would serve nobody, and several share one node.
fn replicas(object: &mut Object) -> Option<String> {
    let component = component_of(object).filter(|_| is_lasting(object) && object.kind() != "DaemonSet")?;
    let given = object.get("/spec/replicas").cloned().filter(|given| *given != json!(1))?;
    object.set(&["spec", "replicas"], 1);
    Some(format!("runs as one pod, and not as {given}: each sandbox needs {component}, and has one node"))
}
