//! The machine that sandboxes are made on.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;

use crate::docker::{Docker, Endpoint, Origin};
use crate::failure::Failure;
use crate::kubernetes;
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
    /// Connections to the APIs of its clusters.
    pub clients: Clients,
}

/// One client for each kubeconfig, by its text: those who ask the same API use the same connections, each of which costs
/// both ends a TLS handshake.
#[derive(Clone, Default)]
pub struct Clients(Arc<Mutex<BTreeMap<String, Client>>>);

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    /// The client for a kubeconfig.
    ///
    /// # Errors
    /// It cannot be used.
    pub(super) fn of(&self, kubeconfig: &str) -> Result<Client, Failure> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(kubeconfig) {
            return Ok(client.clone());
        }
        let client = kubernetes::client(kubeconfig)?;
        clients.insert(kubeconfig.to_owned(), client.clone());
        Ok(client)
    }
}

impl Host {
    /// A connection to the Docker daemon.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn docker(&self) -> Result<Docker, Failure> {
        Docker::connect(&self.variables, self.home.as_deref()).await
    }

    /// The failure of a port that does not arrive here, with how that is mended in the product that runs Docker.
    pub async fn with_way_out(&self, failure: Failure) -> Failure {
        let Ok(docker) = self.docker().await else { return failure };
        match docker.about().await {
            Ok(about) => failure.hint(about.provider.ports_again()),
            Err(_) => failure,
        }
    }

    /// Whether nobody named a Docker daemon: one that a variable or a context names is expected to answer.
    pub(super) fn names_no_docker(&self) -> bool {
        Endpoint::find(&self.variables, self.home.as_deref())
            .is_ok_and(|endpoint| matches!(endpoint.origin, Origin::Socket))
    }
}
