//! Pods deleted by label, for others to be made in their place.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};

use super::ask;
use crate::failure::{Failure, Reason};
use crate::limits::API_ANSWER;

/// Deletes the pods of a namespace that a selector chooses; whoever made them makes others.
///
/// # Errors
/// The API refuses, or does not answer.
pub(crate) async fn delete_pods(client: &Client, namespace: &str, selector: &str) -> Result<(), Failure> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let chosen = ListParams::default().labels(selector);
    let deleted = ask(API_ANSWER, pods.delete_collection(&DeleteParams::default(), &chosen)).await;
    deleted.map(drop).map_err(|error| {
        Failure::new(Reason::ApiUnavailable, "cannot delete pods").on(format!("namespace {namespace}")).caused_by(error)
    })
}
