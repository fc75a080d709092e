//! Labels on the containers and volumes of a cluster.

/// The label on everything a sandbox makes; its value is the sandbox's name.
pub const OWNER_LABEL: &str = "sandbox.flyte/owner";

/// k3d's label on everything of a cluster; its value is the cluster's name.
pub(super) const CLUSTER_LABEL: &str = "k3d.cluster";
