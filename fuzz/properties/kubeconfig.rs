//! Whatever a user's kubeconfig is, a sandbox's is merged into it or refused, and what is there twice is there once.

use flyte_sandbox::cluster::merge_kubeconfig;

const OURS: &str = "{clusters: [{name: k3d-flyte, cluster: {server: 'https://127.0.0.1:6550'}}], \
    users: [{name: admin@k3d-flyte, user: {}}], \
    contexts: [{name: k3d-flyte, context: {cluster: k3d-flyte, user: admin@k3d-flyte}}], current-context: k3d-flyte}";

pub(super) fn holds(theirs: &str) {
    if let Ok(merged) = merge_kubeconfig(theirs, OURS) {
        assert_eq!(merge_kubeconfig(&merged, OURS).as_ref(), Ok(&merged));
    }
}
