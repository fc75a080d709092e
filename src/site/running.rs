//! A sandbox that runs: access to its cluster, and its inventory.

use kube::Client;

use super::host::Host;
use crate::failure::{Failure, Reason};
use crate::kubernetes::{self, Inventory};

/// A sandbox whose cluster runs.
pub struct Running {
    /// Whether it is a rehearsal.
    pub rehearsal: bool,
    /// Access to the cluster, from this host.
    pub kubeconfig: String,
    /// A client for that kubeconfig.
    pub client: Client,
    /// What was applied, and for which spec.
    pub inventory: Inventory,
}

impl Running {
    /// The sandbox on a cluster that is the sandbox's own.
    pub(super) async fn on_own_cluster(
        name: &str,
        kubeconfig: String,
        host: &Host,
        rehearsal: bool,
    ) -> Result<Self, Failure> {
        let client = host.clients.of(&kubeconfig)?;
        let inventory = kubernetes::find(&client).await?;
        let inventory = inventory.ok_or_else(|| absent(name, "the sandbox was not brought up whole"))?;
        Ok(Self { rehearsal, kubeconfig, client, inventory })
    }
}

/// The failure of a command that needs a sandbox that runs.
pub(super) fn absent(name: &str, what: &str) -> Failure {
    Failure::new(Reason::NotFound, what)
        .on(format!("sandbox {name}"))
        .hint(format!("`sandbox up --name {name}` makes it"))
}

/// As [`absent`], of one that is there and does not run.
pub(super) fn halted(name: &str, what: &str) -> Failure {
    Failure::new(Reason::NotFound, what)
        .on(format!("sandbox {name}"))
        .hint(format!("`sandbox start --name {name}` lets it run again"))
}
