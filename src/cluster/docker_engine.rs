//! A node created through the Docker API, under the names and labels that k3d gives, so that `k3d cluster list`,
//! `delete`, `start` and `kubeconfig get` take it for one of theirs (k3d 5.9 `pkg/client`, `pkg/runtimes/docker`).
//!
//! There is no token: k3s makes one for itself in a file of its own, and nobody joins a cluster of one node.

use std::collections::BTreeMap;

use super::docker_answers;
use super::error::Error;
use super::k3s_args::{KUBECONFIG_PATH, k3s_args};
use super::labels::{CLUSTER_LABEL, OWNER_LABEL};
use crate::docker::{Docker, LOOPBACK, NodeContainer, PublishedPort};
use crate::plan::{API_PORT, ClusterPlan, network_name};
use crate::report::Stage;
use crate::run::Run;

/// The k3d whose names and labels these are.
const LIKE: (&str, &str) = ("k3d.version", "v5.9.0");
const PREPARATION: &str = include_str!("entrypoint.sh");
const K3S: &str = r#"exec /bin/k3s "$@""#;
/// The share of the processors of a node that yields; others have 1024.
const LEAST: i64 = 64;

/// Creates the network, the volume that `k3d image import` uses, and the node, and starts the node.
///
/// # Errors
/// [`Error::PortTaken`], [`Error::Docker`].
pub(super) async fn create(docker: &Docker, plan: &ClusterPlan, api_port: u16, run: &Run) -> Result<(), Error> {
    let made = async {
        let (network, images) = (network_name(&plan.name), image_volume(&plan.name));
        run.report.progress(Stage::Cluster, format!("create network {network}"));
        let labels = [("app", "k3d"), (OWNER_LABEL, &plan.name)];
        let of_cluster = [("app", "k3d"), LIKE, (CLUSTER_LABEL, &plan.name), (OWNER_LABEL, &plan.name)];
        tokio::try_join!(docker.create_network(&network, &labels), docker.create_volume(&images, &of_cluster))?;
        let gateway = docker.networks(&network).await?.into_iter().find_map(|network| network.gateway);
        let node = node_container(plan, api_port, &gateway.unwrap_or_default());
        run.report.progress(Stage::Cluster, format!("create node {}", node.name));
        docker.create_node_container(&node).await?;
        run.report.progress(Stage::Cluster, "start the node");
        docker.start_container(&node.name).await
    };
    made.await.map_err(|error| Error::of_port(error, plan, Some(api_port)))
}

/// All that the node is told: its script and k3s' arguments.
#[must_use]
pub fn recipe(plan: &ClusterPlan) -> String {
    std::iter::once(entrypoint()).chain(k3s_args(plan).map(str::to_owned)).collect::<Vec<_>>().join("\n")
}

fn image_volume(cluster: &str) -> String {
    format!("{}-images", network_name(cluster))
}

/// The entrypoint script without its comments, since `docker ps` shows it.
fn entrypoint() -> String {
    let said = |line: &&str| !line.trim_start().starts_with('#') && !line.is_empty();
    let lines = PREPARATION.lines().chain(docker_answers::SCRIPT.lines()).chain([K3S]);
    lines.filter(said).collect::<Vec<_>>().join("\n")
}

fn node_container(plan: &ClusterPlan, api_port: u16, gateway: &str) -> NodeContainer {
    let (name, network, images) = (plan.node(), network_name(&plan.name), image_volume(&plan.name));
    let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let ports = plan.ports.iter().map(|port| PublishedPort::on_loopback(port.host, port.node));
    let mut mounts = text(&[("/k3d/images", &images)]);
    mounts.extend(plan.mounts().map(|(volume, path)| (path.to_owned(), volume)));
    NodeContainer {
        image: plan.node_image.clone(),
        entrypoint: ["/bin/sh", "-c", &entrypoint(), "node"].map(str::to_owned).into(),
        arguments: [gateway, "server"]
            .map(str::to_owned)
            .into_iter()
            .chain(k3s_args(plan).map(str::to_owned))
            .collect(),
        variables: text(&[("K3S_KUBECONFIG_OUTPUT", KUBECONFIG_PATH)]),
        labels: text(&[
            ("app", "k3d"),
            LIKE,
            ("k3d.role", "server"),
            (CLUSTER_LABEL, &plan.name),
            ("k3d.cluster.imageVolume", &images),
            ("k3d.cluster.network", &network),
            ("k3d.cluster.network.external", "false"),
            ("k3d.cluster.url", &format!("https://{name}:{API_PORT}")),
            ("k3d.server.api.host", LOOPBACK),
            ("k3d.server.api.hostIP", LOOPBACK),
            ("k3d.server.api.port", &api_port.to_string()),
            (OWNER_LABEL, &plan.name),
        ]),
        ports: ports.chain([PublishedPort::on_loopback(api_port, API_PORT)]).collect(),
        mounts,
        network,
        host_name: "host.k3d.internal".to_owned(),
        cpu_shares: plan.yields.then_some(LEAST),
        name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker;
    use crate::failure::{Failure, Reason};
    use crate::plan::PortMapping;

    fn plan() -> ClusterPlan {
        ClusterPlan {
            name: "flyte".into(),
            node_image: "rancher/k3s:v1.21.2-k3s1".parse().expect("image"),
            kubernetes: (1, 21),
            ports: vec![PortMapping { host: 31081, node: 30081, purpose: "console".into() }],
            api_port: None,
            network_policies: false,
            yields: false,
            store: Some("sandbox-store-1-0".into()),
        }
    }

    #[test]
    fn the_daemon_is_asked_for_what_k3d_would_ask() {
        let request = node_container(&plan(), 6550, "172.18.0.1").request();
        let mut request = serde_json::to_value(request).expect("JSON");
        request.sort_all_objects();
        assert_eq!(request["Entrypoint"][2].take(), entrypoint());
        insta::assert_snapshot!(serde_json::to_string_pretty(&request).expect("JSON"));
    }

    #[test]
    fn the_node_ends_with_k3s_and_nothing_else_is_said_to_the_shell() {
        let script = entrypoint();
        assert!(script.ends_with(K3S) && !script.contains('#'), "{script}");
    }

    #[test]
    fn nothing_is_published_beyond_the_loopback_address() {
        let node = node_container(&plan(), 6550, "");
        assert_eq!(node.ports.len(), 2);
        assert!(node.ports.iter().all(|port| port.address == "127.0.0.1"), "{:?}", node.ports);
    }

    #[test]
    fn a_taken_port_is_named_by_what_it_was_for() {
        let failure = |message: &str| {
            let cause = docker::Cause::Refused { status: 500, message: message.to_owned() };
            let request = docker::Request::Start("k3d-flyte-server-0".to_owned());
            Failure::from(Error::of_port(docker::Error { request, cause }, &plan(), Some(6550)))
        };
        for (words, object) in [
            ("Bind for 127.0.0.1:31081 failed: port is already allocated", "port 31081 (console)"),
            ("listen tcp4 127.0.0.1:6550: bind: address already in use", "port 6550 (the Kubernetes API)"),
            ("listen tcp4 127.0.0.1:310: bind: address already in use", "port 310"),
        ] {
            let failure = failure(words);
            assert_eq!((failure.reason, failure.object.as_deref()), (Reason::PortTaken, Some(object)), "{words}");
        }
        let other = failure("port 31081 is a fine port");
        assert_eq!((other.reason, other.what.as_str()), (Reason::Docker, "cannot start a container"));
    }
}
