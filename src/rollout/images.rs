//! The images that pods run, by the digests that their node tells.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};

use crate::failure::{Failure, Reason};
use crate::kubernetes::ask;
use crate::limits::API_ANSWER;
use crate::manifest::{ImageRef, ObjectRef};

/// An image that a workload's pod runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningImage {
    /// The workload.
    pub workload: ObjectRef,
    /// The image as the pod names it.
    pub image: ImageRef,
    /// `sha256:…` of its configuration or of its manifest, as the node's containerd has it.
    pub digest: String,
}

/// The images of a namespace's pods, init containers' among them. Pods that have ended or are being deleted are left out.
///
/// # Errors
/// [`Reason::ClusterNotReady`]: the API does not answer.
pub async fn images_within(client: &Client, namespace: &str) -> Result<Vec<RunningImage>, Failure> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = ask(API_ANSWER, pods.list(&ListParams::default())).await;
    let listed = listed.map_err(|error| error.unread(Reason::ClusterNotReady, "cannot see the pods"))?;
    Ok(listed.items.iter().flat_map(images).collect())
}

fn images(pod: &Pod) -> Vec<RunningImage> {
    let (Some(workload), Some(spec), Some(status)) = (workload(pod), &pod.spec, &pod.status) else { return Vec::new() };
    let has_ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if has_ended || pod.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    // A status names an image by any of its tags.
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let named: BTreeMap<_, _> = containers.map(|container| (&container.name, container.image.as_deref())).collect();
    let statuses = status.init_container_statuses.iter().flatten();
    let statuses = statuses.chain(status.container_statuses.iter().flatten());
    let image = |(name, id): (&String, &str)| {
        let digest = id[id.rfind("sha256:")?..].to_owned();
        Some(RunningImage { workload: workload.clone(), image: (*named.get(name)?)?.parse().ok()?, digest })
    };
    statuses.filter_map(|status| image((&status.name, &status.image_id))).collect()
}

/// The workload that a pod is of. A Deployment's ReplicaSet is called after it, with a hash behind a dash.
fn workload(pod: &Pod) -> Option<ObjectRef> {
    let owners = pod.metadata.owner_references.as_ref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let (kind, name) = match owner.kind.as_str() {
        "ReplicaSet" => ("Deployment", owner.name.rsplit_once('-')?.0),
        kind @ ("StatefulSet" | "DaemonSet") => (kind, owner.name.as_str()),
        _ => return None,
    };
    Some(ObjectRef {
        api_version: "apps/v1".to_owned(),
        kind: kind.to_owned(),
        namespace: pod.metadata.namespace.clone(),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(owner: (&str, &str), id: &str) -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "n", "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": owner.0, "name": owner.1, "uid": "u", "controller": true}]},
            "spec": {
                "initContainers": [{"name": "check-db", "image": "postgres:10"}],
                "containers": [{"name": "main", "image": "a/b:1"}],
            },
            "status": {
                "phase": "Running",
                "initContainerStatuses": [
                    {"name": "check-db", "image": "docker.io/library/other:1", "imageID": "sha256:2", "ready": true,
                     "restartCount": 0}],
                "containerStatuses": [
                    {"name": "main", "image": "sha256:1", "imageID": id, "ready": true, "restartCount": 0}],
            },
        })
    }

    fn found(pod: Value) -> Vec<String> {
        let found = images(&serde_json::from_value(pod).expect("a pod"));
        let told = |one: &RunningImage| format!("{} {} {}", one.workload, one.image, one.digest);
        found.iter().map(told).collect()
    }

    #[test]
    fn an_image_is_what_the_pod_names_and_what_the_node_has_for_it() {
        let with_init = |main: &str| vec!["deployment n/admin postgres:10 sha256:2".to_owned(), main.to_owned()];
        for (id, digest) in [
            ("sha256:1", "sha256:1"),
            ("docker.io/a/b@sha256:8a", "sha256:8a"),
            ("docker-pullable://a/b@sha256:8a", "sha256:8a"),
        ] {
            let told = found(pod(("ReplicaSet", "admin-6dbcfbc7cc"), id));
            assert_eq!(told, with_init(&format!("deployment n/admin a/b:1 {digest}")), "{id}");
        }
        assert_eq!(found(pod(("StatefulSet", "db"), ""))[..], ["statefulset n/db postgres:10 sha256:2"]);
    }

    #[test]
    fn a_pod_that_ended_is_leaving_or_is_nobodys_runs_nothing() {
        let own = || pod(("ReplicaSet", "admin-1"), "sha256:1");
        let changed = |at: &str, key: &str, value: Value| {
            let mut pod = own();
            pod[at][key] = value;
            pod
        };
        for gone in [
            changed("status", "phase", json!("Failed")),
            changed("status", "phase", json!("Succeeded")),
            changed("metadata", "deletionTimestamp", json!("2026-11-27T12:00:00Z")),
            changed("metadata", "ownerReferences", json!([])),
            pod(("Job", "once"), "sha256:1"),
        ] {
            assert_eq!(found(gone.clone()), Vec::<String>::new(), "{gone}");
        }
    }
}
