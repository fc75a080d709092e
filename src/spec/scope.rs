//! The kind of cluster that a spec asks for, and the part of it that belongs to the sandbox.

use super::model::{EngineKind, Spec};

/// Where a node's data volume is mounted in it.
pub const DATA_FOLDER: &str = "/var/lib/sandbox";

/// The kind of cluster that a sandbox is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteKind {
    /// A k3s node in Docker that the sandbox makes and removes.
    Node,
    /// An existing cluster, in namespaces that its administrator made.
    Attached,
    /// A cluster that this program simulates.
    Rehearsal,
}

/// The program that makes a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeEngine {
    /// The `k3d` on the PATH.
    K3d,
    /// The Docker API.
    Docker,
}

/// The part of a cluster that belongs to the sandbox. What renders, applies and checks asks for this, never for the
/// engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Whether namespaces, CustomResourceDefinitions and nodes are the sandbox's own. Where they are not, it has the
    /// rights of a user of its namespaces.
    pub owns_cluster: bool,
    /// Whether NodePorts are published on 127.0.0.1. Where they are not, pods are reached by port-forward.
    pub publishes_ports: bool,
    /// The folder of the node that the sandbox's data volume is mounted at; absent where the node is not ours.
    pub data_folder: Option<&'static str>,
}

impl EngineKind {
    /// The kind of cluster that this engine stands for.
    #[must_use]
    pub const fn site_kind(self) -> SiteKind {
        match self {
            Self::K3d | Self::Docker => SiteKind::Node,
            Self::Rehearsal => SiteKind::Rehearsal,
            Self::Context => SiteKind::Attached,
        }
    }
}

impl Spec {
    /// The kind of cluster that the spec asks for.
    #[must_use]
    pub fn site_kind(&self) -> SiteKind {
        self.engine.map_or(SiteKind::Node, EngineKind::site_kind)
    }

    /// The program that is to make the node; absent where the spec leaves it open.
    #[must_use]
    pub const fn node_engine(&self) -> Option<NodeEngine> {
        match self.engine {
            Some(EngineKind::K3d) => Some(NodeEngine::K3d),
            Some(EngineKind::Docker) => Some(NodeEngine::Docker),
            Some(EngineKind::Rehearsal | EngineKind::Context) | None => None,
        }
    }

    /// The part of the cluster that belongs to this sandbox.
    #[must_use]
    pub fn scope(&self) -> Scope {
        let own = self.site_kind() != SiteKind::Attached;
        Scope { owns_cluster: own, publishes_ports: own && !self.unpublished, data_folder: own.then_some(DATA_FOLDER) }
    }
}
