//! The reducer: a workload and its surroundings to a [`Status`]. Pure; time comes in as a value.

use std::time::Duration;

use serde_json::Value;

use super::happenings::{about, count, last, one_line, tail, text};
use super::pods::{self, condition, said};
use crate::failure::Reason;

/// What surrounds workloads in their namespace, as far as it was looked at.
#[derive(Debug, Clone, Default)]
pub struct Neighbours<'a> {
    /// ReplicaSets (apps/v1).
    pub replica_sets: Vec<&'a Value>,
    /// Pods (v1).
    pub pods: Vec<&'a Value>,
    /// Events (v1).
    pub events: Vec<&'a Value>,
}

/// A container to look at, and whose logs tell more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// Whether the run before the present one has the telling log.
    pub previous: bool,
}

/// What a workload waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What that is, should it last.
    pub reason: Reason,
    /// One line, such as `init container run-migrations: CrashLoopBackOff, exit code 1, 3 restarts`.
    pub line: String,
    /// The container it hangs on, if it is one.
    pub culprit: Option<Culprit>,
    /// Kubernetes' last events about it, oldest first.
    pub evidence: Vec<String>,
    /// How that container ended the last time, if it did and Kubernetes starts it again.
    pub end: Option<End>,
}

/// An end of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How often it had been started again.
    pub restarts: u64,
    /// Such as `OOMKilled, exit code 137`.
    pub how: String,
}

impl Cause {
    /// What may pass by itself, with no container to look at.
    #[must_use]
    pub fn passing(line: impl Into<String>) -> Self {
        Self { reason: Reason::RolloutTimeout, line: line.into(), culprit: None, evidence: Vec::new(), end: None }
    }
}

/// How far a workload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// All of its current template's pods are available.
    Ready,
    /// On its way.
    Waiting(Cause),
    /// Hopeless once it has lasted so long.
    Failing(Cause, Duration),
    /// Waiting longer is of no use.
    Stuck(Cause),
}

impl Status {
    /// The status, given how long it has hung on the same thing.
    #[must_use]
    pub fn after(self, lasted: Duration) -> Self {
        match self {
            Self::Failing(cause, grace) if lasted >= grace => Self::Stuck(cause),
            other => other,
        }
    }

    /// What it waits for; nothing when it is ready.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Ready => None,
            Self::Waiting(cause) | Self::Failing(cause, _) | Self::Stuck(cause) => Some(cause),
        }
    }

    /// Greater is worse.
    pub(super) fn gravity(&self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::Waiting(_) => 1,
            Self::Failing(..) => 2,
            Self::Stuck(_) => 3,
        }
    }

    fn waiting(line: impl Into<String>) -> Self {
        Self::Waiting(Cause::passing(line))
    }
}

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
    if ready {
        return Status::Ready;
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
            Status::Stuck(Cause { end: None, ..cause })
        }
        (found, _) => found,
    }
}

/// No pod at all: the controller may be refused one.
fn controller(workload: &Value, around: &Neighbours<'_>, short: &str) -> Status {
    const GRACE: Duration = Duration::from_secs(20);
    let set = pods::newest_replica_set(workload, around);
    let events: Vec<_> = set.into_iter().chain([workload]).flat_map(|maker| about(&around.events, maker)).collect();
    let failure = [set, Some(workload)].into_iter().flatten().filter_map(|maker| condition(maker, "ReplicaFailure"));
    let failure = failure.filter(|condition| condition["status"] == "True").map(said).next();
    match failure.or_else(|| last(&events, &["FailedCreate"], |_| true)) {
        Some(said) => {
            let evidence = tail(&events);
            let cause = Cause::passing(format!("no pod: {}", one_line(said)));
            Status::Failing(Cause { reason: Reason::WorkloadStuck, evidence, ..cause }, GRACE)
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
