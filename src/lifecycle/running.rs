//! A sandbox that runs: its node, its API, its inventory.

use kube::Client;

use super::Host;
use crate::cluster::{self, NodeState};
use crate::docker::Docker;
use crate::failure::{Failure, Reason};
use crate::kubernetes::{self, Inventory};

/// A sandbox whose node runs.
pub struct Running {
    /// The daemon that the node runs on.
    pub docker: Docker,
    /// Access to the cluster, from this host.
    pub kubeconfig: String,
    /// The same, as a client.
    pub client: Client,
    /// What was applied, and for which spec.
    pub inventory: Inventory,
}

impl Running {
    /// Finds the sandbox of this name.
    ///
    /// # Errors
    /// [`Reason::NotFound`] when there is none that runs, or when it was never brought up whole.
    pub async fn find(name: &str, host: &Host) -> Result<Self, Failure> {
        let docker = host.docker().await?;
        let absent = |what: &str| {
            Failure::new(Reason::NotFound, what)
                .on(format!("sandbox {name}"))
                .hint(format!("`sandbox up --name {name}` makes it"))
        };
        match cluster::state(&docker, name).await? {
            NodeState::Running => {}
            NodeState::Absent | NodeState::Foreign => return Err(absent("there is no such sandbox")),
            NodeState::Stopped | NodeState::Unstarted => return Err(absent("the sandbox does not run")),
            NodeState::Restarting { .. } => return Err(absent("the sandbox's node does not stay up")),
        }
        let kubeconfig = cluster::kubeconfig(&docker, name).await?;
        let client = kubernetes::client(&kubeconfig)?;
        let inventory = kubernetes::find(&client).await?;
        let inventory = inventory.ok_or_else(|| absent("the sandbox was not brought up whole"))?;
        Ok(Self { docker, kubeconfig, client, inventory })
    }
}
