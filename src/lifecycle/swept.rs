//! One thing that `gc` looks at: what becomes of it, the lock it takes, its removal.

use serde::Serialize;

use crate::cluster::{self, Data};
use crate::docker::Docker;
use crate::failure::{Failure, Reason};
use crate::site::{Host, Location};
use crate::state::{SandboxLock, StateDir};

/// What became of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is gone.
    Removed,
    /// It would be removed.
    Due,
    /// Its node is frozen: its processors are free, its memory and its data stay.
    Frozen,
    /// It would be frozen.
    Idle,
    /// It was left as it is.
    Left,
    /// It could not be removed or frozen, or not all of it.
    Stuck,
}

/// A sandbox, or half a snapshot of one, what became of it and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// The sandbox's name.
    pub sandbox: String,
    /// The snapshot's name, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// What became of it.
    pub fate: Fate,
    /// A lower-case fragment without a full stop.
    pub why: String,
}

/// The lock, or who holds it.
pub(super) fn lock(state: &StateDir) -> Result<Result<SandboxLock, String>, Failure> {
    match state.lock("gc") {
        Ok(lock) => Ok(Ok(lock)),
        Err(busy) if busy.reason == Reason::Locked => Ok(Err(busy.causes.join(": "))),
        Err(failure) => Err(failure),
    }
}

/// Removes what there is of it in Docker and its state, unless another has made it, which is returned.
pub(super) async fn delete(
    sandbox: &str,
    host: &Host,
    docker: &Docker,
    lock: &SandboxLock,
) -> Result<Option<String>, Failure> {
    let cluster = cluster::cluster_of(docker, sandbox).await?;
    let left = match cluster::delete(docker, &cluster, Data::Removed).await {
        Ok(_) => None,
        Err(foreign @ cluster::Error::Foreign(_)) => Some(foreign.to_string()),
        Err(error) => return Err(error.into()),
    };
    forget(sandbox, host, lock, left)
}

/// Removes the state of one that is gone, or that was never here.
pub(super) fn forget(
    sandbox: &str,
    host: &Host,
    lock: &SandboxLock,
    left: Option<String>,
) -> Result<Option<String>, Failure> {
    let state = host.state.sandbox(sandbox);
    // A rehearsal of the same name, or one on an attached cluster, is another sandbox, whose limit this was not.
    let in_docker = Location::recorded(sandbox, host)?.is_none_or(|location| location == Location::Node);
    if in_docker && (left.is_none() || !state.path().exists()) {
        state.remove(lock)?;
    }
    Ok(left)
}
