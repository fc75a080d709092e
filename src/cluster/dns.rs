//! The wait for CoreDNS.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::error::Error;
use super::node_hosts::complete_node_hosts;
use crate::kubernetes::{ApiError, ask};
use crate::limits::{CLUSTER_ANSWER, CLUSTER_DNS};
use crate::report::Stage;
use crate::run::Run;

const POLL: Duration = Duration::from_millis(250);
const NAMESPACE: &str = "kube-system";

/// Waits until a CoreDNS pod is ready. The Deployment's `Available` is no proof: with one replica, of which one may be
/// unavailable, it is true before the pod runs.
///
/// # Errors
/// [`Error::DnsNotReady`] at the deadline.
pub async fn wait_for_dns(client: &Client, run: &Run) -> Result<(), Error> {
    let deadline = run.deadline.min(CLUSTER_DNS);
    let mut missing = "the API does not answer".to_owned();
    let ready = async {
        loop {
            let seen = match look(client).await {
                Ok(None) => return,
                Ok(Some(seen)) => seen,
                Err(error) => error.to_string(),
            };
            if seen != missing {
                run.report.progress(Stage::Rollout, format!("DNS: {seen}"));
                missing = seen;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    deadline.limit(ready).await.ok_or_else(|| Error::DnsNotReady {
        deployment: format!("deployment {NAMESPACE}/coredns"),
        limit: deadline.expired_message(),
        missing,
    })
}

/// What CoreDNS waits for, if it is not ready.
async fn look(client: &Client) -> Result<Option<String>, ApiError> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), NAMESPACE);
    let Some(deployment) = ask(CLUSTER_ANSWER, deployments.get_opt("coredns")).await? else {
        return Ok(Some("waiting for k3s to apply CoreDNS".to_owned()));
    };
    let ready = deployment.status.and_then(|status| status.ready_replicas).unwrap_or(0);
    if ready > 0 {
        return Ok(None);
    }
    complete_node_hosts(client).await?;
    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE);
    let list = ask(CLUSTER_ANSWER, pods.list(&ListParams::default().labels("k8s-app=kube-dns"))).await?;
    let Some(pod) = list.items.iter().find(|pod| pod.metadata.deletion_timestamp.is_none()) else {
        return Ok(Some("waiting for its pod".to_owned()));
    };
    Ok(Some(waiting(pod)))
}

fn waiting(pod: &Pod) -> String {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let state = statuses.into_iter().flatten().find_map(|status| status.state.as_ref()?.waiting.clone());
    match state.and_then(|waiting| waiting.reason) {
        Some(reason) => format!("{}: {reason}", pod.name_any()),
        None => format!("{}: waiting for its readiness probe", pod.name_any()),
    }
}
