//! The reducer: a workload and its surroundings to a [`Status`]. Pure; time comes in as a value.

use serde_json::Value;

use super::events::{about, count, last, one_line, tail, text};
use super::model::{Blocker, Neighbours, Status};
use super::pods::{self, condition, said};
use crate::failure::Reason;
use crate::limits::POD_REFUSED;

/// How far a Deployment, StatefulSet, DaemonSet or Job is; anything else is ready as soon as it is there.
#[must_use]
pub fn status(workload: Option<&Value>, around: &Neighbours<'_>) -> Status {
    let Some(workload) = workload else { return Status::waiting("not there yet") };
    let (ready, short) = match text(workload, "/kind") {
        Some("Deployment") => deployment(workload),
        Some("StatefulSet") => stateful_set(workload),
        Some("DaemonSet") => daemon_set(workload),
        Some("Job") => job(workload),
        _ => return Status::Ready,
    };
    // After a node's start its controllers are late: they tell of the pods as they were.
    let unready = pods::newest(workload, around).into_iter().find(|pod| pods::is_unready(pod));
    match unready {
        None if ready => return Status::Ready,
        Some(pod) if ready => return pods::status(pod, around),
        _ => {}
    }
    if text(workload, "/kind") == Some("Job")
        && let Some(failed) = condition(workload, "Failed").filter(|condition| condition["status"] == "True")
    {
        return blame(workload, around, &short, Some(failed));
    }
    if count(workload, "/status/observedGeneration") < count(workload, "/metadata/generation") {
        return Status::waiting(short);
    }
    let hopeless = condition(workload, "Progressing").filter(|condition| condition["status"] == "False");
    blame(workload, around, &short, hopeless)
}

/// The worst of its pods, else what its controller says, else the plain count; stuck where Kubernetes itself gave up.
fn blame(workload: &Value, around: &Neighbours<'_>, short: &str, gave_up: Option<&Value>) -> Status {
    let pods = pods::newest(workload, around);
    let statuses = pods.iter().map(|pod| pods::status(pod, around));
    let worst = statuses.reduce(|worst, next| if next.gravity() > worst.gravity() { next } else { worst });
    let found = match worst {
        Some(worst) if worst.gravity() > 0 => worst,
        Some(_) => Status::waiting(short),
        None => controller(workload, around, short),
    };
    match (found, gave_up) {
        (Status::Waiting(mut cause) | Status::Failing(mut cause, _) | Status::Stuck(mut cause), Some(condition)) => {
            if cause.line == short {
                cause.line = one_line(said(condition));
            }
            if cause.reason == Reason::RolloutTimeout {
                cause.reason = Reason::WorkloadStuck;
            }
            Status::Stuck(Blocker { last_exit: None, ..cause })
        }
        (found, _) => found,
    }
}

/// No pod at all: the controller may be refused one.
fn controller(workload: &Value, around: &Neighbours<'_>, short: &str) -> Status {
    let set = pods::newest_replica_set(workload, around);
    let events: Vec<_> = set.into_iter().chain([workload]).flat_map(|maker| about(&around.events, maker)).collect();
    let failure = [set, Some(workload)].into_iter().flatten().filter_map(|maker| condition(maker, "ReplicaFailure"));
    let failure = failure.filter(|condition| condition["status"] == "True").map(said).next();
    match failure.or_else(|| last(&events, &["FailedCreate"], |_| true)) {
        Some(said) => {
            let evidence = tail(&events);
            let cause = Blocker::passing(format!("no pod: {}", one_line(said)));
            Status::Failing(Blocker { reason: Reason::WorkloadStuck, evidence, ..cause }, POD_REFUSED)
        }
        None => Status::waiting(short),
    }
}

fn observed(workload: &Value) -> bool {
    count(workload, "/status/observedGeneration") >= count(workload, "/metadata/generation")
}

/// How many replicas are wanted: 1 where nothing is said.
fn wanted(workload: &Value) -> u64 {
    workload.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1)
}

const UNSEEN: &str = "its controller has not seen it yet";

fn deployment(workload: &Value) -> (bool, String) {
    let wanted = wanted(workload);
    let [all, updated, available] =
        ["/status/replicas", "/status/updatedReplicas", "/status/availableReplicas"].map(|at| count(workload, at));
    let ready = observed(workload) && updated >= wanted && all <= updated && available >= wanted.max(updated);
    let short = match () {
        () if !observed(workload) => UNSEEN.to_owned(),
        () if updated < wanted => format!("{updated} of {wanted} pods made"),
        () if all > updated => format!("{} old pods still there", all - updated),
        () => format!("{available} of {wanted} pods available"),
    };
    (ready, short)
}

fn stateful_set(workload: &Value) -> (bool, String) {
    let wanted = wanted(workload);
    let [current, ready] = ["/status/updatedReplicas", "/status/readyReplicas"].map(|at| count(workload, at));
    let on_delete = text(workload, "/spec/updateStrategy/type") == Some("OnDelete");
    let done = observed(workload) && ready >= wanted && (on_delete || current >= wanted);
    let short = if observed(workload) { format!("{ready} of {wanted} pods ready") } else { UNSEEN.to_owned() };
    (done, short)
}

fn daemon_set(workload: &Value) -> (bool, String) {
    let [wanted, updated, available] =
        ["/status/desiredNumberScheduled", "/status/updatedNumberScheduled", "/status/numberAvailable"]
            .map(|at| count(workload, at));
    let on_delete = text(workload, "/spec/updateStrategy/type") == Some("OnDelete");
    let done = observed(workload) && available >= wanted && (on_delete || updated >= wanted);
    let short = if observed(workload) { format!("{available} of {wanted} pods available") } else { UNSEEN.to_owned() };
    (done, short)
}

fn job(workload: &Value) -> (bool, String) {
    let wanted = workload.pointer("/spec/completions").and_then(Value::as_u64).unwrap_or(1);
    let complete = condition(workload, "Complete").is_some_and(|condition| condition["status"] == "True");
    (complete, format!("{} of {wanted} completions", count(workload, "/status/succeeded")))
}

#[cfg(test)]
mod tests;
