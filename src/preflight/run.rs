//! The preflight checks of a node and of a rehearsal.

use std::time::Duration;

use super::finding::Finding;
use super::host;
use super::machine::Machine;
use super::ports;
use crate::cluster::{Engine, NodeState, state};
use crate::docker::{About, Container, ContainerState, Docker, Endpoint};
use crate::failure::{Failure, Reason};
use crate::limits::PORT_LINGERS;
use crate::manifest::ImageRef;
use crate::plan::ClusterPlan;
use crate::report::Stage;
use crate::run::Run;

const POLL: Duration = Duration::from_millis(250);

/// What Docker says before anything is made.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its version and settings.
    pub about: About,
    /// All its containers.
    pub containers: Vec<Container>,
    /// The state of the plan's node.
    pub node: NodeState,
    /// The machine that it runs on. Of one that is not this the disk and the kernel count where a node is to be made.
    pub machine: Machine,
}

/// Asks Docker for all of it at once.
///
/// # Errors
/// As Docker's.
pub async fn look(docker: &Docker, cluster: &str, node_image: &ImageRef) -> Result<Seen, Failure> {
    let (about, containers, node) = tokio::try_join!(docker.about(), docker.containers(&[]), state(docker, cluster))?;
    let machine = match node.is_ours_to_make() || about.shares_kernel() {
        true => Machine::look(docker, &about, node_image, cluster).await,
        false => Machine::default(),
    };
    Ok(Seen { about, containers, node, machine })
}

/// Waits a little where the forwarder of Docker's product still holds a port that no container publishes any more, as after
/// a `down`.
pub async fn forwarder_lets_go(seen: &Seen, plan: &ClusterPlan, run: &Run) {
    let held = || seen.about.provider.forwards_late() && ports::is_forwarded(plan, &seen.containers);
    let gone = async {
        while held() {
            run.report.progress(Stage::Preflight, format!("{} still holds a port", seen.about.provider));
            tokio::time::sleep(POLL).await;
        }
        Ok::<_, Failure>(())
    };
    // One that is held for longer is told by its finding.
    let _ = run.deadline.min(PORT_LINGERS).limit(run.unless_cancelled(gone)).await;
}

/// The findings for a plan on a node. `docker` is its address and what [`look`] saw, and `engine` the result of finding one;
/// without Docker ports are checked as far as their holders are known. `propellers` is the number that will run in the
/// node.
#[must_use]
pub fn findings(
    docker: Result<(&Endpoint, &Seen), &Failure>,
    engine: Result<&Engine, &Failure>,
    plan: &ClusterPlan,
    propellers: u64,
) -> Vec<Finding> {
    let mut found = Vec::new();
    match docker {
        Err(failure) => found.push(Finding::from_failure("docker", failure)),
        Ok((endpoint, Seen { about, containers, node, machine })) => {
            found.extend(host::docker(about, endpoint));
            found.extend(machine.disk.map(|disk| host::disk(about, disk)));
            if let Ok(Engine::K3d(k3d)) = engine {
                found.push(host::k3d(k3d.version, about, &plan.node_image));
            }
            if let Some(limit) = machine.inotify {
                let others = other_nodes(containers, &plan.name);
                found.push(host::inotify(limit, propellers, others, about, &plan.node_image));
            }
            found.push(name(&plan.name, node));
        }
    }
    match engine {
        Ok(Engine::Docker) => found.push(Finding::fine("engine", "the node is created through Docker, without k3d")),
        Ok(Engine::K3d(_)) => {}
        Err(failure) => found.push(Finding::from_failure("k3d", failure)),
    }
    found.extend(ports::findings(plan, docker.ok().map(|(_, seen)| seen.containers.as_slice())));
    found
}

/// That a cluster's Kubernetes is too old for raw-container tasks, where it is: its major and minor version, and the
/// first that will do. What fetches their inputs is an init container that goes on to run, which an older one waits for.
#[must_use]
pub fn raw_containers(kubernetes: (u32, u32), first: Option<(u32, u32)>) -> Option<Finding> {
    let (major, minor) = first.filter(|first| kubernetes < *first)?;
    let message = format!(
        "raw-container tasks wait without an end on Kubernetes v{}.{}, and need v{major}.{minor}; all others run",
        kubernetes.0, kubernetes.1
    );
    Some(Finding::warning("kubernetes", message))
}

/// The findings for a plan in a rehearsal: its ports.
#[must_use]
pub fn rehearsal(plan: &ClusterPlan) -> Vec<Finding> {
    let engine = Finding::fine("engine", "the cluster is simulated, without Docker");
    std::iter::once(engine).chain(ports::findings(plan, Some(&[]))).collect()
}

/// The number of running k3d nodes of other clusters.
fn other_nodes(containers: &[Container], cluster: &str) -> u64 {
    let runs = |container: &&Container| container.state == ContainerState::Running;
    let of_another = |container: &&Container| {
        container.labels.get("k3d.role").is_some_and(|role| role == "server" || role == "agent")
            && container.labels.get("k3d.cluster").is_some_and(|other| other != cluster)
    };
    containers.iter().filter(runs).filter(of_another).count() as u64
}

fn name(name: &str, node: &NodeState) -> Finding {
    match node {
        NodeState::Absent | NodeState::Unstarted => Finding::fine("name", format!("the name `{name}` is free")),
        NodeState::Running => Finding::fine("name", format!("the sandbox `{name}` exists and runs")),
        NodeState::Frozen => Finding::fine("name", format!("the sandbox `{name}` exists, frozen")),
        NodeState::Stopped => Finding::fine("name", format!("the sandbox `{name}` exists, stopped")),
        NodeState::Restarting { restarts, exit_code } => Finding::blocker(
            Reason::SandboxBroken,
            "name",
            format!(
                "the sandbox `{name}` is broken: its node exited {restarts} times, last with exit code {exit_code}"
            ),
        )
        .hint(format!("`sandbox down --name {name}` removes it")),
        NodeState::Foreign => {
            Finding::blocker(Reason::NameTaken, "name", format!("a k3d cluster `{name}` exists that no sandbox made"))
                .hint("`--name` chooses another name")
                .hint(format!("`k3d cluster delete {name}` removes it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Severity;

    #[test]
    fn a_kubernetes_that_is_too_old_for_raw_container_tasks_is_a_warning() {
        for (kubernetes, first, warns) in [
            ((1, 21), Some((1, 29)), true),
            ((1, 29), Some((1, 29)), false),
            ((2, 0), Some((1, 29)), false),
            ((1, 21), None, false),
        ] {
            assert_eq!(raw_containers(kubernetes, first).is_some(), warns, "{kubernetes:?} {first:?}");
        }
    }

    #[test]
    fn only_a_broken_or_foreign_cluster_of_the_name_is_in_the_way() {
        for (node, severity) in [
            (NodeState::Absent, Severity::Fine),
            (NodeState::Running, Severity::Fine),
            (NodeState::Stopped, Severity::Fine),
            (NodeState::Restarting { restarts: 3, exit_code: 1 }, Severity::Blocker),
            (NodeState::Foreign, Severity::Blocker),
        ] {
            assert_eq!(name("flyte", &node).severity, severity, "{node:?}");
        }
    }
}
