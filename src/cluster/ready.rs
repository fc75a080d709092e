//! The wait until pods can run: the kubeconfig, the API, the node, its pod network, the default ServiceAccount.

use std::fmt;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::error::{Error, K3dError};
use super::kubeconfig;
use crate::docker::Docker;
use crate::kubernetes::{self, ApiError};
use crate::limits;
use crate::plan::node_name;
use crate::report::Stage;
use crate::run::{Deadline, Run};

const POLL: Duration = Duration::from_millis(150);
const LOG: usize = 15;

/// Flannel sets this on the node when it has a subnet for it, just before it writes the file that every pod's network
/// needs (flannel `subnet/kube`).
const FLANNEL_READY: &str = "flannel.alpha.coreos.com/backend-type";
/// The first node's share of k3s' default pod network 10.42.0.0/16.
const POD_SUBNET: &str = "10.42.0.0/24";

/// Flannel has written its file, and kube-proxy the first Service's address (that of the API). A node image without
/// `iptables` on the path is taken at flannel's word.
const NETWORK: &str = "test -f /run/flannel/subnet.env || exit 1; command -v iptables >/dev/null || exit 0; \
    iptables -t nat -S KUBE-SERVICES 2>/dev/null | grep -q -- '-d 10.43.0.1/32'";

/// The taint of a node whose disk is full.
const DISK_PRESSURE: &str = "node.kubernetes.io/disk-pressure";

/// The taint that the node registers with, so that nothing is scheduled before the network is there.
const STARTING: &str = "sandbox.flyte/starting";

/// The way to a cluster's API.
#[derive(Clone)]
pub struct Access {
    /// The kubeconfig, as seen from this host.
    pub kubeconfig: String,
    /// A client for it.
    pub client: Client,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

/// The observed state of a cluster that starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Observation {
    kubeconfig: bool,
    api: bool,
    /// A rejection that waiting does not change.
    refused: Option<ApiError>,
    node: Option<NodeObservation>,
    network: bool,
    account: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct NodeObservation {
    ready: bool,
    message: String,
    subnet: bool,
    held: bool,
    /// Whether no pod is scheduled because the disk is full.
    disk_pressure: bool,
}

impl Observation {
    /// The first thing that is missing.
    fn missing(&self) -> Option<String> {
        let node = match &self.node {
            _ if !self.kubeconfig => return Some("k3s: waiting for its kubeconfig".to_owned()),
            _ if !self.api => {
                let refused = self.refused.as_ref().map(|why| format!("API: {why}"));
                return Some(refused.unwrap_or_else(|| "API: waiting for /readyz".to_owned()));
            }
            None => return Some("node: waiting for it to register".to_owned()),
            Some(node) => node,
        };
        if !node.ready {
            let why = if node.message.is_empty() { "no status yet" } else { &node.message };
            return Some(format!("node Ready: {why}"));
        }
        if !self.account {
            return Some("ServiceAccount default: waiting for the controller manager".to_owned());
        }
        if !node.subnet {
            return Some("pod network: waiting for the node's subnet".to_owned());
        }
        if !self.network {
            return Some("pod network: waiting for kube-proxy".to_owned());
        }
        node.held.then(|| "node: opening it for pods".to_owned())
    }
}

/// Waits until pods can run, and says what is missing until then. `known` is the way to its API where that is known; else
/// the node is asked for its kubeconfig.
///
/// # Errors
/// [`Error::NotReady`] at the deadline, or [`K3dError::NoNodeInTime`] when there is no node then; [`Error::Rejected`];
/// [`Error::DiskPressure`]; a kubeconfig that cannot be used.
pub(super) async fn wait(
    docker: &Docker,
    cluster: &str,
    api_port: u16,
    known: Option<Access>,
    run: &Run,
) -> Result<Access, Error> {
    let deadline = run.deadline.min(limits::CLUSTER_READY);
    let (mut seen, mut told) = (Observation::default(), String::new());
    let mut access = known;
    let (mut refused_since, mut pressed_since) = (None, None);
    let mut path = Path::default();
    let ready = async {
        loop {
            if access.is_none() {
                match kubeconfig::read(docker, cluster, api_port).await {
                    Ok(Some(kubeconfig)) => {
                        let client = kubernetes::client(&kubeconfig)?;
                        access = Some(Access { kubeconfig, client });
                    }
                    Ok(None) => {}
                    // A Docker that stays away is told by the watch of the node.
                    Err(Error::Docker(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            if let Some(access) = &access {
                look(&mut seen, docker, cluster, &access.client).await;
                if seen.missing().is_none() {
                    return Ok(access.clone());
                }
                if path.is_broken(&seen, docker, cluster).await {
                    return Err(port_unreachable(docker, cluster, api_port).await);
                }
            }
            let missing = seen.missing().unwrap_or_default();
            if missing != told {
                run.report.progress(Stage::Cluster, &missing);
                told.clone_from(&missing);
            }
            match &seen.refused {
                None => refused_since = None,
                Some(why) if refused_since.get_or_insert_with(Instant::now).elapsed() >= limits::CLUSTER_REJECTION => {
                    return Err(Error::Rejected { cluster: cluster.to_owned(), why: why.clone() });
                }
                Some(_) => {}
            }
            match seen.node.as_ref().is_some_and(|node| node.disk_pressure) {
                false => pressed_since = None,
                true if pressed_since.get_or_insert_with(Instant::now).elapsed() >= limits::DISK_PRESSURE => {
                    return Err(Error::DiskPressure { cluster: cluster.to_owned() });
                }
                true => {}
            }
            tokio::time::sleep(POLL).await;
        }
    };
    if let Some(ended) = deadline.limit(ready).await {
        return ended;
    }
    let (cluster, limit) = (cluster.to_owned(), deadline.expired_message());
    if let Ok(None) = docker.container(&node_name(&cluster)).await {
        return Err(K3dError::NoNodeInTime { cluster, limit }.into());
    }
    let log = docker.logs(&node_name(&cluster), LOG).await.unwrap_or_default();
    Err(Error::NotReady { cluster, limit, missing: told, log })
}

/// The way from this machine to the API, which in a virtual machine leads through its forwarder of ports.
#[derive(Debug, Default)]
struct Path {
    silent_since: Option<Instant>,
    answers_there_since: Option<Instant>,
    next: Option<Instant>,
}

impl Path {
    /// Whether the API has answered in the node for a while, and never here. The node is asked where it is silent for long.
    async fn is_broken(&mut self, seen: &Observation, docker: &Docker, cluster: &str) -> bool {
        if seen.api || seen.refused.is_some() {
            *self = Self::default();
            return false;
        }
        let is_silent = self.silent_since.get_or_insert_with(Instant::now).elapsed() >= limits::API_SILENT;
        if is_silent && self.is_due(Instant::now()) {
            let asked = Instant::now();
            self.heard(answers_in_node(docker, cluster).await, asked);
        }
        self.answers_there_since.is_some_and(|since| since.elapsed() >= limits::PORT_ARRIVES)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// Takes the node's answer to a question of this moment. A program that gave none in time runs on in there, on a machine
    /// that is slow, and one after the other would make it slower.
    fn heard(&mut self, answer: Option<bool>, asked: Instant) {
        self.next = Some(asked + if answer.is_some() { limits::NODE_ANSWER } else { limits::API_SILENT });
        match answer {
            Some(true) => _ = self.answers_there_since.get_or_insert_with(Instant::now),
            Some(false) | None => self.answers_there_since = None,
        }
    }
}

/// The error of a running node whose API answers there and not here; absent where it answers here too, though perhaps not
/// to everything, or not even there.
pub async fn unreachable(docker: &Docker, cluster: &str) -> Option<Error> {
    let port = kubeconfig::api_port(docker, cluster).await.ok()?;
    let kubeconfig = kubeconfig::read(docker, cluster, port).await.ok()??;
    let client = kubernetes::client(&kubeconfig).ok()?;
    let (here, there) = tokio::join!(readyz(&client), answers_in_node(docker, cluster));
    let is_silent = matches!(here, Err(ApiError::Connection(_) | ApiError::TimedOut(_)));
    if is_silent && there == Some(true) { Some(port_unreachable(docker, cluster, port).await) } else { None }
}

/// The API's answer here to whether it is ready.
async fn readyz(client: &Client) -> Result<String, ApiError> {
    let request = kube::core::Request::new("/readyz").list(&ListParams::default());
    let request = request.map_err(|error| ApiError::Unusable(error.to_string()))?;
    kubernetes::ask(limits::CLUSTER_ANSWER, client.request_text(request)).await
}

/// Whether the API answers in its node, sooner than it would have to here: an API that is slow is no broken way to it. None
/// where nothing tells so in time.
async fn answers_in_node(docker: &Docker, cluster: &str) -> Option<bool> {
    let node = node_name(cluster);
    let asked = docker.exec(&node, &["kubectl", "get", "--raw", "/readyz", "--request-timeout=1s"]);
    let answer = Deadline::fixed(limits::NODE_ANSWER).limit(asked).await;
    answer.map(|answer| answer.is_ok_and(|output| output.success()))
}

async fn port_unreachable(docker: &Docker, cluster: &str, port: u16) -> Error {
    let provider = docker.about().await.unwrap_or_default().provider;
    Error::PortUnreachable { cluster: cluster.to_owned(), port, way_out: provider.ports_again() }
}

/// Looks at what has not been seen yet; what has been seen stays so.
async fn look(seen: &mut Observation, docker: &Docker, cluster: &str, client: &Client) {
    seen.kubeconfig = true;
    if !seen.api {
        let answer = readyz(client).await;
        seen.api = answer.is_ok();
        seen.refused = answer.err().filter(ApiError::is_identity);
    }
    if !seen.api {
        return;
    }
    if seen.node.as_ref().is_none_or(|node| !node.ready || !node.subnet || node.held) {
        let nodes = Api::<Node>::all(client.clone());
        let node = answered(nodes.get_opt(&node_name(cluster))).await.flatten();
        if let Some(change) = node.as_ref().and_then(|node| due_change(node, seen)) {
            let patch = Patch::Merge(change);
            answered(nodes.patch(&node_name(cluster), &PatchParams::default(), &patch)).await;
        }
        seen.node = node.as_ref().map(node_seen);
    }
    if !seen.account {
        let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
        seen.account = answered(accounts.get_opt("default")).await.flatten().is_some();
    }
    if !seen.network && seen.node.as_ref().is_some_and(|node| node.subnet) {
        let there = docker.exec(&node_name(cluster), &["sh", "-c", NETWORK]).await;
        seen.network = there.is_ok_and(|output| output.success());
    }
}

/// What has to be done to the node next: give it its subnet, which no controller does (see the arguments that k3s is
/// given), and open it for pods when all else is there.
fn due_change(node: &Node, seen: &Observation) -> Option<Value> {
    let spec = node.spec.as_ref();
    if spec.is_none_or(|spec| spec.pod_cidr.is_none()) {
        return Some(json!({ "spec": { "podCIDR": POD_SUBNET, "podCIDRs": [POD_SUBNET] } }));
    }
    let taints = spec.and_then(|spec| spec.taints.as_ref())?;
    if !(seen.network && seen.account && taints.iter().any(|taint| taint.key == STARTING)) {
        return None;
    }
    let others: Vec<_> = taints.iter().filter(|taint| taint.key != STARTING).collect();
    // The version makes the API refuse this if a controller has changed the taints meanwhile.
    Some(json!({ "metadata": { "resourceVersion": node.metadata.resource_version }, "spec": { "taints": others } }))
}

/// An API that starts refuses, resets and stalls; each of these is only "not yet".
async fn answered<T>(call: impl Future<Output = kube::Result<T>>) -> Option<T> {
    kubernetes::ask(limits::CLUSTER_ANSWER, call).await.ok()
}

fn node_seen(node: &Node) -> NodeObservation {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
    let annotations = node.metadata.annotations.as_ref();
    // A controller takes this taint away a moment after the kubelet has reported; until then nothing is scheduled.
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let taint =
        taints.into_iter().flatten().find(|taint| taint.key.starts_with("node.") && taint.effect == "NoSchedule");
    let message = match taint {
        Some(taint) => format!("tainted {}", taint.key),
        None => ready.and_then(|condition| condition.message.clone()).unwrap_or_default(),
    };
    NodeObservation {
        ready: taint.is_none() && ready.is_some_and(|condition| condition.status == "True"),
        message,
        subnet: annotations.is_some_and(|annotations| annotations.contains_key(FLANNEL_READY)),
        held: taints.into_iter().flatten().any(|taint| taint.key == STARTING),
        disk_pressure: taints.into_iter().flatten().any(|taint| taint.key == DISK_PRESSURE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_thing_is_told_in_the_order_of_starting() {
        let ready = NodeObservation { ready: true, subnet: true, ..NodeObservation::default() };
        let waiting =
            NodeObservation { message: "cni plugin not initialized".into(), held: true, ..NodeObservation::default() };
        let all = Observation {
            kubeconfig: true,
            api: true,
            refused: None,
            node: Some(ready.clone()),
            network: true,
            account: true,
        };
        let refused = Some(ApiError::Certificate("invalid peer certificate: Expired".to_owned()));
        for (seen, missing) in [
            (Observation::default(), Some("k3s: waiting for its kubeconfig")),
            (Observation { api: false, ..all.clone() }, Some("API: waiting for /readyz")),
            (Observation { api: false, refused, ..all.clone() }, Some("API: invalid peer certificate: Expired")),
            (Observation { node: None, ..all.clone() }, Some("node: waiting for it to register")),
            (Observation { node: Some(waiting), ..all.clone() }, Some("node Ready: cni plugin not initialized")),
            (
                Observation { account: false, ..all.clone() },
                Some("ServiceAccount default: waiting for the controller manager"),
            ),
            (Observation { network: false, ..all.clone() }, Some("pod network: waiting for kube-proxy")),
            (
                Observation { node: Some(NodeObservation { held: true, ..ready }), ..all.clone() },
                Some("node: opening it for pods"),
            ),
            (all.clone(), None),
        ] {
            assert_eq!(seen.missing().as_deref(), missing, "{seen:?}");
        }
    }

    #[test]
    fn a_node_whose_disk_is_full_is_not_ready_for_that() {
        let pressed = r#"{"spec":{"taints":[{"key":"node.kubernetes.io/disk-pressure","effect":"NoSchedule"}]},
            "status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
        let seen = node_seen(&node(pressed));
        assert!(seen.disk_pressure && !seen.ready, "{seen:?}");
        let failure = crate::failure::Failure::from(Error::DiskPressure { cluster: "flyte".to_owned() });
        assert_eq!(failure.reason, crate::failure::Reason::DiskFull);
    }

    fn node(text: &str) -> Node {
        serde_json::from_str(text).expect("a node")
    }

    #[test]
    fn a_node_without_a_subnet_gets_one_before_anything_else() {
        let change = due_change(
            &node(r#"{"spec":{"taints":[{"key":"sandbox.flyte/starting","effect":"NoSchedule"}]}}"#),
            &Observation::default(),
        );
        assert_eq!(change.expect("a change")["spec"]["podCIDR"], "10.42.0.0/24");
    }

    #[test]
    fn a_node_that_does_not_tell_in_time_is_not_asked_again_at_once() {
        let (mut path, asked) = (Path::default(), Instant::now());
        path.heard(None, asked);
        assert!(!path.is_due(asked + limits::NODE_ANSWER));
        assert!(path.is_due(asked + limits::API_SILENT));
        path.heard(Some(true), asked);
        assert!(path.is_due(asked + limits::NODE_ANSWER));
    }

    #[test]
    fn the_node_is_opened_when_the_network_is_there_and_other_taints_stay() {
        let node = node(
            r#"{"metadata":{"resourceVersion":"7"},"spec":{"podCIDR":"10.42.0.0/24","taints":[
                {"key":"sandbox.flyte/starting","effect":"NoSchedule"},{"key":"mine","effect":"NoSchedule"}]}}"#,
        );
        assert_eq!(due_change(&node, &Observation { network: false, account: true, ..Observation::default() }), None);
        let change = due_change(&node, &Observation { network: true, account: true, ..Observation::default() })
            .expect("a change");
        assert_eq!(change["spec"]["taints"], json!([{ "key": "mine", "effect": "NoSchedule" }]));
        assert_eq!(change["metadata"]["resourceVersion"], "7");
    }
}
