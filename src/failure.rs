//! A failure as the user meets it: what failed, on which object, why, and what to do next.
//!
//! Pure stages have typed errors of their own; they become a [`Failure`] where they leave the stage.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// Why a run failed, as a stable identifier. [`Reason::exit_code`] groups them into the documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A defect of this program.
    Internal,
    /// A flag, variable or file of the user's that cannot be used.
    Usage,
    /// Preflight found something in the way; nothing was touched.
    Preflight,
    /// Docker does not answer, or answered with an error.
    Docker,
    /// k3d failed, or said that it succeeded and had not.
    K3d,
    /// The node does not stay up.
    NodeCrash,
    /// The cluster did not become ready in time.
    ClusterNotReady,
    /// Images are neither here nor to be had.
    ImagesMissing,
    /// An image did not reach the node.
    ImageImport,
    /// The manifests are not a Flyte, or a transform cannot place something in them.
    Manifests,
    /// The Kubernetes API refused an object.
    Apply,
    /// A workload cannot start.
    WorkloadStuck,
    /// A workload did not become ready in time.
    RolloutTimeout,
    /// What runs does not behave as Flyte should.
    Smoke,
    /// Another run holds this sandbox.
    Locked,
    /// Something of this sandbox could not be removed.
    Leftovers,
    /// There is no such sandbox.
    NotFound,
    /// The user stopped the run.
    Interrupted,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Internal,
        Self::Usage,
        Self::Preflight,
        Self::Docker,
        Self::K3d,
        Self::NodeCrash,
        Self::ClusterNotReady,
        Self::ImagesMissing,
        Self::ImageImport,
        Self::Manifests,
        Self::Apply,
        Self::WorkloadStuck,
        Self::RolloutTimeout,
        Self::Smoke,
        Self::Locked,
        Self::Leftovers,
        Self::NotFound,
        Self::Interrupted,
    ];

    /// The process exit code; the README's table lists them.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Preflight => 3,
            Self::Docker => 4,
            Self::K3d | Self::NodeCrash | Self::ClusterNotReady => 5,
            Self::ImagesMissing | Self::ImageImport => 6,
            Self::Manifests => 7,
            Self::Apply => 8,
            Self::WorkloadStuck | Self::RolloutTimeout => 9,
            Self::Smoke => 10,
            Self::Locked => 11,
            Self::Leftovers => 12,
            Self::NotFound => 13,
            Self::Interrupted => 130,
        }
    }
}

/// What failed, on which object, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// The stable identifier.
    pub reason: Reason,
    /// What could not be done: a lower-case fragment without a full stop, such as `cannot create the cluster`.
    pub what: String,
    /// The object it happened on: `deployment 103020-flytepoc-dev/flyteadmin`, `port 30084`, `image minio/minio:…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The chain of causes, outermost first; the last one is the first cause.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Lines of others' output that show it (log tails, events), oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What to do next, one sentence or command each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure with nothing but what could not be done.
    pub fn new(reason: Reason, what: impl Into<String>) -> Self {
        Self { reason, what: what.into(), object: None, causes: Vec::new(), evidence: Vec::new(), hints: Vec::new() }
    }

    /// Names the object it happened on.
    #[must_use]
    pub fn on(mut self, object: impl fmt::Display) -> Self {
        self.object = Some(object.to_string());
        self
    }

    /// Adds a deeper cause.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds an error and all its sources as causes, leaving out a source that its parent already repeats.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            if !self.causes.last().is_some_and(|said| said.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds lines of others' output.
    #[must_use]
    pub fn evidence(mut self, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.evidence.extend(lines.into_iter().map(Into::into));
        self
    }

    /// Adds something to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(object) = &self.object {
            write!(f, " ({object})")?;
        }
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
