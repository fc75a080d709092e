//! The pods that a user names: a component's, one by its name, or those of an execution.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams, PartialObjectMeta};
use kube::{Client, ResourceExt};

use super::{Inventory, api_resource, ask};
use crate::failure::{Failure, Reason};
use crate::flyte::labels::{EXECUTION_ID, TERMINATED};
use crate::flyte::workflow;
use crate::limits::API_ANSWER;
use crate::spec::{Spec, closest};

const SILENT: &str = "the sandbox's Kubernetes API does not answer";

/// Which pods are meant, in some namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSelection {
    /// Their namespaces; all of the cluster where empty.
    namespaces: Vec<String>,
    by: By,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    Workload(String),
    Pod(String),
    Execution(String),
}

impl PodSelection {
    /// The pods of an execution, in whatever workflow namespace it is.
    ///
    /// # Errors
    /// [`Reason::NotFound`]: it has no pod, and no FlyteWorkflow that would make one; [`Reason::ClusterNotReady`].
    pub async fn of_execution(id: &str, client: &Client, spec: &Spec) -> Result<Self, Failure> {
        let selection = Self { namespaces: workflow_namespaces(spec), by: By::Execution(id.to_owned()) };
        if selection.workflows(client).await?.is_empty() && selection.pods(client).await?.is_empty() {
            return Err(Failure::new(Reason::NotFound, "the cluster has nothing of such an execution")
                .on(format!("execution {id}"))
                .hint("an execution's pods, and their logs, go with its FlyteWorkflow, a while after it ended"));
        }
        Ok(selection)
    }

    /// The pods of a component, or else the pod of this name, or else those of the execution of this id.
    ///
    /// # Errors
    /// [`Reason::NotFound`]: there is none of them, with the components that there are; [`Reason::ClusterNotReady`].
    pub async fn named(name: &str, client: &Client, inventory: &Inventory) -> Result<Self, Failure> {
        let spec = &inventory.spec;
        if inventory.workloads().any(|workload| workload.name == name) {
            return Ok(Self { namespaces: vec![spec.system_namespace()], by: By::Workload(name.to_owned()) });
        }
        let pod = Self { namespaces: visible(spec), by: By::Pod(name.to_owned()) };
        if pod.pods(client).await?.is_empty() {
            if let Ok(execution) = Self::of_execution(name, client, spec).await {
                return Ok(execution);
            }
            let components: Vec<_> = inventory.workloads().map(|workload| workload.name.as_str()).collect();
            let close = closest(name, components.iter().copied()).map(|close| format!("did you mean `{close}`?"));
            let hint = close.unwrap_or_else(|| format!("components: {}", components.join(", ")));
            let what = "there is no such component, no such pod and no such execution";
            return Err(Failure::new(Reason::NotFound, what).on(name).hint(hint));
        }
        Ok(pod)
    }

    /// The execution that they are of.
    #[must_use]
    pub fn execution(&self) -> Option<&str> {
        match &self.by {
            By::Execution(id) => Some(id),
            By::Workload(_) | By::Pod(_) => None,
        }
    }

    /// Whether a pod has one container and no other.
    #[must_use]
    pub fn is_of_one_container(pod: &Pod) -> bool {
        let spec = pod.spec.iter();
        spec.map(|spec| spec.containers.len() + spec.init_containers.iter().flatten().count()).sum::<usize>() <= 1
    }

    /// The APIs that list and watch them.
    pub(super) fn apis(&self, client: &Client) -> Vec<Api<Pod>> {
        match &self.namespaces[..] {
            [] => vec![Api::all(client.clone())],
            namespaces => namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect(),
        }
    }

    /// What narrows a list of them: labels and fields.
    pub(super) fn filters(&self) -> (Option<String>, Option<String>) {
        match &self.by {
            By::Workload(_) => (None, None),
            By::Pod(name) => (None, Some(format!("metadata.name={name}"))),
            By::Execution(id) => (Some(format!("{EXECUTION_ID}={id}")), None),
        }
    }

    /// Those that are there now, the oldest first.
    ///
    /// # Errors
    /// [`Reason::ClusterNotReady`]: the API does not answer.
    pub async fn pods(&self, client: &Client) -> Result<Vec<Pod>, Failure> {
        let (label_selector, field_selector) = self.filters();
        let params = ListParams { label_selector, field_selector, ..ListParams::default() };
        let mut pods = Vec::new();
        for api in self.apis(client) {
            let listed = ask(API_ANSWER, api.list(&params)).await;
            pods.extend(listed.map_err(|error| error.unread(Reason::ClusterNotReady, SILENT))?.items);
        }
        pods.retain(|pod| self.selects(pod));
        pods.sort_by_key(|pod| (pod.metadata.creation_timestamp.as_ref().map(|time| time.0), pod.name_any()));
        Ok(pods)
    }

    /// Whether they are of an execution that has ended; its FlyteWorkflow has this label then, and goes after a while.
    ///
    /// # Errors
    /// [`Reason::ClusterNotReady`]: the API does not answer.
    pub(super) async fn execution_ended(&self, client: &Client) -> Result<bool, Failure> {
        if !matches!(self.by, By::Execution(_)) {
            return Ok(false);
        }
        let workflows = self.workflows(client).await?;
        Ok(workflows.iter().all(|workflow| workflow.labels().contains_key(TERMINATED)))
    }

    /// The FlyteWorkflows of the execution: those of other projects and domains may have the same name.
    async fn workflows(&self, client: &Client) -> Result<Vec<PartialObjectMeta<DynamicObject>>, Failure> {
        let By::Execution(id) = &self.by else { return Ok(Vec::new()) };
        let kind = api_resource(workflow::API_VERSION, workflow::KIND);
        let params = ListParams::default().fields(&format!("metadata.name={id}"));
        let apis: Vec<Api<DynamicObject>> = match &self.namespaces[..] {
            [] => vec![Api::all_with(client.clone(), &kind)],
            namespaces => namespaces.iter().map(|at| Api::namespaced_with(client.clone(), at, &kind)).collect(),
        };
        let mut found = Vec::new();
        for api in apis {
            let listed = ask(API_ANSWER, api.list_metadata(&params)).await;
            found.extend(listed.map_err(|error| error.unread(Reason::ClusterNotReady, SILENT))?.items);
        }
        Ok(found)
    }

    /// Whether a pod is one of them.
    pub(super) fn selects(&self, pod: &Pod) -> bool {
        match &self.by {
            By::Workload(name) => workload(pod) == Some(name),
            By::Pod(name) => pod.metadata.name.as_ref() == Some(name),
            By::Execution(id) => pod.labels().get(EXECUTION_ID) == Some(id),
        }
    }

    /// What a reader calls such a pod: the component, or the pod's own name.
    pub(super) fn label(&self, pod: &Pod) -> String {
        match &self.by {
            By::Workload(name) => name.clone(),
            By::Pod(_) | By::Execution(_) => pod.name_any(),
        }
    }
}

/// The namespaces to look in: none, for all, where the cluster is the sandbox's own.
fn visible(spec: &Spec) -> Vec<String> {
    if spec.scope().owns_cluster { Vec::new() } else { spec.namespaces() }
}

/// As [`visible`], for what is in workflow namespaces alone.
fn workflow_namespaces(spec: &Spec) -> Vec<String> {
    let system = spec.system_namespace();
    visible(spec).into_iter().filter(|namespace| *namespace != system).collect()
}

/// The workload that owns a pod: of a ReplicaSet, its Deployment, whose name it has with a hash behind it.
fn workload(pod: &Pod) -> Option<&str> {
    let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    match owner.kind.as_str() {
        "ReplicaSet" => owner.name.rsplit_once('-').map(|(deployment, _)| deployment),
        _ => Some(&owner.name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, owner: &str, kind: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": name, "ownerReferences":
            [{"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": "u", "controller": true}]}}))
        .expect("a pod")
    }

    #[test]
    fn a_pod_belongs_to_the_workload_that_controls_it_and_to_none_of_a_similar_name() {
        for (pod, owner) in [
            (pod("minio-5c5-x", "minio-5c5", "ReplicaSet"), Some("minio")),
            (pod("minio-gateway-5c5-x", "minio-gateway-5c5", "ReplicaSet"), Some("minio-gateway")),
            (pod("postgres-0", "postgres", "StatefulSet"), Some("postgres")),
            (Pod::default(), None),
        ] {
            assert_eq!(workload(&pod), owner, "{pod:?}");
        }
    }
}
