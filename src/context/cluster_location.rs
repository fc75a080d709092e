//! The location of a sandbox on an attached cluster, and its record in the state folder.

use serde::{Deserialize, Serialize};

use crate::spec::{SiteKind, Spec};

/// The location of a sandbox on an attached cluster. Recorded on this machine, so that commands without a spec find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterLocation {
    /// The kubeconfig context.
    pub context: String,
    /// The kubeconfig that has it; `$KUBECONFIG` or `~/.kube/config` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
    /// The system namespace, which holds the inventory.
    pub namespace: String,
    /// The address of the API server at the last apply. A context that points elsewhere now means another cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

impl ClusterLocation {
    /// The location that a spec asks for; none unless its engine is `context`.
    #[must_use]
    pub fn of(spec: &Spec) -> Option<Self> {
        let context = spec.context.clone().filter(|_| spec.site_kind() == SiteKind::Attached)?;
        Some(Self { context, kubeconfig: spec.kubeconfig.clone(), namespace: spec.system_namespace(), server: None })
    }
}
