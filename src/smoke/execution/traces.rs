//! What Kubernetes has of an execution: FlyteWorkflow, pod, events.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::culprit::Culprit;
use super::trial::Trial;
use crate::flyte::labels::EXECUTION_ID;
use crate::flyte::workflow;
use crate::kubernetes;
use crate::limits::SMOKE_API;
use crate::rollout::{Neighbours, Status, pod_status};
use crate::smoke::apiserver::ApiServer;
use crate::smoke::miss::Miss;
use crate::smoke::target::Context;

/// The pod of an execution, and what holds it back.
pub(super) struct Seen {
    pub(super) pod: String,
    pub(super) status: Status,
}

fn flyte_workflow() -> ApiResource {
    kubernetes::api_resource(workflow::API_VERSION, workflow::KIND)
}

/// That admin made the FlyteWorkflow in the workflow namespace, where alone its propeller looks.
pub(super) async fn is_in_its_namespace(trial: &Trial, context: &Context<'_>) -> Result<(), Miss> {
    let api = &context.api;
    let (namespace, name) = (&trial.at.name, &trial.name);
    let asked = format!("flyteworkflow {namespace}/{name}");
    let here: Api<DynamicObject> = Api::namespaced_with(api.client(), namespace, &flyte_workflow());
    if api.ask(&asked, here.get_metadata_opt(name)).await?.is_some() {
        return Ok(());
    }
    let named = ListParams::default().fields(&format!("metadata.name={name}"));
    // On a given cluster other namespaces are none of ours.
    let found = if context.spec.scope().owns_cluster {
        let everywhere: Api<DynamicObject> = Api::all_with(api.client(), &flyte_workflow());
        api.ask(&asked, everywhere.list_metadata(&named)).await?.items
    } else {
        Vec::new()
    };
    let elsewhere: Vec<_> =
        found.iter().filter_map(ResourceExt::namespace).filter(|other| other != namespace).collect();
    let miss = match elsewhere.first() {
        None => Miss::new(asked, "admin took the execution, and made no FlyteWorkflow of this name"),
        Some(other) => Miss::new(asked, format!("admin made it in {other}")).settled(),
    };
    let hint =
        "namespace_mapping.template of admin's configuration names the namespace; flyteadmin before v0.6.13 ignores it";
    Err(Culprit::Admin.blame(miss.hint(hint)))
}

/// The newest pod of the execution, if there is one yet.
pub(super) async fn pod(trial: &Trial, api: &ApiServer) -> Result<Option<Seen>, Miss> {
    let namespace = &trial.at.name;
    let mut pods = api.pods(namespace, &format!("{EXECUTION_ID}={}", trial.name)).await?;
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
    Ok(Some(Seen { pod: name, status }))
}

fn done(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded")
}

/// Deletes the FlyteWorkflow, and with it its pods. What is not there, or cannot be deleted, is left alone: Flyte
/// removes it itself within a day.
pub(super) async fn remove(trial: &Trial, api: &ApiServer) {
    let here: Api<DynamicObject> = Api::namespaced_with(api.client(), &trial.at.name, &flyte_workflow());
    if let Err(error) = kubernetes::ask(SMOKE_API, here.delete(&trial.name, &DeleteParams::background())).await {
        tracing::debug!(%error, namespace = trial.at.name, name = trial.name, "not deleted");
    }
}
