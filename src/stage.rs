//! The stages of the pipeline, as users and programs read them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stage of the pipeline, in the order in which they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Spec, bundle, render and plan: pure, milliseconds.
    Plan,
    /// What stands in the way.
    Preflight,
    /// A spare taken, where there is one.
    Spare,
    /// The k3d cluster, until its node is ready.
    Cluster,
    /// Images into the node.
    Images,
    /// Objects to the API, wave by wave.
    Apply,
    /// Workloads until they are ready.
    Rollout,
    /// Proof.
    Smoke,
    /// What a failure leaves to read, saved before it is undone.
    Evidence,
    /// A node halted.
    Stop,
    /// A running sandbox without what was put into it.
    Reset,
    /// A sandbox's data saved under a name, or such data checked.
    Snapshot,
    /// Data saved to a file, or a file of saved data checked.
    Backup,
    /// Removal.
    Down,
}

impl Stage {
    /// The name a user reads.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Preflight => "preflight",
            Self::Spare => "spare",
            Self::Cluster => "cluster",
            Self::Images => "images",
            Self::Apply => "apply",
            Self::Rollout => "rollout",
            Self::Smoke => "smoke",
            Self::Evidence => "evidence",
            Self::Stop => "stop",
            Self::Reset => "reset",
            Self::Snapshot => "snapshot",
            Self::Backup => "backup",
            Self::Down => "down",
        }
    }
}
