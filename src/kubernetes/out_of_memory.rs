//! Containers that were killed for lack of memory.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

use super::logs::status;

/// What a kubelet calls it.
const REASON: &str = "OOMKilled";

/// A container that was killed since it had more memory than its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfMemory {
    /// Its pod.
    pub pod: String,
    /// Its limit, such as `200Mi`; absent where it was the node that had no more.
    pub limit: Option<String>,
}

/// Those of these pods, in this life or in the one before.
pub fn out_of_memory(pods: &[Pod]) -> Vec<OutOfMemory> {
    let containers =
        pods.iter().flat_map(|pod| pod.spec.iter().flat_map(|spec| &spec.containers).map(move |one| (pod, one)));
    let killed = containers.filter(|(pod, container)| status(pod, &container.name).is_some_and(was_killed));
    let told = killed.map(|(pod, container)| OutOfMemory {
        pod: pod.name_any(),
        limit: container
            .resources
            .as_ref()
            .and_then(|resources| Some(resources.limits.as_ref()?.get("memory")?.0.clone())),
    });
    told.collect()
}

fn was_killed(status: &ContainerStatus) -> bool {
    let states = [&status.state, &status.last_state].into_iter().flatten();
    let ends = states.filter_map(|state| state.terminated.as_ref());
    ends.filter_map(|end| end.reason.as_deref()).any(|reason| reason == REASON)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_that_was_killed_is_told_with_its_limit() {
        let pod = |state: &str, reason: &str| -> Pod {
            let pod = json!({"metadata": {"name": "f1-n0-0"},
                "spec": {"containers": [{"name": "f1", "resources": {"limits": {"memory": "200Mi"}}}]},
                "status": {"containerStatuses": [{"name": "f1", "image": "", "imageID": "", "ready": false,
                    "restartCount": 0, state: {"terminated": {"exitCode": 137, "reason": reason}}}]}});
            serde_json::from_value(pod).expect("a pod")
        };
        let killed = OutOfMemory { pod: "f1-n0-0".to_owned(), limit: Some("200Mi".to_owned()) };
        for state in ["state", "lastState"] {
            let found = out_of_memory(&[pod(state, "OOMKilled"), Pod::default()]);
            assert_eq!(found, std::slice::from_ref(&killed));
            assert_eq!(out_of_memory(&[pod(state, "Error")]), []);
        }
    }
}
