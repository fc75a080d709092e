//! Answers for a kubelet that asks for Docker before all else: without them every start of the node waits five seconds.
//!
//! The cAdvisor of Kubernetes before 1.24 asks five times, once a second, where no Docker answers
//! (`container/docker/factory.go`, `rootDirRetries`), and goes on without. k3s serves its folder of static files to
//! everybody on its own port (`pkg/server/router.go`), which listens before the kubelet starts. It finds the answers there.

use crate::docker::Docker;
use crate::plan::ClusterPlan;

/// The script that puts the answers in a node, on the volume that k3s keeps its state on.
pub(super) const SCRIPT: &str = include_str!("docker_answers.sh");

/// Arguments of `k3s server` that have the kubelet ask there. Without the answers it waits as without these.
pub(super) const ARGUMENTS: [&str; 5] = [
    "--kubelet-arg=docker=tcp://127.0.0.1:6443/static/docker",
    "--kubelet-arg=docker-tls=true",
    "--kubelet-arg=docker-tls-ca=/var/lib/rancher/k3s/agent/server-ca.crt",
    "--kubelet-arg=docker-tls-cert=/var/lib/rancher/k3s/agent/client-kubelet.crt",
    "--kubelet-arg=docker-tls-key=/var/lib/rancher/k3s/agent/client-kubelet.key",
];

/// Whether the node's Kubernetes asks; a later one does not know the arguments.
pub(super) fn are_asked_for(plan: &ClusterPlan) -> bool {
    plan.kubernetes < (1, 24)
}

/// Puts the answers in a node that runs, for its next start. One that cannot take them starts later, and one that is down
/// is told by its watch.
pub(super) async fn put(docker: &Docker, plan: &ClusterPlan) {
    if are_asked_for(plan) {
        let _ = docker.exec(&plan.node(), &["sh", "-c", SCRIPT]).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::k3s_args::k3s_args;

    #[test]
    fn a_kubelet_that_does_not_ask_for_docker_is_not_told_of_one() {
        let told = |kubernetes| {
            let node_image = "rancher/k3s:v1.21.2-k3s1".parse().expect("image");
            let (name, ports) = ("flyte".to_owned(), Vec::new());
            let plan = ClusterPlan {
                name,
                node_image,
                kubernetes,
                ports,
                api_port: None,
                network_policies: false,
                yields: false,
                store: None,
            };
            k3s_args(&plan).filter(|argument| argument.starts_with("--kubelet-arg=docker")).count()
        };
        assert_eq!([(1, 21), (1, 23), (1, 24), (1, 33)].map(told), [5, 5, 0, 0]);
    }
}
