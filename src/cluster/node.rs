//! The node's container is the truth about a cluster: what state it is in, starting it, and removing all that belongs
//! to it. k3d is not asked: it calls a removal a success when it was none.

use std::fmt;
use std::time::{Duration, SystemTime};

use futures::future::join_all;

use super::data::unfilled;
use super::error::Error;
use super::expiry::is_mark;
use super::forwarder::stop_forwarder;
use super::labels::{CLUSTER_LABEL, OWNER_LABEL, claim_prefix};
use super::snapshot_volumes::discard_half_snapshots;
use super::taken::{is_mark as is_taken_mark, taken};
use super::volumes::mounted;
use crate::docker::{self, ContainerState, Docker, Network};
use crate::limits;
use crate::plan::{data_volume, network_name, node_name};
use crate::run::Deadline;

const POLL: Duration = Duration::from_millis(100);

/// The state of a cluster's node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeState {
    /// No node exists.
    Absent,
    /// Created and never started: a run was interrupted.
    Unstarted,
    /// Stopped.
    Stopped,
    /// Frozen: its processes keep their memory and do not run.
    Frozen,
    /// Running.
    Running,
    /// Crash-looping.
    Restarting {
        /// Number of restarts so far.
        restarts: u64,
        /// Its last exit code.
        exit_code: i64,
    },
    /// A k3d cluster of this name that no sandbox created.
    Foreign,
}

/// Objects that were removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Containers, by name.
    pub containers: Vec<String>,
    /// Networks, by name.
    pub networks: Vec<String>,
    /// Volumes, by name.
    pub volumes: Vec<String>,
}

impl Removed {
    /// Whether there was nothing to remove.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }

    /// The objects of two removals.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.containers.extend(later.containers);
        self.networks.extend(later.networks);
        self.volumes.extend(later.volumes);
        self
    }

    fn names(&self) -> Vec<String> {
        let named =
            |kind: &str, names: &[String]| names.iter().map(|name| format!("{kind} {name}")).collect::<Vec<_>>();
        [named("container", &self.containers), named("network", &self.networks), named("volume", &self.volumes)]
            .concat()
    }
}

impl fmt::Display for Removed {
    /// `1 container, 1 network and 1 volume removed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing to remove");
        }
        let kinds = [("container", &self.containers), ("network", &self.networks), ("volume", &self.volumes)];
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let counted = kinds.iter().filter(|(_, names)| !names.is_empty());
        let counted = counted.map(|(kind, names)| format!("{} {kind}{}", names.len(), plural(names.len())));
        write!(f, "{} removed", counted.collect::<Vec<_>>().join(", "))
    }
}

impl NodeState {
    /// Whether an `up` makes the node anew, and so may take it away again where it fails. One that was there before is
    /// never taken away, not even a broken one.
    #[must_use]
    pub const fn is_ours_to_make(&self) -> bool {
        matches!(self, Self::Absent | Self::Unstarted)
    }
}

/// The state of this cluster's node.
///
/// # Errors
/// As Docker's.
pub async fn state(docker: &Docker, cluster: &str) -> Result<NodeState, docker::Error> {
    let Some(node) = docker.container(&node_name(cluster)).await? else {
        let foreign = is_foreign(docker, cluster).await?;
        return Ok(if foreign { NodeState::Foreign } else { NodeState::Absent });
    };
    if node.labels.get(OWNER_LABEL).is_none_or(|owner| owner != cluster) {
        return Ok(NodeState::Foreign);
    }
    Ok(match node.state {
        ContainerState::Running => NodeState::Running,
        ContainerState::Created => NodeState::Unstarted,
        ContainerState::Restarting => NodeState::Restarting { restarts: node.restarts, exit_code: node.exit_code },
        ContainerState::Paused => NodeState::Frozen,
        ContainerState::Exited | ContainerState::Other => NodeState::Stopped,
    })
}

/// When the node was last started; absent where there is none.
///
/// # Errors
/// As Docker's.
pub async fn started(docker: &Docker, cluster: &str) -> Result<Option<SystemTime>, docker::Error> {
    Ok(docker.container(&node_name(cluster)).await?.and_then(|node| node.started))
}

/// The names of all sandboxes on this daemon, in order.
///
/// # Errors
/// As Docker's.
pub async fn owned(docker: &Docker) -> Result<Vec<String>, docker::Error> {
    let (containers, taken) = tokio::try_join!(docker.containers(&[OWNER_LABEL]), taken(docker))?;
    let mut names: Vec<String> =
        containers.into_iter().filter_map(|container| container.labels.get(OWNER_LABEL).cloned()).collect();
    // The containers of a spare that was taken still carry the name that it had.
    names.retain(|name| taken.taker(name).is_none());
    names.extend(taken.sandboxes().cloned());
    names.sort();
    names.dedup();
    Ok(names)
}

/// What becomes of a sandbox's data volume when the rest is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// It is removed, too.
    Removed,
    /// It stays, for the next sandbox of the name.
    Kept,
}

/// Removes all that belongs to this sandbox's cluster, with half copies of its snapshots, and looks again whether it is gone.
/// The store of images, which sandboxes share, stays. That there is nothing is a success.
///
/// # Errors
/// [`Error::Foreign`], with nothing touched; [`Error::Leftovers`]; [`Error::Docker`].
pub async fn delete(docker: &Docker, cluster: &str, data: Data) -> Result<Removed, Error> {
    // What a killed run had begun to copy there is no data.
    let kept = data == Data::Kept && !unfilled(docker).await?.contains_key(cluster);
    remove(docker, cluster, |volume| !kept || volume != data_volume(cluster)).await
}

/// Removes all Docker objects of a cluster except its data, its expiry time and the claims of image stores made for it.
///
/// # Errors
/// As [`delete`].
pub(super) async fn clear(docker: &Docker, cluster: &str) -> Result<(), Error> {
    let stays = |volume: &str| {
        volume == data_volume(cluster) || is_mark(cluster, volume) || volume.starts_with(&claim_prefix(cluster))
    };
    remove(docker, cluster, |volume| !stays(volume)).await.map(|_| ())
}

/// Stops the node at once, with nothing drained: databases recover from that as from a power cut, and nothing waits for
/// pods. k3d's own node would drain itself at the polite signal, and delete the pods' volumes. Whether it ran.
///
/// # Errors
/// [`Error::Docker`].
pub async fn stop(docker: &Docker, cluster: &str) -> Result<bool, Error> {
    let node = node_name(cluster);
    let before = state(docker, cluster).await?;
    match before {
        NodeState::Frozen => docker.unpause_container(&node).await?,
        NodeState::Running | NodeState::Restarting { .. } => {}
        // It ended by itself.
        NodeState::Stopped => {
            stop_forwarder(docker, cluster).await?;
            return Ok(false);
        }
        NodeState::Absent | NodeState::Unstarted | NodeState::Foreign => return Ok(false),
    }
    if let Err(error) = docker.kill_container(&node).await {
        // It may have ended by itself.
        if state(docker, cluster).await? != NodeState::Stopped {
            return Err(error.into());
        }
    }
    stop_forwarder(docker, cluster).await?;
    Ok(true)
}

/// Freezes the node: memory stays, nothing runs. Whether it ran.
///
/// # Errors
/// [`Error::Docker`].
pub async fn freeze(docker: &Docker, cluster: &str) -> Result<bool, Error> {
    if state(docker, cluster).await? != NodeState::Running {
        return Ok(false);
    }
    docker.pause_container(&node_name(cluster)).await?;
    Ok(true)
}

async fn remove(docker: &Docker, cluster: &str, takes: impl Fn(&str) -> bool) -> Result<Removed, Error> {
    if is_foreign(docker, cluster).await? {
        return Err(Error::Foreign(cluster.to_owned()));
    }
    // What copies to one reads the data volume.
    discard_half_snapshots(docker, cluster).await?;
    let removable = async || {
        let mut found = belongings(docker, cluster).await?;
        found.volumes.retain(|volume| takes(volume));
        Ok::<_, docker::Error>(found)
    };
    let found = removable().await?;
    let names = found.names();
    let (mut left, patience) = (found, Deadline::fixed(limits::NODE_REMOVAL));
    while !left.is_empty() {
        let causes = take(docker, &left).await;
        left = removable().await?;
        if left.is_empty() {
            break;
        }
        // Docker lists a network, and knows none of that name, while another request makes or removes it: that of a run or
        // a k3d that was stopped.
        if !causes.is_empty() || patience.has_passed() {
            return Err(Error::Leftovers { left: left.names().names(), causes });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(names)
}

/// Removes these, containers first and the mark last; why some could not be.
async fn take(docker: &Docker, belongings: &Belongings) -> Vec<docker::Error> {
    let containers = join_all(belongings.containers.iter().map(|name| remove_container(docker, name))).await;
    let (networks, volumes) = tokio::join!(
        join_all(belongings.networks.iter().map(|network| docker.remove_network(network))),
        join_all(belongings.volumes.iter().map(|name| docker.remove_volume(name))),
    );
    let mut causes: Vec<_> = containers.into_iter().chain(networks).chain(volumes).filter_map(Result::err).collect();
    // Whose all that is, only the mark says.
    if let (true, Some(mark)) = (causes.is_empty(), &belongings.mark) {
        causes.extend(docker.remove_volume(mark).await.err());
    }
    causes
}

/// Removes a container, and waits until it is gone: one that an earlier run has begun to remove, and was stopped at, is
/// still on its network and uses its volumes.
async fn remove_container(docker: &Docker, name: &str) -> Result<(), docker::Error> {
    docker.remove_container(name).await?;
    let patience = Deadline::fixed(limits::NODE_REMOVAL);
    while docker.container(name).await?.is_some() && !patience.has_passed() {
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn is_foreign(docker: &Docker, cluster: &str) -> Result<bool, docker::Error> {
    let label = format!("{CLUSTER_LABEL}={cluster}");
    let servers = docker.containers(&[&label, "k3d.role=server"]).await?;
    Ok(servers.iter().any(|server| server.labels.get(OWNER_LABEL).is_none_or(|owner| owner != cluster)))
}

/// The Docker objects of a cluster, whoever created them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Belongings {
    /// Containers, by name.
    pub(crate) containers: Vec<String>,
    /// Networks: until Docker 24 several may have one name.
    pub(crate) networks: Vec<Network>,
    /// Volumes, by name.
    pub(crate) volumes: Vec<String>,
    /// The volume that says which sandbox took the cluster.
    pub(crate) mark: Option<String>,
}

impl Belongings {
    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    fn names(&self) -> Removed {
        Removed {
            containers: self.containers.clone(),
            networks: self.networks.iter().map(|network| network.name.clone()).collect(),
            volumes: self.volumes.iter().chain(&self.mark).cloned().collect(),
        }
    }
}

/// The Docker objects with the label or name of this cluster, whoever created them.
pub(crate) async fn belongings(docker: &Docker, cluster: &str) -> Result<Belongings, docker::Error> {
    let label = format!("{CLUSTER_LABEL}={cluster}");
    let network = network_name(cluster);
    let labels = [label.as_str()];
    let (containers, networks, volumes) =
        tokio::try_join!(docker.containers(&labels), docker.networks(&network), docker.volumes(&label))?;
    let (marks, volumes): (Vec<_>, Vec<_>) = volumes.into_iter().partition(is_taken_mark);
    let mut volumes: Vec<_> = volumes.into_iter().map(|volume| volume.name).collect();
    volumes.extend(mounted(cluster, &containers).cloned());
    volumes.sort();
    volumes.dedup();
    let is_k3ds = |network: &Network| network.labels.get("app").is_some_and(|app| app == "k3d");
    Ok(Belongings {
        containers: containers.into_iter().map(|container| container.name).collect(),
        networks: networks.into_iter().filter(is_k3ds).collect(),
        volumes,
        mark: marks.into_iter().next().map(|mark| mark.name),
    })
}

#[cfg(test)]
mod tests {
    use super::NodeState;

    #[test]
    fn only_a_node_that_never_ran_is_an_ups_own_to_take_away_again() {
        for (state, ours) in [
            (NodeState::Absent, true),
            (NodeState::Unstarted, true),
            (NodeState::Stopped, false),
            (NodeState::Frozen, false),
            (NodeState::Running, false),
            (NodeState::Restarting { restarts: 1, exit_code: 1 }, false),
            (NodeState::Foreign, false),
        ] {
            assert_eq!(state.is_ours_to_make(), ours, "{state:?}");
        }
    }
}
