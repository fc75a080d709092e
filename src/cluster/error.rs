//! Errors of a cluster, and the failure that each becomes.

use std::io;
use std::path::PathBuf;

use super::k3s_args::KUBECONFIG_PATH;
use super::node_log::NodeDown;
use crate::docker;
use crate::failure::{Failure, Reason};
use crate::kubernetes::{self, ApiError, KubeconfigError};
use crate::plan::ClusterPlan;
use crate::process;
use crate::reason::Speaker;
use crate::run::Interrupted;
use crate::text;
use crate::yaml::YamlError;

/// A cluster that is not there, not ready or not removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request that the daemon did not fulfil.
    #[error(transparent)]
    Docker(#[from] docker::Error),
    /// The user's interrupt.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A k3d that is not here, cannot be used, or made no cluster.
    #[error(transparent)]
    K3d(#[from] K3dError),
    /// The node's kubeconfig gives no client.
    #[error(transparent)]
    Client(#[from] KubeconfigError),
    /// The node does not publish the Kubernetes API.
    #[error("the cluster has no kubeconfig yet")]
    ApiUnpublished {
        /// The cluster.
        cluster: String,
    },
    /// k3s has not written its kubeconfig.
    #[error("the cluster has no kubeconfig yet")]
    KubeconfigUnwritten {
        /// The cluster.
        cluster: String,
    },
    /// The node's kubeconfig is not YAML.
    #[error("cannot use the node's kubeconfig")]
    KubeconfigSyntax(#[source] YamlError),
    /// The node's kubeconfig lacks an entry, named by its JSON pointer.
    #[error("cannot use the node's kubeconfig")]
    KubeconfigLacks(&'static str),
    /// The Kubernetes API goes on refusing our credentials, or has a certificate that is not to be trusted.
    #[error("{}", rejection(.why))]
    Rejected {
        /// The cluster.
        cluster: String,
        /// The API's answer.
        why: ApiError,
    },
    /// The limit of the wait for a ready cluster passed.
    #[error("the cluster did not become ready in time")]
    NotReady {
        /// The cluster.
        cluster: String,
        /// The limit that passed, in words.
        limit: String,
        /// The first thing that was still missing.
        missing: String,
        /// The end of the node's log.
        log: Vec<String>,
    },
    /// The node's disk stayed full, so that no pod is scheduled.
    #[error("the node takes no pods: it is short of disk space")]
    DiskPressure {
        /// The cluster.
        cluster: String,
    },
    /// The API answers in the node, and nothing arrives through the port that Docker publishes for it.
    #[error("the Kubernetes API answers in the node, and its port does not arrive on this machine")]
    PortUnreachable {
        /// The cluster.
        cluster: String,
        /// The published port.
        port: u16,
        /// How its users get ports to arrive again.
        way_out: String,
    },
    /// The node went down.
    #[error(transparent)]
    Down(#[from] NodeDown),
    /// The node of a cluster that was there before crash-loops.
    #[error("{down}")]
    CrashLoop {
        /// The cluster.
        cluster: String,
        /// How its node went down.
        down: NodeDown,
    },
    /// Somebody removed the node, a container of this name.
    #[error("the node was removed while it was used")]
    NodeRemoved(String),
    /// This machine has no free port.
    #[error("no free port for the Kubernetes API")]
    NoFreePort(#[source] io::Error),
    /// Somebody took a port since it was found free.
    #[error("a port was taken while the node was made")]
    PortTaken {
        /// The port.
        port: u16,
        /// What it was to be published for.
        purpose: Option<String>,
        /// The daemon's answer.
        source: docker::Error,
    },
    /// A cluster of this name is there that no sandbox made.
    #[error("a k3d cluster of this name is there, and it is not ours")]
    NameTaken(String),
    /// A volume is there that no sandbox made, and whose name a data volume or a mark is to have.
    #[error("a volume of this name is there that no sandbox made")]
    VolumeTaken(String),
    /// A volume of a snapshot's name is there that is no snapshot.
    #[error("a volume of this name is there that is no snapshot")]
    SnapshotVolumeTaken(String),
    /// The data volume of a cluster does not exist, or is another one under its name.
    #[error("the data of the sandbox is gone")]
    DataGone {
        /// The cluster.
        cluster: String,
        /// The volume.
        volume: String,
        /// What is there in its place.
        found: &'static str,
    },
    /// A volume without data of users, which a node mounts, does not exist, or is another one under its name.
    #[error("a volume of the sandbox's node is gone")]
    VolumeGone {
        /// The cluster.
        cluster: String,
        /// The volume.
        volume: String,
        /// What is there in its place.
        found: &'static str,
    },
    /// The cluster that is to be removed was not made by a sandbox.
    #[error("this cluster was not made by a sandbox, so it is left alone")]
    Foreign(String),
    /// The cluster that is there is not as planned.
    #[error("the sandbox that is there is not as asked for")]
    Differs {
        /// The cluster.
        cluster: String,
        /// Each difference, as a sentence.
        differences: Vec<String>,
    },
    /// Containers, networks and volumes that are still there after their removal.
    #[error("could not remove all of the sandbox")]
    Leftovers {
        /// Each by kind and name, such as `network k3d-flyte`.
        left: Vec<String>,
        /// Why, as far as the daemon told.
        causes: Vec<docker::Error>,
    },
}

/// What is wrong with the `k3d` on the PATH, or with the cluster that it made.
#[derive(Debug, thiserror::Error)]
pub enum K3dError {
    /// There is none.
    #[error("k3d is not installed")]
    Absent,
    /// It does not tell its version.
    #[error("{error}")]
    Silent {
        /// The program.
        path: PathBuf,
        /// How asking failed.
        error: process::Error,
    },
    /// It is of a version that cannot be used, or no k3d.
    #[error("this k3d cannot be used")]
    Unusable {
        /// The program.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// `k3d cluster create` failed.
    #[error("k3d could not create the cluster")]
    Create {
        /// The cluster.
        cluster: String,
        /// How it failed.
        error: process::Error,
        /// The limit that had passed by then, in words.
        expired: Option<String>,
    },
    /// `k3d cluster create` was still at it at the deadline, and there is no node.
    #[error("k3d made no node in time")]
    NoNodeInTime {
        /// The cluster.
        cluster: String,
        /// The limit that passed, in words.
        limit: String,
    },
    /// `k3d cluster create` succeeded, and there is no node.
    #[error("k3d said that it made the cluster, and there is no node")]
    NoNode {
        /// The container that should be there.
        node: String,
    },
}

fn rejection(why: &ApiError) -> &'static str {
    match why {
        ApiError::Certificate(_) => "the Kubernetes API's certificate cannot be trusted",
        _ => "the Kubernetes API rejects our credentials",
    }
}

impl Error {
    /// The same error, where a sandbox of another name is on the cluster: what a user may do about it he does to the sandbox.
    #[must_use]
    pub fn of_sandbox(mut self, name: &str) -> Self {
        if let Self::Differs { cluster, .. } | Self::CrashLoop { cluster, .. } = &mut self {
            name.clone_into(cluster);
        }
        self
    }

    /// The error that no container was made or started; a port that somebody took since it was found free is named.
    pub(super) fn of_port(error: docker::Error, plan: &ClusterPlan, api_port: Option<u16>) -> Self {
        let Some(taken) = error.taken_port() else { return error.into() };
        let api = api_port.map(|port| (port, "the Kubernetes API"));
        let mut ports = plan.ports.iter().map(|port| (port.host, port.purpose.as_str())).chain(api);
        let purpose = ports.find(|(port, _)| *port == taken).map(|(_, purpose)| purpose.to_owned());
        Self::PortTaken { port: taken, purpose, source: error }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let what = error.to_string();
        let on_cluster = |reason, cluster: &str| Self::new(reason, what.clone()).on(format!("cluster {cluster}"));
        match error {
            Error::Docker(error) => error.into(),
            Error::Interrupted(error) => error.into(),
            Error::K3d(error) => error.into(),
            Error::Client(error) => error.into(),
            Error::Down(down) => down.into(),
            Error::CrashLoop { cluster, down } => {
                Self::from(down).hint(format!("`sandbox down --name {cluster}` removes it"))
            }
            Error::ApiUnpublished { cluster } => {
                on_cluster(Reason::ClusterNotReady, &cluster).because("its node does not publish the Kubernetes API")
            }
            Error::KubeconfigUnwritten { cluster } => {
                on_cluster(Reason::ClusterNotReady, &cluster).because("k3s has not written its kubeconfig")
            }
            Error::KubeconfigSyntax(why) => Self::new(Reason::ClusterNotReady, what).on(KUBECONFIG_PATH).caused_by(why),
            Error::KubeconfigLacks(entry) => {
                Self::new(Reason::ClusterNotReady, what).on(KUBECONFIG_PATH).because(format!("it has no {entry}"))
            }
            Error::Rejected { cluster, why } => {
                kubernetes::with_clock(on_cluster(why.reason(), &cluster).caused_by(why))
            }
            Error::NotReady { cluster, limit, missing, log } => {
                on_cluster(Reason::ClusterNotReady, &cluster).because(limit).because(missing).evidence(log)
            }
            Error::DiskPressure { cluster } => on_cluster(Reason::DiskFull, &cluster)
                .because("the node has the taint node.kubernetes.io/disk-pressure"),
            Error::PortUnreachable { cluster, port, way_out } => on_cluster(Reason::PortUnreachable, &cluster)
                .because(format!("127.0.0.1:{port} is published by Docker, and nobody answers there"))
                .hint(way_out),
            Error::NodeRemoved(node) => Self::new(Reason::NodeRemoved, what).on(format!("container {node}")),
            Error::NoFreePort(why) => Self::new(Reason::PortTaken, what).caused_by(why),
            Error::PortTaken { port, purpose, source } => {
                let purpose = purpose.map(|purpose| format!(" ({purpose})")).unwrap_or_default();
                Self { what, ..Self::from(source) }.on(format!("port {port}{purpose}"))
            }
            Error::NameTaken(cluster) => on_cluster(Reason::NameTaken, &cluster)
                .hint("`--name` chooses another name")
                .hint(format!("`k3d cluster delete {cluster}` removes it")),
            Error::VolumeTaken(volume) => Self::new(Reason::NameTaken, what)
                .on(format!("volume {volume}"))
                .hint("`--name` chooses another name")
                .hint(format!("`docker volume rm {volume}` removes it, with what is in it")),
            Error::SnapshotVolumeTaken(volume) => Self::new(Reason::NameTaken, what)
                .on(format!("volume {volume}"))
                .hint("another name for the snapshot avoids it")
                .hint(format!("`docker volume rm {volume}` removes it, with what is in it")),
            Error::DataGone { cluster, volume, found } => Self::new(Reason::VolumeMissing, what)
                .on(format!("volume {volume}"))
                .because(found)
                .hint(format!(
                    "`sandbox down --name {cluster}` removes the rest; `sandbox up --name {cluster}` then begins without data, \
                     with `--restore FILE` or `--from SNAPSHOT` with saved data"
                )),
            Error::VolumeGone { cluster, volume, found } => {
                Self::new(Reason::VolumeMissing, what).on(format!("volume {volume}")).because(found).hint(format!(
                    "`sandbox down --keep-data --name {cluster}` and then `sandbox up --name {cluster}` creates the node \
                     again, with its data"
                ))
            }
            Error::Foreign(cluster) => {
                on_cluster(Reason::NotFound, &cluster).hint(format!("`k3d cluster delete {cluster}` removes it"))
            }
            Error::Differs { cluster, differences } => {
                let failure = on_cluster(Reason::SandboxDiffers, &cluster)
                    .hint(format!(
                        "`sandbox down --keep-data --name {cluster}` and then the same `up` makes it anew, with its data"
                    ))
                    .hint("`--name` chooses another name, so that both can be there");
                differences.iter().fold(failure, Self::because)
            }
            Error::Leftovers { left, causes } => {
                let failure = Self::new(Reason::Leftovers, what)
                    .on(left.join(", "))
                    .hint("run `sandbox down` again; `docker inspect` on what is left shows what holds it");
                causes.into_iter().map(Self::from).fold(Self { leftovers: left, ..failure }, Self::because)
            }
        }
    }
}

impl From<K3dError> for Failure {
    fn from(error: K3dError) -> Self {
        let install = "k3d 5.9.0 is at https://github.com/k3d-io/k3d/releases";
        let without = "`--engine docker` makes the node without k3d";
        let what = error.to_string();
        match error {
            K3dError::Absent => {
                Self::new(Reason::K3dAbsent, what).because("no `k3d` on the PATH").hint(install).hint(without)
            }
            K3dError::Silent { path, error } => {
                error.failure(Reason::K3dUnusable).on(path.display()).hint(install).hint(without)
            }
            K3dError::Unusable { path, why } => {
                Self::new(Reason::K3dUnusable, what).on(path.display()).because(why).hint(install).hint(without)
            }
            K3dError::Create { cluster, error, expired } => {
                let first = error.output.iter().filter(|line| line.contains("level=error") || line.contains("ERRO"));
                let first: Vec<String> = first.filter_map(|line| text::log_message(line)).collect();
                let said = error.failure(Reason::K3d);
                let causes = if first.is_empty() { said.causes.clone() } else { first };
                let failure = Self { what, causes, ..said }.on(format!("cluster {cluster}"));
                match expired {
                    Some(limit) => Self { reason: Reason::K3dTimeout, ..failure.because(limit) },
                    None => failure.recognised(Speaker::K3d),
                }
            }
            K3dError::NoNodeInTime { cluster, limit } => {
                Self::new(Reason::K3dTimeout, what).on(format!("cluster {cluster}")).because(limit)
            }
            K3dError::NoNode { node } => Self::new(Reason::K3dNoNode, what).on(format!("container {node}")),
        }
    }
}
