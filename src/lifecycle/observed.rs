//! What the pods of a sandbox say about it, as far as that holds since its node started.

use std::time::{Duration, SystemTime};

use kube::Client;
use serde::Serialize;

use crate::failure::Failure;
use crate::limits;
use crate::report::{Stage, Waiting};
use crate::rollout::{self, ContainerLife};
use crate::run::Run;

const PAUSE: Duration = Duration::from_millis(250);

/// What containerd says of a container that it did not see end: the node was stopped under it.
const ENDED_WITH_NODE: &str = "Unknown, exit code 255";

/// A container that died since the node started, and was started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// How often it was started again since the pod was made.
    pub restarts: i32,
    /// What it died of last, such as `OOMKilled, exit code 137`.
    pub died_of: String,
}

/// The containers that died since the node started; since their pods were made where that is not known.
pub(super) fn restarts(lives: &[ContainerLife], node_started: Option<SystemTime>) -> Vec<Restart> {
    let died = lives.iter().filter(|life| life.restarts > 0).filter_map(|life| {
        let end = life.last_end.as_ref().filter(|end| end.how != ENDED_WITH_NODE)?;
        let counts = node_started.is_none_or(|started| end.at.is_some_and(|at| at >= started));
        counts.then(|| Restart {
            pod: life.pod.clone(),
            container: life.container.clone(),
            restarts: life.restarts,
            died_of: end.how.clone(),
        })
    });
    died.collect()
}

/// Waits until the kubelet has looked at the system namespace's pods since the node started: until then the API tells of
/// them as they were when the node stopped.
///
/// # Errors
/// The API does not answer.
pub(super) async fn seen_again(
    client: &Client,
    namespace: &str,
    node_started: Option<SystemTime>,
    stage: Stage,
    run: &Run,
) -> Result<(), Failure> {
    let seen = async {
        loop {
            let stale = stale(&rollout::lives_within(client, namespace).await?, node_started);
            let Some(first) = stale.first() else { return Ok(()) };
            run.report.progress(stage, format!("{}: {}", first.object, first.reason));
            tokio::time::sleep(PAUSE).await;
        }
    };
    // What is stale at the limit is told by the wait for workloads, or by the checks.
    run.deadline.min(limits::POD_STATUS_RENEWED).limit(run.unless_cancelled(seen)).await.unwrap_or(Ok(()))
}

/// The containers whose status is from before the node started: the kubelet has not looked at them yet.
pub(super) fn stale(lives: &[ContainerLife], node_started: Option<SystemTime>) -> Vec<Waiting> {
    let ended = |life: &ContainerLife| life.last_end.as_ref().filter(|_| !life.runs).and_then(|end| end.at);
    let before = |life: &&ContainerLife| match (life.started.or_else(|| ended(life)), node_started) {
        // Kubernetes' times have no fraction of a second.
        (Some(last), Some(node)) => node.duration_since(last).is_ok_and(|earlier| earlier.as_secs() > 0),
        _ => false,
    };
    let waiting = |life: &ContainerLife| Waiting {
        object: format!("pod/{}", life.pod),
        reason: "its status is older than the node's start".to_owned(),
    };
    lives.iter().filter(before).map(waiting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::LastEnd;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn life(restarts: i32, started: u64, end: Option<(&str, u64)>) -> ContainerLife {
        ContainerLife {
            pod: "flyteadmin-1".to_owned(),
            container: "flyteadmin".to_owned(),
            restarts,
            runs: true,
            started: Some(at(started)),
            last_end: end.map(|(how, when)| LastEnd { how: how.to_owned(), at: Some(at(when)) }),
        }
    }

    #[test]
    fn a_restart_counts_since_the_node_started() {
        let node = Some(at(100));
        let table = [
            (life(0, 110, None), node, None),
            (life(1, 130, Some(("OOMKilled, exit code 137", 120))), node, Some("OOMKilled, exit code 137")),
            (life(1, 110, Some(("exit code 1", 90))), node, None),
            (life(1, 110, Some((ENDED_WITH_NODE, 105))), node, None),
            (life(1, 110, Some(("exit code 1", 90))), None, Some("exit code 1")),
        ];
        for (life, node, wanted) in table {
            let found = restarts(std::slice::from_ref(&life), node);
            assert_eq!(found.first().map(|restart| restart.died_of.as_str()), wanted, "{life:?}");
        }
    }

    #[test]
    fn a_container_that_started_before_its_node_is_not_known() {
        let table = [(90, Some(at(100)), 1), (100, Some(at(100)), 0), (110, Some(at(100)), 0), (90, None, 0)];
        for (when, node, stale_ones) in table {
            assert_eq!(stale(&[life(0, when, None)], node).len(), stale_ones, "started at {when}, {node:?}");
            let ended = ContainerLife { runs: false, started: None, ..life(3, 0, Some(("exit code 1", when))) };
            assert_eq!(stale(&[ended], node).len(), stale_ones, "ended at {when}, {node:?}");
        }
    }
}
