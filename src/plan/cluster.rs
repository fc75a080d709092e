//! The cluster as planned, and the names of its node and network.

use serde::Serialize;

use crate::flyte::names::{self, PublishedService};
use crate::manifest::ImageRef;
use crate::spec::{DATA_FOLDER, Spec};

/// Where containerd keeps images inside a k3s node.
const STORE_PATH: &str = "/var/lib/rancher/k3s/agent/containerd";

/// The port of the Kubernetes API inside the node.
pub(crate) const API_PORT: u16 = 6443;

/// A NodePort and where it is published on the host's loopback address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortMapping {
    /// The port on 127.0.0.1.
    pub host: u16,
    /// The port of the node.
    pub node: u16,
    /// What is behind it, as a word of the flag that changes it: `console`, `dashboard`, `minio`, `postgres`,
    /// `registry`.
    pub purpose: String,
}

/// The cluster that shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterPlan {
    /// The sandbox's and the cluster's name.
    pub name: String,
    /// The k3s image of the node.
    pub node_image: ImageRef,
    /// Major and minor version of the node's Kubernetes.
    pub kubernetes: (u32, u32),
    /// Published NodePorts.
    pub ports: Vec<PortMapping>,
    /// Where the Kubernetes API is published on 127.0.0.1; any free port where absent.
    pub api_port: Option<u16>,
    /// Whether the node enforces NetworkPolicies.
    pub network_policies: bool,
    /// Whether the node leaves the processors to whoever else wants them: it is made ahead, and nobody waits for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub yields: bool,
    /// The volume that keeps the node's images from one cluster to the next, if any.
    pub store: Option<String>,
}

impl ClusterPlan {
    /// One node, with its NodePorts on the host ports of the spec.
    pub(super) fn of(spec: &Spec) -> Self {
        let port =
            |host, of: PublishedService| PortMapping { host, node: of.node_port, purpose: of.purpose.to_owned() };
        let always = [
            port(spec.ports.console, names::PUBLISHED_CONSOLE),
            port(spec.ports.dashboard, names::PUBLISHED_DASHBOARD),
            port(spec.ports.minio, names::PUBLISHED_MINIO),
        ];
        let postgres = spec.ports.postgres.map(|host| port(host, names::PUBLISHED_POSTGRES));
        let registry =
            spec.ports.registry.map(|port| PortMapping { host: port, node: port, purpose: "registry".to_owned() });
        Self {
            name: spec.name.clone(),
            node_image: spec.node_image.clone(),
            kubernetes: spec.kubernetes_minor(),
            ports: always.into_iter().chain(postgres).chain(registry).collect(),
            api_port: spec.ports.api,
            network_policies: spec.network_policies,
            yields: false,
            store: None,
        }
    }

    /// The volumes mounted in the node, with where they are mounted.
    pub(crate) fn mounts(&self) -> impl Iterator<Item = (String, &'static str)> {
        let store = self.store.clone().map(|store| (store, STORE_PATH));
        store.into_iter().chain([(data_volume(&self.name), DATA_FOLDER)])
    }

    /// The node's container.
    #[must_use]
    pub fn node(&self) -> String {
        node_name(&self.name)
    }
}

/// The container of a cluster's node, as k3d names it.
pub(crate) fn node_name(cluster: &str) -> String {
    format!("k3d-{cluster}-server-0")
}

/// The volume of a cluster's data: database and buckets.
pub(crate) fn data_volume(cluster: &str) -> String {
    format!("{}-data", network_name(cluster))
}

/// A cluster's network, as k3d names it; its kubeconfig context has the same name.
pub(crate) fn network_name(cluster: &str) -> String {
    format!("k3d-{cluster}")
}
