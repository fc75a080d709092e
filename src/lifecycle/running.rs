//! A sandbox that runs: its node, its API, its inventory.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, api::ListParams};

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
        let inventory = find_inventory(&client).await?.ok_or_else(|| absent("the sandbox was not brought up whole"))?;
        Ok(Self { docker, kubeconfig, client, inventory })
    }
}

/// The inventory, in whichever namespace it is.
async fn find_inventory(client: &Client) -> Result<Option<Inventory>, Failure> {
    let everywhere: Api<ConfigMap> = Api::all(client.clone());
    let named = ListParams::default().fields(&format!("metadata.name={}", kubernetes::INVENTORY));
    let found = everywhere.list(&named).await.map_err(|error| {
        Failure::new(Reason::ClusterNotReady, "the sandbox's Kubernetes API does not answer").caused_by(&error)
    })?;
    let Some(namespace) = found.items.into_iter().find_map(|map| map.metadata.namespace) else { return Ok(None) };
    kubernetes::load(client, &namespace).await
}
