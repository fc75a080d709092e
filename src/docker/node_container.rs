//! A privileged container that runs containers itself.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};

use super::client::Docker;
use super::container::{PublishedPort, bindings};
use super::error::Error;
use crate::manifest::ImageRef;

/// The settings of a node's container: privileged, with an init and its own `/run`, restarted with the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeContainer {
    /// Its name, and its host name.
    pub name: String,
    /// Its image, which the daemon must have.
    pub image: ImageRef,
    /// The entrypoint, in place of its image's.
    pub entrypoint: Vec<String>,
    /// The entrypoint's arguments.
    pub arguments: Vec<String>,
    /// Its environment.
    pub variables: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Published ports.
    pub ports: Vec<PublishedPort>,
    /// The name of the volume at each mounted path.
    pub mounts: BTreeMap<String, String>,
    /// The network it is attached to.
    pub network: String,
    /// The name by which it reaches the host.
    pub host_name: String,
    /// Its share of the processors where others want them too; 1024 where absent. Where it is given, the daemon does not
    /// restart the container: [`Docker::make_usual`] changes both.
    pub cpu_shares: Option<i64>,
}

impl NodeContainer {
    /// The body of the request that creates it.
    pub(crate) fn request(&self) -> ContainerCreateBody {
        let (exposed, published) = bindings(&self.ports);
        let tmpfs = ["/run", "/var/run"].map(|path| (path.to_owned(), String::new()));
        let restart = match self.cpu_shares {
            Some(_) => RestartPolicyNameEnum::NO,
            None => RestartPolicyNameEnum::UNLESS_STOPPED,
        };
        let endpoint = (self.network.clone(), EndpointSettings::default());
        ContainerCreateBody {
            hostname: Some(self.name.clone()),
            image: Some(self.image.to_string()),
            entrypoint: Some(self.entrypoint.clone()),
            cmd: Some(self.arguments.clone()),
            env: Some(self.variables.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            labels: Some(self.labels.clone().into_iter().collect()),
            exposed_ports: Some(exposed),
            host_config: Some(HostConfig {
                privileged: Some(true),
                cpu_shares: self.cpu_shares,
                // Where the daemon maps users, a privileged container has to be exempt.
                userns_mode: Some("host".to_owned()),
                init: Some(true),
                restart_policy: Some(RestartPolicy { name: Some(restart), maximum_retry_count: None }),
                tmpfs: Some(HashMap::from(tmpfs)),
                binds: Some(self.mounts.iter().map(|(path, volume)| format!("{volume}:{path}")).collect()),
                port_bindings: Some(published),
                network_mode: Some(self.network.clone()),
                extra_hosts: Some(vec![format!("{}:host-gateway", self.host_name)]),
                ..HostConfig::default()
            }),
            networking_config: Some(NetworkingConfig { endpoints_config: Some(HashMap::from([endpoint])) }),
            ..ContainerCreateBody::default()
        }
    }
}

impl Docker {
    /// Creates a node's container without starting it. Its image is never pulled.
    ///
    /// # Errors
    /// [`Reason::ImagesMissing`](crate::failure::Reason::ImagesMissing) when its image or its network is not here;
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn create_node_container(&self, node: &NodeContainer) -> Result<(), Error> {
        self.create_container(&node.name, node.request()).await
    }
}
