//! How a command is to go about its work, and how it went.

use std::path::Path;
use std::time::Duration;

use super::retention::Prune;
use crate::rehearsal::Faults;
use crate::report::Outcome;
use crate::smoke::Executions;

/// How to go about an `up`.
#[derive(Debug, Clone, PartialEq)]
pub struct Options<'a> {
    /// Leave a sandbox that failed as it is.
    pub keep: bool,
    /// Remove the sandbox and its data first.
    pub fresh: bool,
    /// Take no spare.
    pub cold: bool,
    /// What that the spec lacks is removed, whatever was executed in it.
    pub prune: Prune,
    /// The backup to load; the sandbox must have no data of its own.
    pub restore: Option<&'a Path>,
    /// The snapshot to begin with; the sandbox must have no data of its own.
    pub from: Option<&'a str>,
    /// The file to take images from that Docker has not.
    pub bundle: Option<&'a Path>,
    /// Use the machine's image store.
    pub store: bool,
    /// Where a workflow is run in the end. A sandbox that is as it should be is only asked to run one in all places.
    pub executions: Executions,
    /// How long from now until [`gc()`](super::gc()) may remove it; what was said before where absent.
    pub ttl: Option<Duration>,
    /// What goes wrong in a rehearsal.
    pub faults: Faults,
}

/// How a run went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// [`Outcome::Passed`] or [`Outcome::Unchanged`].
    pub outcome: Outcome,
    /// One line for the user.
    pub summary: String,
}

impl Done {
    /// Something was changed.
    pub(super) fn passed(summary: impl Into<String>) -> Self {
        Self { outcome: Outcome::Passed, summary: summary.into() }
    }

    /// Nothing had to be changed.
    pub(super) fn unchanged(summary: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unchanged, summary: summary.into() }
    }
}
