//! What Kubernetes or a program made at run time: ConfigMaps deleted by name, pods by label.

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};

use super::ask;
use super::error::Outlook;
use crate::failure::{Failure, Reason};
use crate::limits::API_ANSWER;

/// Deletes these ConfigMaps of a namespace, where they exist.
///
/// # Errors
/// The API refuses, or does not answer.
pub(crate) async fn delete_config_maps(
    client: &Client,
    namespace: &str,
    names: impl Iterator<Item = String>,
) -> Result<(), Failure> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let delete = async |name: String| match ask(API_ANSWER, maps.delete(&name, &DeleteParams::default())).await {
        Err(error) if error.outlook() != Outlook::Missing => {
            Err(Failure::new(Reason::ApiUnavailable, "cannot delete an object")
                .on(format!("configmap {namespace}/{name}"))
                .caused_by(error))
        }
        _ => Ok(()),
    };
    try_join_all(names.map(delete)).await.map(|_| ())
}

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
