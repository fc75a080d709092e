//! The names of the nodes for CoreDNS, which k3s now and then forgets to write.

use std::time::SystemTime;

use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::kubernetes::{ApiError, ask};
use crate::limits::CLUSTER_ANSWER;

/// The key of CoreDNS's ConfigMap with the names of the nodes, without which the kubelet does not make its pod.
const NODE_HOSTS: &str = "NodeHosts";
/// An annotation that nobody reads.
const TOUCHED: &str = "sandbox.flyte/touched";

/// Has k3s write the names of the nodes, where they are missing. It writes them when a node changes, and not where the
/// ConfigMap is not there yet: then the next change may be five minutes away.
///
/// # Errors
/// As the API's.
pub(super) async fn complete_node_hosts(client: &Client) -> Result<(), ApiError> {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "kube-system");
    let map = ask(CLUSTER_ANSWER, maps.get_opt("coredns")).await?;
    if map.is_none_or(|map| map.data.is_some_and(|data| data.contains_key(NODE_HOSTS))) {
        return Ok(());
    }
    let nodes = Api::<Node>::all(client.clone());
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let touch = Patch::Merge(json!({"metadata": {"annotations": {TOUCHED: now}}}));
    for node in ask(CLUSTER_ANSWER, nodes.list(&ListParams::default())).await? {
        ask(CLUSTER_ANSWER, nodes.patch(&node.name_any(), &PatchParams::default(), &touch)).await?;
    }
    Ok(())
}
