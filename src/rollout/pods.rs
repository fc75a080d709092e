//! Which pods are a workload's newest, and what holds one back.

use serde_json::Value;

use super::events::{about, count, last, list, one_line, tail, text};
use super::model::{Blocker, ContainerRef, LastExit, Neighbours, Status};
use crate::failure::Reason;
use crate::limits::{POD_RETRIED, POD_UNSCHEDULABLE};

/// A container that ended in error this often, and always in the same way, will end so again.
pub(super) const HOPELESS_RESTARTS: u64 = 3;

/// What a waiting container says that does not pass by itself, and what it is.
const CANNOT_START: &[(&str, Reason)] = &[
    ("ErrImagePull", Reason::PodImage),
    ("ErrImageNeverPull", Reason::PodImage),
    ("ImageInspectError", Reason::PodImage),
    ("RegistryUnavailable", Reason::PodImage),
    ("CreateContainerConfigError", Reason::PodConfig),
    ("CreateContainerError", Reason::PodCreate),
    ("RunContainerError", Reason::PodCreate),
];

/// What happens before a container starts that an event tells better than its state does, and what it is, should it
/// last.
const BEFORE: &[(&str, Reason)] = &[
    ("FailedMount", Reason::PodMount),
    ("FailedAttachVolume", Reason::PodMount),
    ("FailedCreatePodSandBox", Reason::PodCreate),
    ("Pulling", Reason::RolloutTimeout),
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

/// Why a scheduler says that no node takes a pod.
fn unschedulable(said: &str) -> Reason {
    const RULES: [&str; 5] =
        ["affinity", "selector", "PersistentVolumeClaim", "persistentvolumeclaim", "topology spread"];
    if said.contains("Insufficient") || said.contains("Too many pods") {
        Reason::PodUnschedulable
    } else if RULES.iter().any(|words| said.contains(words)) {
        Reason::PodPlacement
    } else {
        Reason::RolloutTimeout
    }
}

/// Whether a pod that has not ended says itself that it is not ready.
pub(super) fn is_unready(pod: &Value) -> bool {
    let ended = matches!(text(pod, "/status/phase"), Some("Failed" | "Succeeded"));
    !ended && condition(pod, "Ready").is_some_and(|ready| ready["status"] != "True")
}

/// What holds a pod back; [`Status::Ready`] when nothing does.
pub(crate) fn status(pod: &Value, around: &Neighbours<'_>) -> Status {
    let events = about(&around.events, pod);
    let cause =
        |reason: Reason, line: &str| Blocker { reason, evidence: tail(&events), ..Blocker::passing(one_line(line)) };
    if text(pod, "/status/phase") == Some("Succeeded") {
        return Status::Ready;
    }
    if let Some(unscheduled) = condition(pod, "PodScheduled").filter(|condition| condition["status"] == "False") {
        let said = said(unscheduled);
        let reason = unschedulable(said);
        let cause = cause(reason, &format!("no node takes its pod: {said}"));
        // Taints of a young node go away; what it lacks does not come.
        let passes = reason == Reason::RolloutTimeout;
        return if passes { Status::Waiting(cause) } else { Status::Failing(cause, POD_UNSCHEDULABLE) };
    }
    for (pointer, kind) in
        [("/status/initContainerStatuses", "init container"), ("/status/containerStatuses", "container")]
    {
        for container in list(pod, pointer) {
            let held = container_status(container, kind == "init container", &events);
            let Some(ContainerState { reason, line, outlook, last_exit }) = held else { continue };
            let name = text(container, "/name").unwrap_or("?");
            let container_ref = ContainerRef {
                namespace: text(pod, "/metadata/namespace").unwrap_or_default().to_owned(),
                pod: text(pod, "/metadata/name").unwrap_or_default().to_owned(),
                container: name.to_owned(),
                previous: container.pointer("/state/waiting").is_some() && count(container, "/restartCount") > 0,
            };
            let cause = cause(reason, &format!("{kind} {name}: {line}"));
            let cause = Blocker { container: Some(container_ref), last_exit, ..cause };
            return match outlook {
                Outlook::Transient => Status::Waiting(cause),
                Outlook::Suspect => Status::Failing(cause, POD_RETRIED),
                Outlook::Hopeless => Status::Stuck(cause),
            };
        }
    }
    match (condition(pod, "Ready"), text(pod, "/status/phase")) {
        (Some(ready), _) if ready["status"] == "True" => Status::Ready,
        (_, Some("Failed")) => {
            let said = text(pod, "/status/message").or_else(|| text(pod, "/status/reason")).unwrap_or("it failed");
            let evicted = text(pod, "/status/reason") == Some("Evicted");
            let reason = if evicted { Reason::PodEvicted } else { Reason::WorkloadStuck };
            Status::Failing(cause(reason, &format!("its pod failed: {said}")), POD_RETRIED)
        }
        (Some(ready), _) if !said(ready).is_empty() => Status::Waiting(cause(Reason::RolloutTimeout, said(ready))),
        _ => Status::Waiting(cause(Reason::RolloutTimeout, "its pod starts")),
    }
}

/// What holds a container back.
struct ContainerState {
    reason: Reason,
    line: String,
    outlook: Outlook,
    last_exit: Option<LastExit>,
}

impl ContainerState {
    fn new(reason: Reason, line: String, outlook: Outlook) -> Self {
        Self { reason, line, outlook, last_exit: None }
    }
}

/// How likely it is that a container goes on by itself.
enum Outlook {
    Transient,
    Suspect,
    Hopeless,
}

fn container_status(container: &Value, init: bool, events: &[&Value]) -> Option<ContainerState> {
    if let Some(waiting) = container.pointer("/state/waiting") {
        let reason = text(waiting, "/reason").unwrap_or("waiting");
        let message = text(waiting, "/message").filter(|message| !message.is_empty());
        let message = message.map(|message| format!(": {message}")).unwrap_or_default();
        if let Some((_, known)) = CANNOT_START.iter().find(|(word, _)| *word == reason) {
            return Some(ContainerState::new(*known, format!("{reason}{message}"), Outlook::Suspect));
        }
        return Some(match reason {
            "InvalidImageName" => {
                ContainerState::new(Reason::PodImageName, format!("{reason}{message}"), Outlook::Hopeless)
            }
            "CrashLoopBackOff" => ended(container, container.pointer("/lastState/terminated"), reason, init),
            // The back-off itself does not say why; the pull before it did.
            "ImagePullBackOff" => {
                let failed = |said: &&str| said.starts_with("Failed to pull image");
                let why = last(events, &["Failed"], failed).map(|said| format!(": {said}")).unwrap_or(message);
                ContainerState::new(Reason::PodImage, format!("{reason}{why}"), Outlook::Suspect)
            }
            // The pod's turn is elsewhere: an init container before this one, or the sandbox and its volumes.
            "PodInitializing" if !init => return None,
            _ => before_it_starts(reason, &message, events),
        });
    }
    if let Some(terminated) = container.pointer("/state/terminated") {
        if count(terminated, "/exitCode") == 0 && init {
            return None;
        }
        let exited = text(terminated, "/reason").unwrap_or("ended");
        return Some(ended(container, Some(terminated), exited, init));
    }
    if init {
        let runs = container.pointer("/state/running");
        return runs.map(|_| ContainerState::new(Reason::RolloutTimeout, "runs".to_owned(), Outlook::Transient));
    }
    if container["ready"] == true {
        return None;
    }
    container.pointer("/state/running")?;
    let unhealthy = last(events, &["Unhealthy"], |_| true).map(|said| format!(": {said}")).unwrap_or_default();
    Some(ContainerState::new(Reason::PodProbe, format!("runs, not ready yet{unhealthy}"), Outlook::Transient))
}

/// The restarts of each container of a pod, as the API has it, that say nothing about how it does now. Its node's stops
/// are such, and whatever was before the loop that it is in, if it is in one.
pub(super) fn restarts_before(pod: &Value) -> Vec<(String, u64)> {
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = statuses.into_iter().flat_map(|pointer| list(pod, pointer));
    let before = |container: &Value| {
        let ended = ["/state/terminated", "/lastState/terminated"].into_iter().find_map(|at| container.pointer(at));
        let counts = match ended {
            Some(end) if !is_end_of_node(end) => {
                let backs_off = text(container, "/state/waiting/reason") == Some("CrashLoopBackOff");
                if backs_off && !ran_for_long(end) { HOPELESS_RESTARTS } else { 1 }
            }
            _ => 0,
        };
        let name = text(container, "/name").unwrap_or_default().to_owned();
        (name, count(container, "/restartCount").saturating_sub(counts))
    };
    statuses.map(before).collect()
}

/// Whether a container had been running for longer than one in a crash loop does. The kubelet backs off from a container that
/// somebody killed as it does from one that crashes at its start.
fn ran_for_long(terminated: &Value) -> bool {
    let at = |pointer: &str| humantime::parse_rfc3339(text(terminated, pointer)?).ok();
    let ran = at("/startedAt").zip(at("/finishedAt")).and_then(|(start, end)| end.duration_since(start).ok());
    ran.is_some_and(|ran| ran.as_secs() >= 10)
}

/// Whether a container ended because its node was stopped under it: containerd did not see it end.
fn is_end_of_node(terminated: &Value) -> bool {
    text(terminated, "/reason") == Some("Unknown") && count(terminated, "/exitCode") == 255
}

fn before_it_starts(state: &str, message: &str, events: &[&Value]) -> ContainerState {
    let words: Vec<&str> = BEFORE.iter().map(|(word, _)| *word).collect();
    let newest = events.iter().rev().find_map(|event| {
        let (_, reason) = BEFORE.iter().find(|(word, _)| text(event, "/reason") == Some(word))?;
        // containerd's words where it cannot pull the pause image.
        let of_image = text(event, "/message").is_some_and(|said| said.contains("failed to get sandbox image"));
        Some(if of_image { Reason::PodImage } else { *reason })
    });
    let reason = newest.unwrap_or(Reason::RolloutTimeout);
    let said = last(events, &words, |_| true);
    // Configuration is applied before what mounts it: what is not found will not come.
    let hopeless = reason == Reason::PodMount && said.is_some_and(|said| said.contains("not found"));
    let said = said.map(|said| format!(": {said}")).unwrap_or_else(|| message.to_owned());
    ContainerState::new(reason, format!("{state}{said}"), if hopeless { Outlook::Suspect } else { Outlook::Transient })
}

/// A container that ended, whether it is about to be started again or not.
fn ended(container: &Value, terminated: Option<&Value>, state: &str, init: bool) -> ContainerState {
    let restarts = count(container, "/restartCount");
    let part = |pointer: &str| terminated.and_then(|terminated| text(terminated, pointer));
    let reason = match part("/reason") {
        Some("OOMKilled") => Reason::PodMemory,
        Some("StartError" | "ContainerCannotRun") => Reason::PodCreate,
        _ if init => Reason::PodInit,
        _ => Reason::PodCrash,
    };
    let code = terminated.map(|terminated| format!("exit code {}", terminated["exitCode"]));
    let why = part("/reason").filter(|why| !["Error", "Completed"].contains(why)).map(str::to_owned);
    let how: Vec<String> = why.into_iter().chain(code).collect();
    let counted = match restarts {
        0 => None,
        1 => Some("1 restart".to_owned()),
        more => Some(format!("{more} restarts")),
    };
    let told = how.iter().filter(|part| *part != state).cloned().chain(counted);
    let mut line = std::iter::once(state.to_owned()).chain(told).collect::<Vec<_>>().join(", ");
    if let Some(message) = part("/message").filter(|message| !message.trim().is_empty()) {
        line += &format!(": {message}");
    }
    let hopeless = restarts >= HOPELESS_RESTARTS && !terminated.is_some_and(is_end_of_node);
    let outlook = if hopeless { Outlook::Hopeless } else { Outlook::Transient };
    ContainerState { reason, line, outlook, last_exit: Some(LastExit { restarts, how: how.join(", ") }) }
}

pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|condition| text(condition, "/type") == Some(kind))
}

/// What a condition says: its message, or its reason where it has none.
pub(super) fn said(condition: &Value) -> &str {
    let message = text(condition, "/message").filter(|message| !message.is_empty());
    message.or_else(|| text(condition, "/reason")).unwrap_or_default()
}
