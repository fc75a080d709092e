//! Kubernetes objects of an execution: FlyteWorkflow, pod, events.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::failed_part::FailedPart;
use super::smoke_workflow::SmokeWorkflow;
use crate::flyte::labels::EXECUTION_ID;
use crate::flyte::workflow;
use crate::kubernetes;
use crate::limits::SMOKE_API;
use crate::rollout::{Neighbours, Status, pod_status};
use crate::smoke::apiserver::ApiServer;
use crate::smoke::check_failure::CheckFailure;
use crate::smoke::target::CheckContext;

/// The pod of an execution, and its status.
pub(super) struct ExecutionPod {
    pub(super) pod: String,
    pub(super) status: Status,
}

fn flyte_workflow() -> ApiResource {
    kubernetes::api_resource(workflow::API_VERSION, workflow::KIND)
}

/// A check that admin made the FlyteWorkflow in its workflow namespace, the only one that its propeller watches.
pub(super) async fn is_in_its_namespace(
    workflow: &SmokeWorkflow,
    context: &CheckContext<'_>,
) -> Result<(), CheckFailure> {
    let api = &context.api;
    let (namespace, name) = (&workflow.at.name, &workflow.name);
    let asked = format!("flyteworkflow {namespace}/{name}");
    let here: Api<DynamicObject> = Api::namespaced_with(api.client(), namespace, &flyte_workflow());
    if api.ask(&asked, here.get_metadata_opt(name)).await?.is_some() {
        return Ok(());
    }
    let named = ListParams::default().fields(&format!("metadata.name={name}"));
    // On an attached cluster other namespaces are not the sandbox's.
    let found = if context.spec.scope().owns_cluster {
        let everywhere: Api<DynamicObject> = Api::all_with(api.client(), &flyte_workflow());
        api.ask(&asked, everywhere.list_metadata(&named)).await?.items
    } else {
        Vec::new()
    };
    let elsewhere: Vec<_> =
        found.iter().filter_map(ResourceExt::namespace).filter(|other| other != namespace).collect();
    let failure = match elsewhere.first() {
        None => CheckFailure::new(asked, "admin took the execution, and made no FlyteWorkflow of this name"),
        Some(other) => CheckFailure::new(asked, format!("admin made it in {other}")).final_answer(),
    };
    let hint =
        "namespace_mapping.template of admin's configuration names the namespace; flyteadmin before v0.6.13 ignores it";
    Err(FailedPart::Admin.attribute(failure.hint(hint)))
}

/// The newest pod of the execution, if there is one yet.
pub(super) async fn pod(workflow: &SmokeWorkflow, api: &ApiServer) -> Result<Option<ExecutionPod>, CheckFailure> {
    let namespace = &workflow.at.name;
    let mut pods = api.pods(namespace, &format!("{EXECUTION_ID}={}", workflow.name)).await?;
    pods.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let Some(pod) = pods.pop() else { return Ok(None) };
    let name = pod.name_any();
    let events = match done(&pod) {
        true => Vec::new(),
        false => {
            let events: Api<Event> = Api::namespaced(api.client(), namespace);
            let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
            api.ask(&format!("events of pod {namespace}/{name}"), events.list(&about)).await?.items
        }
    };
    let events: Vec<Value> = events.iter().filter_map(|event| serde_json::to_value(event).ok()).collect();
    let around = Neighbours { events: events.iter().collect(), ..Neighbours::default() };
    let status = pod_status(&serde_json::to_value(&pod).unwrap_or_default(), &around);
    Ok(Some(ExecutionPod { pod: name, status }))
}

fn done(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded")
}

/// Deletes the FlyteWorkflow, and with it its pods. An error is only logged: Flyte
/// removes it itself within a day.
pub(super) async fn remove(workflow: &SmokeWorkflow, api: &ApiServer) {
    let here: Api<DynamicObject> = Api::namespaced_with(api.client(), &workflow.at.name, &flyte_workflow());
    if let Err(error) = kubernetes::ask(SMOKE_API, here.delete(&workflow.name, &DeleteParams::background())).await {
        tracing::debug!(%error, namespace = workflow.at.name, name = workflow.name, "not deleted");
    }
}
