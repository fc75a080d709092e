//! Restarts of containers: how often, and what the last one died of.

use std::time::SystemTime;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::Client;
use kube::api::{Api, ListParams};

use crate::failure::{Failure, Reason};
use crate::kubernetes::ask;
use crate::limits::API_ANSWER;

/// A container as its pod's status has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerLife {
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// How often it was started again.
    pub restarts: i32,
    /// Whether it runs.
    pub runs: bool,
    /// When it was started, where it runs.
    pub started: Option<SystemTime>,
    /// Its last termination.
    pub last_end: Option<LastEnd>,
}

/// The termination of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEnd {
    /// Such as `OOMKilled, exit code 137`.
    pub how: String,
    /// When it was.
    pub at: Option<SystemTime>,
}

impl LastEnd {
    fn of(end: &ContainerStateTerminated) -> Self {
        let reason = end.reason.as_deref().filter(|reason| !["Error", "Completed"].contains(reason));
        let (code, message) = (format!("exit code {}", end.exit_code), end.message.as_deref());
        let message = message.and_then(|message| message.lines().rfind(|line| !line.trim().is_empty()));
        let how: Vec<_> = reason.into_iter().chain([code.as_str()]).chain(message.map(str::trim)).collect();
        Self { how: how.join(", "), at: end.finished_at.as_ref().map(|time| time.0.into()) }
    }
}

/// The containers of a namespace's pods.
///
/// # Errors
/// [`Reason::ClusterNotReady`]: the API does not answer.
pub async fn lives_within(client: &Client, namespace: &str) -> Result<Vec<ContainerLife>, Failure> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = ask(API_ANSWER, pods.list(&ListParams::default())).await;
    let listed = listed.map_err(|error| error.unread(Reason::ClusterNotReady, "cannot see the pods"))?;
    Ok(container_lives(&listed.items))
}

/// The containers of pods that are not being deleted.
#[must_use]
pub fn container_lives(pods: &[Pod]) -> Vec<ContainerLife> {
    let kept = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    kept.flat_map(|pod| {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        statuses.map(move |status| life(&name, status))
    })
    .collect()
}

fn life(pod: &str, status: &ContainerStatus) -> ContainerLife {
    let running = status.state.as_ref().and_then(|state| state.running.as_ref());
    let ended = [&status.state, &status.last_state].into_iter().flatten();
    let mut ended = ended.filter_map(|state| state.terminated.as_ref());
    ContainerLife {
        pod: pod.to_owned(),
        container: status.name.clone(),
        restarts: status.restart_count,
        runs: running.is_some(),
        started: running.and_then(|running| Some(running.started_at.as_ref()?.0.into())),
        last_end: ended.next().map(LastEnd::of),
    }
}

/// Those of `now` that died since `before`.
#[must_use]
pub fn died_since(before: &[ContainerLife], now: Vec<ContainerLife>) -> Vec<ContainerLife> {
    let died = |life: &ContainerLife| {
        let earlier = before.iter().find(|other| (&other.pod, &other.container) == (&life.pod, &life.container));
        let (restarts, ran) = earlier.map_or((0, false), |earlier| (earlier.restarts, earlier.runs));
        life.restarts > restarts || ran && !life.runs
    };
    now.into_iter().filter(died).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lives(restarts: i32, state: &Value, last: &Value) -> Vec<ContainerLife> {
        let status = json!({"name": "flyteadmin", "image": "", "imageID": "", "ready": true, "restartCount": restarts,
            "state": state, "lastState": last});
        let pod = json!({"metadata": {"name": "flyteadmin-1"}, "status": {"containerStatuses": [status]}});
        container_lives(&[serde_json::from_value(pod).expect("a pod")])
    }

    #[test]
    fn a_container_that_died_is_told_with_what_it_died_of() {
        let running = json!({"running": {"startedAt": "2026-11-27T17:00:00Z"}});
        let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        let panicked = json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "goroutine 1\npanic-ed\n"}});
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let none = json!({});
        let table = [
            ((0, &running, &none), (0, &running, &none), None),
            ((3, &running, &killed), (3, &running, &killed), None),
            ((0, &running, &none), (1, &running, &killed), Some("OOMKilled, exit code 137")),
            ((0, &running, &none), (0, &panicked, &none), Some("exit code 1, panic-ed")),
            ((0, &running, &none), (0, &waiting, &panicked), Some("exit code 1, panic-ed")),
            ((0, &waiting, &none), (0, &waiting, &none), None),
        ];
        for (before, now, wanted) in table {
            let of = |(restarts, state, last): (i32, &Value, &Value)| lives(restarts, state, last);
            let died = died_since(&of(before), of(now));
            let how = died.first().map(|life| life.last_end.clone().expect("it ended").how);
            assert_eq!(how.as_deref(), wanted, "{before:?} {now:?}");
        }
    }

    #[test]
    fn a_new_pod_that_restarted_has_died_and_one_that_leaves_has_not() {
        let running = json!({"running": {}});
        let died = died_since(&[], lives(1, &running, &json!({"terminated": {"exitCode": 2}})));
        assert_eq!(died.len(), 1);
        assert_eq!(died_since(&[], lives(0, &running, &json!({}))), []);
        let leaving = json!({"metadata": {"name": "a", "deletionTimestamp": "2026-11-27T17:00:00Z"},
            "status": {"containerStatuses": [{"name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 5}]}});
        assert_eq!(container_lives(&[serde_json::from_value(leaving).expect("a pod")]), []);
    }
}
