//! A sandbox that runs: its node, its API, its inventory.

use kube::Client;

use super::Host;
use crate::cluster::{self, NodeState};
use crate::failure::{Failure, Reason};
use crate::kubernetes::{self, Inventory};
use crate::rehearsal::Rehearsal;

/// A sandbox whose node runs.
pub struct Running {
    /// Whether it is only played.
    pub rehearsal: bool,
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
        let absent = |what: &str| {
            Failure::new(Reason::NotFound, what)
                .on(format!("sandbox {name}"))
                .hint(format!("`sandbox up --name {name}` makes it"))
        };
        let played = Rehearsal::find(&host.state.sandbox(name));
        let rehearsal = played.is_some();
        let kubeconfig = match played {
            Some(played) => played.kubeconfig().ok_or_else(|| absent("the rehearsal's process has ended"))?,
            None => kubeconfig(name, host, absent).await?,
        };
        let client = kubernetes::client(&kubeconfig)?;
        let inventory = kubernetes::find(&client).await?;
        let inventory = inventory.ok_or_else(|| absent("the sandbox was not brought up whole"))?;
        Ok(Self { rehearsal, kubeconfig, client, inventory })
    }
}

/// Access to a sandbox whose node is a container.
async fn kubeconfig(name: &str, host: &Host, absent: impl Fn(&str) -> Failure) -> Result<String, Failure> {
    let docker = host.docker().await?;
    match cluster::state(&docker, name).await? {
        NodeState::Running => cluster::kubeconfig(&docker, name).await,
        NodeState::Absent | NodeState::Foreign => Err(absent("there is no such sandbox")),
        NodeState::Stopped | NodeState::Unstarted => Err(absent("the sandbox does not run")),
        NodeState::Restarting { .. } => Err(absent("the sandbox's node does not stay up")),
    }
}
