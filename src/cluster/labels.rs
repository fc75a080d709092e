//! Labels on the containers and volumes of a cluster.

use crate::plan::network_name;

/// The label on everything a sandbox makes; its value is the sandbox's name.
pub const OWNER_LABEL: &str = "sandbox.flyte/owner";

/// k3d's label on everything of a cluster; its value is the cluster's name.
pub(crate) const CLUSTER_LABEL: &str = "k3d.cluster";

/// What is on everything that goes with a cluster.
pub(crate) fn cluster_labels(cluster: &str) -> [(&'static str, &str); 3] {
    [("app", "k3d"), (CLUSTER_LABEL, cluster), (OWNER_LABEL, cluster)]
}

/// How the volumes are called that claim something for a cluster while it is being made.
pub(crate) fn claim_prefix(cluster: &str) -> String {
    format!("{}-claim-", network_name(cluster))
}
