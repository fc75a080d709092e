//! Which pods are a workload's newest, and what holds one back.

use std::time::Duration;

use serde_json::Value;

use super::happenings::{about, count, last, list, one_line, tail, text};
use super::status::{Cause, Culprit, Neighbours, Status};

/// How long an error that the kubelet itself tries again may last before it is taken as hopeless: two attempts.
const GRACE: Duration = Duration::from_secs(20);
/// How long a pod may find no place: terminating pods give theirs back within their 30 s of grace.
const UNSCHEDULABLE_GRACE: Duration = Duration::from_secs(60);
/// A container that ended in error this often will end so again.
const HOPELESS_RESTARTS: u64 = 3;

/// Reasons of a waiting container that do not pass by themselves.
const CANNOT_START: &[&str] = &[
    "ErrImagePull",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

fn owned_by(object: &Value, owner: &Value) -> bool {
    let uid = text(owner, "/metadata/uid");
    uid.is_some() && list(object, "/metadata/ownerReferences").iter().any(|reference| text(reference, "/uid") == uid)
}

/// The ReplicaSet of a Deployment's current revision.
pub(super) fn newest_replica_set<'a>(deployment: &Value, around: &Neighbours<'a>) -> Option<&'a Value> {
    const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";
    let revision = |object: &Value| text(object, REVISION).and_then(|revision| revision.parse::<u64>().ok());
    let owned = around.replica_sets.iter().copied().filter(|set| owned_by(set, deployment));
    let newest = owned.max_by_key(|set| revision(set))?;
    // While the controller has not made the current revision's set yet, the newest one there is an old one.
    (revision(deployment) <= revision(newest)).then_some(newest)
}

/// The pods that run the workload's current template.
pub(super) fn newest<'a>(workload: &Value, around: &Neighbours<'a>) -> Vec<&'a Value> {
    let alive = around.pods.iter().copied().filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
    let labelled = |pod: &Value, key: &str, wanted: Option<&str>| match wanted {
        Some(_) => text(pod, &format!("/metadata/labels/{key}")) == wanted,
        None => true,
    };
    match text(workload, "/kind") {
        Some("Deployment") if around.replica_sets.is_empty() => {
            let wanted = workload.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
            let selected = |pod: &Value| {
                wanted.is_some_and(|wanted| {
                    wanted.iter().all(|(key, value)| {
                        pod.pointer("/metadata/labels").and_then(|labels| labels.get(key)) == Some(value)
                    })
                })
            };
            alive.filter(|pod| selected(pod)).collect()
        }
        Some("Deployment") => {
            let set = newest_replica_set(workload, around);
            alive.filter(|pod| set.is_some_and(|set| owned_by(pod, set))).collect()
        }
        Some("StatefulSet") => {
            let revision = text(workload, "/status/updateRevision").filter(|revision| !revision.is_empty());
            let current = |pod: &&Value| labelled(pod, "controller-revision-hash", revision);
            alive.filter(|pod| owned_by(pod, workload)).filter(current).collect()
        }
        Some("DaemonSet") => {
            let generation = text(workload, "/metadata/annotations/deprecated.daemonset.template.generation");
            let current = |pod: &&Value| labelled(pod, "pod-template-generation", generation);
            alive.filter(|pod| owned_by(pod, workload)).filter(current).collect()
        }
        _ => alive.filter(|pod| owned_by(pod, workload)).collect(),
    }
}

/// What holds a pod back; [`Status::Ready`] when nothing does.
pub(crate) fn status(pod: &Value, around: &Neighbours<'_>) -> Status {
    let events = about(&around.events, pod);
    let cause = |reason: String, culprit: Option<Culprit>| Cause {
        reason: one_line(&reason),
        culprit,
        evidence: tail(&events),
    };
    if text(pod, "/status/phase") == Some("Succeeded") {
        return Status::Ready;
    }
    if let Some(unscheduled) = condition(pod, "PodScheduled").filter(|condition| condition["status"] == "False") {
        let cause = cause(format!("no node takes its pod: {}", said(unscheduled)), None);
        // Taints of a young node go away; what it lacks in cpu, memory or volumes does not come.
        let hopeless = cause.reason.contains("Insufficient") || cause.reason.contains("affinity");
        return if hopeless { Status::Failing(cause, UNSCHEDULABLE_GRACE) } else { Status::Waiting(cause) };
    }
    for (pointer, kind) in
        [("/status/initContainerStatuses", "init container"), ("/status/containerStatuses", "container")]
    {
        for container in list(pod, pointer) {
            let held = container_status(container, kind == "init container", &events);
            let Some((reason, hope)) = held else { continue };
            let name = text(container, "/name").unwrap_or("?");
            let culprit = Culprit {
                namespace: text(pod, "/metadata/namespace").unwrap_or_default().to_owned(),
                pod: text(pod, "/metadata/name").unwrap_or_default().to_owned(),
                container: name.to_owned(),
                previous: container.pointer("/state/waiting").is_some() && count(container, "/restartCount") > 0,
            };
            let cause = cause(format!("{kind} {name}: {reason}"), Some(culprit));
            return match hope {
                Hope::Some => Status::Waiting(cause),
                Hope::Brief => Status::Failing(cause, GRACE),
                Hope::None => Status::Stuck(cause),
            };
        }
    }
    match (condition(pod, "Ready"), text(pod, "/status/phase")) {
        (Some(ready), _) if ready["status"] == "True" => Status::Ready,
        (_, Some("Failed")) => {
            let said = text(pod, "/status/message").or_else(|| text(pod, "/status/reason")).unwrap_or("it failed");
            Status::Failing(cause(format!("its pod failed: {said}"), None), GRACE)
        }
        (Some(ready), _) if !said(ready).is_empty() => Status::Waiting(cause(said(ready).to_owned(), None)),
        _ => Status::Waiting(cause("its pod starts".to_owned(), None)),
    }
}

enum Hope {
    Some,
    Brief,
    None,
}

fn container_status(container: &Value, init: bool, events: &[&Value]) -> Option<(String, Hope)> {
    let restarts = count(container, "/restartCount");
    if let Some(waiting) = container.pointer("/state/waiting") {
        let reason = text(waiting, "/reason").unwrap_or("waiting");
        let message = text(waiting, "/message").filter(|message| !message.is_empty());
        let message = message.map(|message| format!(": {message}")).unwrap_or_default();
        return Some(match reason {
            "InvalidImageName" => (format!("{reason}{message}"), Hope::None),
            "CrashLoopBackOff" => (ended(container.pointer("/lastState/terminated"), reason, restarts), hope(restarts)),
            // The back-off itself does not say why; the pull before it did.
            "ImagePullBackOff" => {
                let failed = |said: &&str| said.starts_with("Failed to pull image");
                let why = last(events, &["Failed"], failed).map(|said| format!(": {said}")).unwrap_or(message);
                (format!("{reason}{why}"), Hope::Brief)
            }
            _ if CANNOT_START.contains(&reason) => (format!("{reason}{message}"), Hope::Brief),
            // The pod's turn is elsewhere: an init container before this one, or the sandbox and its volumes.
            "PodInitializing" if !init => return None,
            _ => {
                const BEFORE: &[&str] = &["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "Pulling"];
                let happening = last(events, BEFORE, |_| true).map(|said| format!(": {said}")).unwrap_or(message);
                (format!("{reason}{happening}"), Hope::Some)
            }
        });
    }
    if let Some(terminated) = container.pointer("/state/terminated") {
        if count(terminated, "/exitCode") == 0 && init {
            return None;
        }
        let exited = text(terminated, "/reason").unwrap_or("ended");
        return Some((ended(Some(terminated), exited, restarts), hope(restarts)));
    }
    if init {
        return container.pointer("/state/running").map(|_| ("runs".to_owned(), Hope::Some));
    }
    if container["ready"] == true {
        return None;
    }
    container.pointer("/state/running")?;
    let unhealthy = last(events, &["Unhealthy"], |_| true).map(|said| format!(": {said}")).unwrap_or_default();
    Some((format!("runs, not ready yet{unhealthy}"), Hope::Some))
}

fn hope(restarts: u64) -> Hope {
    if restarts >= HOPELESS_RESTARTS { Hope::None } else { Hope::Some }
}

fn ended(terminated: Option<&Value>, reason: &str, restarts: u64) -> String {
    let mut line = reason.to_owned();
    if let Some(terminated) = terminated {
        let why = text(terminated, "/reason").filter(|why| !["Error", "Completed", reason].contains(why));
        line += &why.map(|why| format!(", {why}")).unwrap_or_default();
        line += &format!(", exit code {}", terminated["exitCode"]);
    }
    line += &match restarts {
        0 => String::new(),
        1 => ", 1 restart".to_owned(),
        more => format!(", {more} restarts"),
    };
    let message = terminated.and_then(|terminated| text(terminated, "/message")).filter(|message| !message.is_empty());
    line + &message.map(|message| format!(": {message}")).unwrap_or_default()
}

pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|condition| text(condition, "/type") == Some(kind))
}

/// What a condition says: its message, or its reason where it has none.
pub(super) fn said(condition: &Value) -> &str {
    let message = text(condition, "/message").filter(|message| !message.is_empty());
    message.or_else(|| text(condition, "/reason")).unwrap_or_default()
}
