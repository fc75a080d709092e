//! The container that publishes the ports of a sandbox that took a spare, the forwarder: the ports of a container cannot be
//! changed.

use super::error::Error;
use super::labels::{CLUSTER_LABEL, OWNER_LABEL};
use super::taken::{mark, mark_name, unmark};
use crate::docker::{self, Container, ContainerState, Docker, Inspected, PortContainer, PublishedPort};
use crate::plan::{API_PORT, ClusterPlan, network_name, node_name};

const SCRIPT: &str = include_str!("forward.sh");
/// The label of a forwarder.
const FORWARDER_LABEL: &str = "sandbox.flyte/forwarder";
/// Where a forwarder mounts the mark of its sandbox: `docker volume prune` removes a volume that no container mounts.
const MARK_FOLDER: &str = "/run/sandbox";

/// Makes the cluster of a plan a sandbox's, and publishes the plan's ports for it.
///
/// # Errors
/// [`Error::PortTaken`], [`Error::VolumeTaken`], [`Error::Docker`]. The cluster is nobody's then, unless it was the sandbox's before.
pub async fn take(docker: &Docker, sandbox: &str, plan: &ClusterPlan) -> Result<(), Error> {
    mark(docker, sandbox, &plan.name, &plan.node_image).await?;
    let Err(error) = publish(docker, sandbox, plan).await else { return Ok(()) };
    // Refused where a forwarder mounts it, which was there before; why there is no other comes first.
    let _ = unmark(docker, sandbox).await;
    Err(error)
}

/// Publishes the ports of a plan for the sandbox that took its cluster, where that is not done: somebody may have removed the
/// forwarder.
///
/// # Errors
/// [`Error::PortTaken`], [`Error::Docker`].
pub async fn publish_again(docker: &Docker, sandbox: &str, plan: &ClusterPlan) -> Result<(), Error> {
    match forwarder_of(docker, &plan.name).await? {
        Some(_) => Ok(()),
        None => publish(docker, sandbox, plan).await,
    }
}

async fn publish(docker: &Docker, sandbox: &str, plan: &ClusterPlan) -> Result<(), Error> {
    let container = container(sandbox, plan);
    docker.create_port_container(&container).await?;
    let Err(error) = docker.start_container(&container.name).await else { return Ok(()) };
    docker.remove_container(&container.name).await?;
    Err(Error::of_port(error, plan, plan.api_port))
}

fn container(sandbox: &str, plan: &ClusterPlan) -> PortContainer {
    let api = plan.api_port.map(|port| (port, API_PORT));
    let pairs: Vec<_> = plan.ports.iter().map(|port| (port.host, port.node)).chain(api).collect();
    let said: Vec<_> = SCRIPT.lines().filter(|line| !line.starts_with('#')).collect();
    let (script, node) = (said.join("\n"), plan.node());
    let command = ["/bin/sh", "-c", &script, "forward", &node].map(str::to_owned).into_iter();
    let labels = [("app", "k3d"), (CLUSTER_LABEL, &plan.name), (OWNER_LABEL, sandbox), (FORWARDER_LABEL, "true")];
    PortContainer {
        name: forwarder_name(sandbox),
        image: plan.node_image.clone(),
        command: command.chain(pairs.iter().map(|(_, node)| node.to_string())).collect(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ports: pairs.iter().map(|&(host, node)| PublishedPort::on_loopback(host, node)).collect(),
        network: network_name(&plan.name),
        mounts: vec![(mark_name(sandbox), MARK_FOLDER)],
    }
}

fn forwarder_name(sandbox: &str) -> String {
    format!("{}-ports", network_name(sandbox))
}

/// The forwarder of a cluster, where a sandbox took it.
async fn forwarder_of(docker: &Docker, cluster: &str) -> Result<Option<Container>, docker::Error> {
    let labels = [format!("{CLUSTER_LABEL}={cluster}"), FORWARDER_LABEL.to_owned()];
    Ok(docker.containers(&labels.each_ref().map(String::as_str)).await?.pop())
}

/// The node of a cluster with the ports that lead to it, its own and its forwarder's; absent where there is no node.
///
/// # Errors
/// As Docker's.
pub async fn node(docker: &Docker, cluster: &str) -> Result<Option<Inspected>, docker::Error> {
    let name = node_name(cluster);
    let (node, forwarder) = tokio::try_join!(docker.container(&name), forwarder_of(docker, cluster))?;
    let (Some(mut node), Some(forwarder)) = (node.clone(), forwarder) else { return Ok(node) };
    let published = docker.container(&forwarder.name).await?.unwrap_or_default().ports;
    node.ports.retain(|own| !published.iter().any(|port| port.container == own.container));
    node.ports.extend(published);
    Ok(Some(node))
}

/// Stops the forwarder of a cluster, where there is one: a sandbox that is stopped holds no port.
///
/// # Errors
/// As Docker's.
pub(super) async fn stop_forwarder(docker: &Docker, cluster: &str) -> Result<(), docker::Error> {
    match forwarder_of(docker, cluster).await? {
        Some(forwarder) if forwarder.state == ContainerState::Running => docker.kill_container(&forwarder.name).await,
        _ => Ok(()),
    }
}

/// Starts the forwarder of a cluster, where there is one.
///
/// # Errors
/// As Docker's.
pub(super) async fn start_forwarder(docker: &Docker, cluster: &str) -> Result<(), docker::Error> {
    match forwarder_of(docker, cluster).await? {
        Some(forwarder) if forwarder.state != ContainerState::Running => docker.start_container(&forwarder.name).await,
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::LOOPBACK;
    use crate::plan::PortMapping;

    fn plan(api_port: Option<u16>) -> ClusterPlan {
        ClusterPlan {
            name: "flyte-spare".into(),
            node_image: "rancher/k3s:v1.21.2-k3s1".parse().expect("image"),
            kubernetes: (1, 21),
            ports: vec![
                PortMapping { host: 31081, node: 30081, purpose: "console".into() },
                PortMapping { host: 31084, node: 30084, purpose: "minio".into() },
            ],
            api_port,
            network_policies: false,
            yields: false,
            store: None,
        }
    }

    #[test]
    fn the_daemon_is_asked_for_a_container_that_leads_to_the_node() {
        let request = container("flyte", &plan(Some(6550))).request();
        let mut request = serde_json::to_value(request).expect("JSON");
        request.sort_all_objects();
        request["Entrypoint"][2].take();
        insta::assert_snapshot!(serde_json::to_string_pretty(&request).expect("JSON"));
    }

    #[test]
    fn the_api_is_forwarded_only_where_a_port_is_asked_for_it() {
        for (api_port, forwarded) in [(None, &[30081, 30084][..]), (Some(6550), &[30081, 30084, 6443])] {
            let container = container("flyte", &plan(api_port));
            let published: Vec<_> = container.ports.iter().map(|port| port.container).collect();
            assert_eq!(published, forwarded);
            let told: Vec<_> = container.command[5..].iter().map(|port| port.parse::<u16>().expect("a port")).collect();
            assert_eq!(told, forwarded, "the script is told the same");
            assert!(container.ports.iter().all(|port| port.address == LOOPBACK), "{:?}", container.ports);
        }
    }
}
