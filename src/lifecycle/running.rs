//! A sandbox that runs: its node, its API, its inventory.

use kube::Client;

use super::{Host, given};
use crate::cluster::{self, NodeState};
use crate::context::{Access, Place};
use crate::failure::{Failure, Reason};
use crate::kubernetes::{self, Inventory};
use crate::rehearsal::Rehearsal;

/// A sandbox whose cluster runs.
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
        if let Some(place) = given::known_place(name, host)? {
            return Self::at(&place, name, host).await;
        }
        let absent = |what: &str| absent(name, what);
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

    /// The sandbox of this name on a given cluster.
    pub(super) async fn at(place: &Place, name: &str, host: &Host) -> Result<Self, Failure> {
        let Access { client, kubeconfig, .. } = host.access(place)?;
        let inventory = kubernetes::find_within(&client, &place.namespace).await?;
        let own = inventory.filter(|inventory| inventory.spec.name == name);
        let inventory = own.ok_or_else(|| {
            absent(name, "there is no such sandbox").because(format!("namespace {} has none", place.namespace))
        })?;
        Ok(Self { rehearsal: false, kubeconfig, client, inventory })
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

fn absent(name: &str, what: &str) -> Failure {
    Failure::new(Reason::NotFound, what)
        .on(format!("sandbox {name}"))
        .hint(format!("`sandbox up --name {name}` makes it"))
}
