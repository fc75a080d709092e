//! A cluster in any state, made into one that is ready.

use super::engine::Engine;
use super::error::Error;
use super::k3s_args::NO_NETWORK_POLICIES;
use super::node::{NodeState, clear, state};
use super::volumes::{check_new_node, check_volumes, discard_new_node};
use super::{Access, crash, forwarder, ready};
use crate::docker::{ContainerState, Docker, Inspected};
use crate::plan::{API_PORT, ClusterPlan, data_volume, node_name};
use crate::report::{Outcome, Stage};
use crate::run::Run;
use crate::spec::DATA_FOLDER;

/// A cluster in which pods can run.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The way to its API.
    pub access: Access,
    /// Whether it was running before.
    pub outcome: Outcome,
}

/// Creates the cluster, or starts it, or finds it running, and waits until pods can run in it. Names may not resolve
/// yet: see [`wait_for_dns`](super::wait_for_dns). What was made is left in place on failure, so that it can be looked
/// into; [`delete`](super::delete) removes it. `known` is the way to the API of one that runs, where that is known.
///
/// # Errors
/// [`Error::NameTaken`], [`Error::Differs`], [`Error::CrashLoop`], [`Error::DataGone`], [`Error::VolumeGone`], and those of
/// [`Engine`], the node and its API.
pub async fn reconcile(
    docker: &Docker,
    engine: &Engine,
    plan: &ClusterPlan,
    known: Option<Access>,
    run: &Run,
) -> Result<Cluster, Error> {
    let work = async {
        match state(docker, &plan.name).await? {
            NodeState::Absent | NodeState::Unstarted => create(docker, engine, plan, run).await,
            NodeState::Stopped | NodeState::Frozen => {
                let api_port = unchanged(docker, plan).await?;
                let node = docker.container(&plan.node()).await?.ok_or_else(|| removed(plan))?;
                wake(docker, &plan.name, &node, run).await?;
                let access = settle(docker, &plan.name, api_port, None, run).await?;
                Ok(cluster(plan, access, Outcome::Passed))
            }
            NodeState::Running => {
                let api_port = unchanged(docker, plan).await?;
                let access = settle(docker, &plan.name, api_port, known, run).await?;
                Ok(cluster(plan, access, Outcome::Unchanged))
            }
            NodeState::Restarting { .. } => {
                let node = docker.container(&plan.node()).await?.ok_or_else(|| removed(plan))?;
                let down = crash::explain(docker, &plan.node(), &node).await;
                Err(Error::CrashLoop { cluster: plan.name.clone(), down })
            }
            NodeState::Foreign => Err(Error::NameTaken(plan.name.clone())),
        }
    };
    run.unless_cancelled(work).await
}

/// Starts or thaws the node of a cluster that was made before, and waits until pods can run in it.
///
/// # Errors
/// [`Error::NodeRemoved`] when there is no node; [`Error::DataGone`], [`Error::VolumeGone`]; the node's and the cluster's;
/// [`Error::Interrupted`].
pub async fn resume(docker: &Docker, name: &str, run: &Run) -> Result<Access, Error> {
    let node = node_name(name);
    let work = async {
        let container = forwarder::node(docker, name).await?.ok_or_else(|| Error::NodeRemoved(node.clone()))?;
        let port = container.ports.iter().find(|port| port.container == API_PORT).map(|port| port.host);
        let port = port.ok_or_else(|| Error::ApiUnpublished { cluster: name.to_owned() })?;
        wake(docker, name, &container, run).await?;
        settle(docker, name, port, None, run).await
    };
    run.unless_cancelled(work).await
}

async fn wake(docker: &Docker, cluster: &str, node: &Inspected, run: &Run) -> Result<(), Error> {
    let name = node_name(cluster);
    if node.state == ContainerState::Paused {
        run.report.progress(Stage::Cluster, "thaw the node");
        docker.unpause_container(&name).await?;
    } else {
        check_volumes(docker, cluster, node).await?;
        run.report.progress(Stage::Cluster, "start the node");
        docker.start_container(&name).await?;
    }
    Ok(forwarder::start_forwarder(docker, cluster).await?)
}

fn cluster(plan: &ClusterPlan, access: Access, outcome: Outcome) -> Cluster {
    Cluster { name: plan.name.clone(), access, outcome }
}

/// k3d says that it is done when the API is up, or when it is not; the node's log says more, and sooner. So all three
/// are listened to from the start, and the first failure of any ends the others.
async fn create(docker: &Docker, engine: &Engine, plan: &ClusterPlan, run: &Run) -> Result<Cluster, Error> {
    if let Some(port) = plan.api_port {
        return create_at(docker, engine, plan, port, run).await;
    }
    // What is free here may be taken in Docker's virtual machine.
    for _ in 1..API_PORTS {
        let port = free_port()?;
        match Box::pin(create_at(docker, engine, plan, port, run)).await {
            Err(Error::PortTaken { port: taken, .. }) if taken == port => {}
            created => return created,
        }
    }
    create_at(docker, engine, plan, free_port()?, run).await
}

async fn create_at(
    docker: &Docker,
    engine: &Engine,
    plan: &ClusterPlan,
    api_port: u16,
    run: &Run,
) -> Result<Cluster, Error> {
    // A network that an interrupted run left would be taken for somebody else's and never be removed.
    clear(docker, &plan.name).await?;
    let node = plan.node();
    let access = async {
        // On the heap: two ways to make a node are more than a small thread's stack has room for beside all that waits.
        let made = Box::pin(async {
            engine.create(docker, plan, api_port, run).await?;
            check_new_node(docker, &plan.name).await
        });
        let ready = ready::wait(docker, &plan.name, api_port, None, run);
        tokio::try_join!(made, ready).map(|((), access)| access)
    };
    let access = tokio::select! {
        access = access => access,
        error = crash::watch(docker, &node) => Err(error),
    };
    if let Err(error) = &access {
        discard_new_node(docker, &plan.name, error).await?;
    }
    Ok(cluster(plan, access?, Outcome::Passed))
}

async fn settle(docker: &Docker, name: &str, api_port: u16, known: Option<Access>, run: &Run) -> Result<Access, Error> {
    let node = node_name(name);
    tokio::select! {
        access = ready::wait(docker, name, api_port, known, run) => access,
        error = crash::watch(docker, &node) => Err(error),
    }
}

/// The API port of a node that is as planned: what a container publishes cannot be changed once it is made.
async fn unchanged(docker: &Docker, plan: &ClusterPlan) -> Result<u16, Error> {
    let (node, image) = tokio::try_join!(forwarder::node(docker, &plan.name), docker.image(&plan.node_image))?;
    let node = node.ok_or_else(|| removed(plan))?;
    let differences = differences(plan, &node, image.map(|image| image.id).as_deref());
    let api_port = node.ports.iter().find(|port| port.container == API_PORT).map(|port| port.host);
    match api_port {
        Some(port) if differences.is_empty() => Ok(port),
        _ => Err(Error::Differs { cluster: plan.name.clone(), differences }),
    }
}

fn removed(plan: &ClusterPlan) -> Error {
    Error::NodeRemoved(plan.node())
}

fn differences(plan: &ClusterPlan, node: &Inspected, image_id: Option<&str>) -> Vec<String> {
    let mut found = Vec::new();
    let published = |container: u16| node.ports.iter().find(|port| port.container == container).map(|port| port.host);
    for port in &plan.ports {
        match published(port.node) {
            Some(host) if host == port.host => {}
            Some(host) => found.push(format!("{} is published on port {host}, not {}", port.purpose, port.host)),
            None => found.push(format!("{} is not published", port.purpose)),
        }
    }
    match (published(API_PORT), plan.api_port) {
        (Some(host), Some(wanted)) if host != wanted => {
            found.push(format!("the Kubernetes API is published on port {host}, not {wanted}"));
        }
        (None, _) => found.push("the Kubernetes API is not published".to_owned()),
        _ => {}
    }
    if node.mounts.get(DATA_FOLDER).is_none_or(|volume| *volume != data_volume(&plan.name)) {
        found.push("its node keeps no data on a volume: an earlier version of this program made it".to_owned());
    }
    if plan.network_policies && node.arguments.iter().any(|argument| argument == NO_NETWORK_POLICIES) {
        found.push("its node does not enforce NetworkPolicies".to_owned());
    }
    if image_id.is_some_and(|id| id != node.image_id) {
        found.push(format!("its node runs another image than {}", plan.node_image));
    }
    found
}

/// How many ports are tried for an API that is to have any.
const API_PORTS: usize = 3;

/// A free port. k3d would choose one on an address of its own.
fn free_port() -> Result<u16, Error> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
    listener.and_then(|listener| listener.local_addr()).map(|address| address.port()).map_err(Error::NoFreePort)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::{Protocol, PublishedPort};
    use crate::plan::PortMapping;

    fn plan(api_port: Option<u16>) -> ClusterPlan {
        ClusterPlan {
            name: "flyte".into(),
            node_image: "rancher/k3s:v1.21.2-k3s1".parse().expect("image"),
            kubernetes: (1, 21),
            ports: vec![PortMapping { host: 30081, node: 30081, purpose: "console".into() }],
            api_port,
            network_policies: false,
            yields: false,
            store: None,
        }
    }

    fn node(ports: &[(u16, u16)]) -> Inspected {
        let port = |&(host, container): &(u16, u16)| PublishedPort {
            address: "127.0.0.1".into(),
            protocol: Protocol::Tcp,
            host,
            container,
        };
        Inspected {
            state: ContainerState::Running,
            ports: ports.iter().map(port).collect(),
            image_id: "sha256:1".into(),
            mounts: [(DATA_FOLDER.to_owned(), "k3d-flyte-data".to_owned())].into(),
            ..Inspected::default()
        }
    }

    #[test]
    fn a_node_as_planned_has_no_differences() {
        let node = node(&[(30081, 30081), (6550, 6443)]);
        assert_eq!(differences(&plan(None), &node, Some("sha256:1")), Vec::<String>::new());
        assert_eq!(differences(&plan(Some(6550)), &node, None), Vec::<String>::new());
    }

    #[test]
    fn a_node_that_does_not_enforce_policies_is_another_only_where_it_shall() {
        let lax = || vec!["server".to_owned(), NO_NETWORK_POLICIES.to_owned()];
        for (asked_for, arguments, found) in [
            (true, lax(), vec!["its node does not enforce NetworkPolicies"]),
            (true, Vec::new(), vec![]),
            (false, lax(), vec![]),
            (false, Vec::new(), vec![]),
        ] {
            let plan = ClusterPlan { network_policies: asked_for, ..plan(None) };
            let node = Inspected { arguments, ..node(&[(30081, 30081), (6550, 6443)]) };
            assert_eq!(differences(&plan, &node, None), found);
        }
    }

    #[test]
    fn every_difference_is_told() {
        assert_eq!(
            differences(&plan(Some(1)), &node(&[(31081, 30081), (6550, 6443)]), Some("sha256:2")),
            [
                "console is published on port 31081, not 30081",
                "the Kubernetes API is published on port 6550, not 1",
                "its node runs another image than rancher/k3s:v1.21.2-k3s1",
            ]
        );
        assert_eq!(
            differences(&plan(None), &node(&[]), None),
            ["console is not published", "the Kubernetes API is not published"]
        );
    }
}
