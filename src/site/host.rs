//! The machine that sandboxes are made on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::docker::{Docker, Endpoint, Origin};
use crate::failure::Failure;
use crate::state::StateRoot;

/// The machine that sandboxes are made on.
#[derive(Debug, Clone)]
pub struct Host {
    /// The user's home directory, if there is one.
    pub home: Option<PathBuf>,
    /// The environment variables.
    pub variables: BTreeMap<String, String>,
    /// Where sandboxes keep their state.
    pub state: StateRoot,
    /// The path of this program, which is started again to simulate a cluster.
    pub program: PathBuf,
}

impl Host {
    /// A connection to the Docker daemon.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn docker(&self) -> Result<Docker, Failure> {
        Docker::connect(&self.variables, self.home.as_deref()).await
    }

    /// Whether nobody named a Docker daemon: one that a variable or a context names is expected to answer.
    pub(super) fn names_no_docker(&self) -> bool {
        Endpoint::find(&self.variables, self.home.as_deref())
            .is_ok_and(|endpoint| matches!(endpoint.origin, Origin::Socket))
    }
}
