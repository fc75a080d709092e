//! The status of a workload as data: how far it is, what blocks it, which container that is.

use std::time::Duration;

use serde_json::Value;

use crate::failure::Reason;

/// What surrounds workloads in their namespace, as far as it was looked at.
#[derive(Debug, Clone, Default)]
pub struct Neighbours<'a> {
    /// ReplicaSets (apps/v1).
    pub replica_sets: Vec<&'a Value>,
    /// Pods (v1).
    pub pods: Vec<&'a Value>,
    /// Events (v1).
    pub events: Vec<&'a Value>,
}

/// A container to look at, and whose logs tell more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRef {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// Whether the run before the present one has the telling log.
    pub previous: bool,
}

/// What a workload waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// What that is, should it last.
    pub reason: Reason,
    /// One line, such as `init container run-migrations: CrashLoopBackOff, exit code 1, 3 restarts`.
    pub line: String,
    /// The container it hangs on, if it is one.
    pub container: Option<ContainerRef>,
    /// Kubernetes' last events about it, oldest first.
    pub evidence: Vec<String>,
    /// How that container ended the last time, if it did and Kubernetes starts it again.
    pub last_exit: Option<LastExit>,
}

/// An end of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastExit {
    /// How often it had been started again.
    pub restarts: u64,
    /// Such as `OOMKilled, exit code 137`.
    pub how: String,
}

impl Blocker {
    /// What may pass by itself, with no container to look at.
    #[must_use]
    pub fn passing(line: impl Into<String>) -> Self {
        Self {
            reason: Reason::RolloutTimeout,
            line: line.into(),
            container: None,
            evidence: Vec::new(),
            last_exit: None,
        }
    }
}

/// How far a workload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// All of its current template's pods are available.
    Ready,
    /// On its way.
    Waiting(Blocker),
    /// Hopeless once it has lasted so long.
    Failing(Blocker, Duration),
    /// Waiting longer is of no use.
    Stuck(Blocker),
}

impl Status {
    /// The status, given how long it has hung on the same thing.
    #[must_use]
    pub fn after(self, lasted: Duration) -> Self {
        match self {
            Self::Failing(cause, grace) if lasted >= grace => Self::Stuck(cause),
            other => other,
        }
    }

    /// What it waits for; nothing when it is ready.
    #[must_use]
    pub fn cause(&self) -> Option<&Blocker> {
        match self {
            Self::Ready => None,
            Self::Waiting(cause) | Self::Failing(cause, _) | Self::Stuck(cause) => Some(cause),
        }
    }

    /// Greater is worse.
    pub(super) fn gravity(&self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::Waiting(_) => 1,
            Self::Failing(..) => 2,
            Self::Stuck(_) => 3,
        }
    }

    pub(super) fn waiting(line: impl Into<String>) -> Self {
        Self::Waiting(Blocker::passing(line))
    }
}
