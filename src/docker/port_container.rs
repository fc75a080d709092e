//! A container whose published ports lead on to another container.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};

use super::client::Docker;
use super::container::{PublishedPort, bindings};
use super::error::Error;
use crate::manifest::ImageRef;

/// The settings of such a container: it may change its own network and nothing else, and is restarted with the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortContainer {
    /// Its name.
    pub name: String,
    /// Its image, which the daemon must have.
    pub image: ImageRef,
    /// The command, in place of its image's entrypoint.
    pub command: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Published ports.
    pub ports: Vec<PublishedPort>,
    /// The network it is attached to.
    pub network: String,
    /// Volumes that it may read, each with the folder that it is mounted on.
    pub mounts: Vec<(String, &'static str)>,
}

impl PortContainer {
    /// The body of the request that creates it.
    pub(crate) fn request(&self) -> ContainerCreateBody {
        let (exposed, published) = bindings(&self.ports);
        let endpoint = (self.network.clone(), EndpointSettings::default());
        ContainerCreateBody {
            image: Some(self.image.to_string()),
            entrypoint: Some(self.command.clone()),
            cmd: Some(Vec::new()),
            labels: Some(self.labels.clone().into_iter().collect()),
            exposed_ports: Some(exposed),
            host_config: Some(HostConfig {
                cap_add: Some(vec!["NET_ADMIN".to_owned()]),
                sysctls: Some(HashMap::from([("net.ipv4.ip_forward".to_owned(), "1".to_owned())])),
                init: Some(true),
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                    maximum_retry_count: None,
                }),
                port_bindings: Some(published),
                network_mode: Some(self.network.clone()),
                binds: Some(self.mounts.iter().map(|(volume, folder)| format!("{volume}:{folder}:ro")).collect()),
                ..HostConfig::default()
            }),
            networking_config: Some(NetworkingConfig { endpoints_config: Some(HashMap::from([endpoint])) }),
            ..ContainerCreateBody::default()
        }
    }
}

impl Docker {
    /// Creates the container without starting it. Its image is never pulled.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker), also where there is one of its name.
    pub async fn create_port_container(&self, container: &PortContainer) -> Result<(), Error> {
        self.create_container(&container.name, container.request()).await
    }
}
