//! The record of a spare in the state folder: whose it is, and what it was made for.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Reason};
use crate::state::StateDir;

/// The record of a spare, in the folder of the cluster's name. That a spare is whole, only this says: nobody but this user can
/// write to the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpareRecord {
    /// The sandbox that may take it.
    pub of: String,
    /// What decides whether it fits.
    pub key: String,
    /// When it was proven and frozen, in seconds since 1970; absent while it is made.
    pub made: Option<u64>,
}

impl SpareRecord {
    /// The record of the cluster with this folder; absent where it is no spare.
    #[must_use]
    pub fn read(state: &StateDir) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path(state)).ok()?).ok()
    }

    /// Refuses a spare to whoever takes it for a sandbox; `sandbox` is its name.
    ///
    /// # Errors
    /// [`Reason::NameTaken`].
    pub fn refuse(state: &StateDir, sandbox: &str) -> Result<(), Failure> {
        let Some(Self { of, .. }) = Self::read(state) else { return Ok(()) };
        Err(Failure::new(Reason::NameTaken, "the name is that of a spare")
            .on(format!("sandbox {sandbox}"))
            .because(format!("it waits for the next `up` of sandbox {of}"))
            .hint(format!("`sandbox up --name {of}` takes it"))
            .hint(format!("`sandbox down --name {sandbox}` removes it")))
    }

    /// Writes the record.
    ///
    /// # Errors
    /// [`Reason::StateUnwritable`].
    pub fn write(&self, state: &StateDir) -> Result<(), Failure> {
        let text = serde_json::to_string(self)
            .map_err(|error| Failure::new(Reason::Internal, "cannot record a spare").caused_by(error))?;
        state.write(&path(state), &text)
    }

    /// The same record, of a spare that was made just now.
    #[must_use]
    pub fn made_now(self) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { made: Some(now.as_secs()), ..self }
    }
}

fn path(state: &StateDir) -> PathBuf {
    state.path().join("spare.json")
}
