//! The stages in order, and what is done when there is a sandbox already, or when a stage fails.
//!
//! | file | what |
//! |---|---|
//! | `up.rs` | from whatever there is to a proven sandbox |
//! | `given.rs` | the same on a given cluster, and which one that is |
//! | `withdraw.rs` | removal from namespaces that stay |
//! | `ground.rs` | what it stands on: Docker, the engine, what there is already |
//! | `converge.rs` | objects to the API wave by wave, until all are ready |
//! | `registration.rs` | admin's list of projects, brought to what the spec says |
//! | `storage.rs` | what each project has in the object store, brought to what the spec says |
//! | `retire.rs` | the end of workflow namespaces |
//! | `projects.rs` | projects that come and go while the sandbox runs |
//! | `renewal.rs` | keys that somebody else issues |
//! | `compare.rs` | what `up` would do to a sandbox that runs |
//! | `proof.rs` | that a sandbox is what it should be |
//! | `doctor.rs` | what would stand in the way of `up` |
//! | `undo.rs` | what a failed `up` leaves to read, and what it takes back |
//! | `diagnose.rs` | what there is to know about a sandbox in any state |
//! | `down.rs` | removal |
//! | `gc.rs` | removal of all whose time is over |
//! | `images.rs` | its images, without the sandbox |
//! | `rehearse.rs` | from whatever there is to a sandbox that is played, and back |
//! | `running.rs` | a sandbox that runs: its node, its API, its inventory |
//! | `status.rs` | what there is, as data |
//! | `endpoints.rs` | where to go |

mod compare;
mod converge;
mod diagnose;
mod doctor;
mod down;
mod endpoints;
mod gc;
mod given;
mod ground;
mod images;
mod projects;
mod proof;
mod registration;
mod rehearse;
mod renewal;
mod retire;
mod running;
mod status;
mod storage;
mod undo;
mod up;
mod withdraw;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use compare::compare;
pub use converge::{foundation, workloads};
pub use diagnose::{Diagnosis, diagnose};
pub use doctor::doctor;
pub use down::down;
pub use gc::{Fate, Sweep, Swept, gc};
pub use given::known_place;
pub use images::{bundle, load, pull};
pub use projects::{ProjectState, add_project, projects, remove_project};
pub use proof::smoke;
pub use renewal::{fetch_keys, known_keys, renew_keys};
pub use running::Running;
pub use status::{Phase, SpecState, Status, status};
pub use up::up;

use crate::docker::Docker;
use crate::failure::Failure;
use crate::rehearsal::Faults;
use crate::report::Outcome;
use crate::smoke::Executions;
use crate::state::StateRoot;

/// The machine that sandboxes are made on.
#[derive(Debug, Clone)]
pub struct Host {
    /// The user's home, if there is one.
    pub home: Option<PathBuf>,
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// Where sandboxes keep their state.
    pub state: StateRoot,
    /// This program, which plays where a sandbox is rehearsed.
    pub program: PathBuf,
}

impl Host {
    /// The Docker daemon.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn docker(&self) -> Result<Docker, Failure> {
        Docker::connect(&self.variables, self.home.as_deref()).await
    }
}

/// How to go about an `up`.
#[derive(Debug, Clone, PartialEq)]
pub struct Options<'a> {
    /// Leave a sandbox that failed as it is.
    pub keep: bool,
    /// The file to take images from that Docker has not.
    pub bundle: Option<&'a Path>,
    /// Use the machine's image store.
    pub store: bool,
    /// Where a workflow is run in the end. A sandbox that is as it should be is only asked to run one in all places.
    pub executions: Executions,
    /// How long from now until [`gc()`] may remove it; what was said before where absent.
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
