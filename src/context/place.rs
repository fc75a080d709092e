//! Which cluster, where in it, and how that is remembered.

use serde::{Deserialize, Serialize};

use crate::spec::{SiteKind, Spec};

/// Where a sandbox is that is on a given cluster. Kept on this machine, so that commands without a spec find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The kubeconfig context.
    pub context: String,
    /// The kubeconfig that has it; `$KUBECONFIG` or `~/.kube/config` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
    /// The system namespace, which holds the inventory.
    pub namespace: String,
    /// The address that the context led to when something was applied: one that leads elsewhere by now leads to another
    /// cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

impl Place {
    /// Where a spec wants its sandbox; nowhere unless its engine is `context`.
    #[must_use]
    pub fn of(spec: &Spec) -> Option<Self> {
        let context = spec.context.clone().filter(|_| spec.site_kind() == SiteKind::Attached)?;
        Some(Self { context, kubeconfig: spec.kubeconfig.clone(), namespace: spec.system_namespace(), server: None })
    }
}
