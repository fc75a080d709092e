//! The logs of a workload's pods.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};
use kube::{Client, ResourceExt};

use super::ask;
use crate::failure::{Failure, Reason};
use crate::limits::API_ANSWER;

const SILENT: &str = "the sandbox's Kubernetes API does not answer";

/// The names of the Deployments in a namespace, in order.
///
/// # Errors
/// [`Reason::ClusterNotReady`] when the API does not answer.
pub async fn workloads(client: &Client, namespace: &str) -> Result<BTreeSet<String>, Failure> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let found = answered(api.list(&ListParams::default())).await?;
    Ok(found.items.iter().map(ResourceExt::name_any).collect())
}

/// The last `tail` lines of every container of every pod of a Deployment. Where there is more than one container, each
/// has a line with its name before.
///
/// # Errors
/// [`Reason::NotFound`] when the Deployment has no pods; [`Reason::ClusterNotReady`] when the API does not answer.
pub async fn logs(client: &Client, namespace: &str, workload: &str, tail: i64) -> Result<String, Failure> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let found = answered(api.list(&ListParams::default())).await?;
    // A Deployment's pods are called <deployment>-<template hash>-<suffix>.
    let own = |pod: &&Pod| {
        let name = pod.name_any();
        name.rsplitn(3, '-').nth(2) == Some(workload)
    };
    let mut sources = Vec::new();
    for pod in found.items.iter().filter(own) {
        let spec = pod.spec.clone().unwrap_or_default();
        let containers = spec.init_containers.unwrap_or_default().into_iter().chain(spec.containers);
        sources.extend(containers.map(|container| (pod.name_any(), container.name)));
    }
    if sources.is_empty() {
        return Err(Failure::new(Reason::NotFound, "there is no such component")
            .on(workload)
            .hint("`sandbox logs` lists what there is"));
    }
    let mut text = String::new();
    for (pod, container) in &sources {
        let params = LogParams { container: Some(container.clone()), tail_lines: Some(tail), ..LogParams::default() };
        // A container that has not started has no log; the others' are still worth reading.
        let log = answered(api.logs(pod, &params))
            .await
            .unwrap_or_else(|failure| format!("({})\n", failure.causes.join(": ")));
        if sources.len() > 1 {
            text.push_str(&format!("==> {pod} {container}\n"));
        }
        text.push_str(&log);
    }
    Ok(text)
}

async fn answered<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    ask(API_ANSWER, request).await.map_err(|error| error.unread(Reason::ClusterNotReady, SILENT))
}
