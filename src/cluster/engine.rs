//! The two engines that create a node: k3d and the Docker API.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::path::Path;

use super::docker_answers;
use super::docker_engine;
use super::error::{Error, K3dError};
use super::k3d::K3d;
use super::node::{NodeState, state};
use crate::docker::Docker;
use crate::plan::ClusterPlan;
use crate::run::Run;
use crate::spec::NodeEngine;

/// An engine that was found on this machine.
#[derive(Debug, Clone)]
pub enum Engine {
    /// k3d.
    K3d(K3d),
    /// The Docker API, used as k3d does.
    Docker,
}

impl Engine {
    /// The one that is asked for; where none is, k3d if it is on the `PATH` of `env`, or else Docker. For `docker_host`
    /// and `scratch` see [`K3d::find`].
    ///
    /// # Errors
    /// [`Error::K3d`]: a k3d that is here and cannot be used is told, not passed over.
    pub async fn find(
        wanted: Option<NodeEngine>,
        env: &BTreeMap<String, String>,
        docker_host: &str,
        scratch: &Path,
        run: &Run,
    ) -> Result<Self, Error> {
        // Where Docker is in a virtual machine nothing of k3d's is needed, and its helper is another container to wait for.
        let is_default = wanted.is_none() && cfg!(target_os = "macos");
        if is_default || wanted == Some(NodeEngine::Docker) {
            return Ok(Self::Docker);
        }
        match K3d::find(env, docker_host, scratch, run).await {
            Err(Error::K3d(K3dError::Absent)) if wanted.is_none() => Ok(Self::Docker),
            found => found.map(Self::K3d),
        }
    }

    /// Creates and starts the node; never ends if k3d only timed out on a node that runs. Nothing is removed on failure.
    pub(super) async fn create(
        &self,
        docker: &Docker,
        plan: &ClusterPlan,
        api_port: u16,
        run: &Run,
    ) -> Result<(), Error> {
        let Self::K3d(k3d) = self else { return docker_engine::create(docker, plan, api_port, run).await };
        let created = k3d.create(plan, api_port, run).await;
        match (created, state(docker, &plan.name).await) {
            // k3d waits for the node, and so does `ready`, which knows what the node itself waits for.
            (Err(Error::K3d(K3dError::Create { expired: Some(_), .. })), Ok(NodeState::Running)) => pending().await,
            (Err(error), _) => Err(error),
            (Ok(()), Err(error)) => Err(error.into()),
            (Ok(()), Ok(NodeState::Absent)) => Err(K3dError::NoNode { node: plan.node() }.into()),
            _ => {
                docker_answers::put(docker, plan).await;
                Ok(())
            }
        }
    }
}

impl fmt::Display for Engine {
    /// `k3d v5.9.0` or `Docker`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::K3d(k3d) => write!(f, "k3d {}", k3d.version),
            Self::Docker => f.write_str("Docker"),
        }
    }
}
