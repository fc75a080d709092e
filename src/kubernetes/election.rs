//! Leader election by ConfigMaps: locks whose holder is a pod that is gone.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, ObjectMeta};
use kube::core::metadata::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::{ApiError, ask, delete_config_maps};
use crate::failure::Failure;
use crate::flyte::names::LOCK_HOLDER;
use crate::limits::API_ANSWER;

/// Deletes those of the ConfigMaps that are held by a pod that does not exist: whoever comes next would wait for its lease
/// to end. Whether others are held by a pod that is about to end, and is to be waited for.
///
/// # Errors
/// The API refuses, or does not answer.
pub(crate) async fn release_orphaned(
    client: &Client,
    namespace: &str,
    locks: &BTreeSet<String>,
) -> Result<bool, Failure> {
    let (held, pods) = tokio::try_join!(held(client, namespace, locks), pods(client, namespace))
        .map_err(|error| error.unread(crate::failure::Reason::ApiUnavailable, "cannot see who holds a lock"))?;
    let pod = |holder: &str| pods.iter().find(|pod| pod.name.as_deref() == Some(holder));
    let orphaned: BTreeSet<_> = held.iter().filter(|(_, holder)| pod(holder).is_none()).map(|(lock, _)| lock).collect();
    if !orphaned.is_empty() {
        delete_config_maps(client, namespace, orphaned.into_iter().cloned()).await?;
    }
    Ok(held.iter().any(|(_, holder)| pod(holder).is_some_and(|pod| pod.deletion_timestamp.is_some())))
}

/// The locks that are held, with the name of their holder's pod.
async fn held(client: &Client, namespace: &str, locks: &BTreeSet<String>) -> Result<Vec<(String, String)>, ApiError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let listed = ask(API_ANSWER, maps.list_metadata(&ListParams::default())).await?;
    let own = listed.items.into_iter().filter(|map| locks.contains(&map.name_any()));
    Ok(own.filter_map(|map| Some((map.name_any(), holder(&map)?))).collect())
}

/// An identity may carry a suffix of the process's own.
fn holder(map: &PartialObjectMeta<ConfigMap>) -> Option<String> {
    let record: Value = serde_json::from_str(map.annotations().get(LOCK_HOLDER)?).ok()?;
    let pod = record["holderIdentity"].as_str()?.split('_').next()?;
    (!pod.is_empty()).then(|| pod.to_owned())
}

async fn pods(client: &Client, namespace: &str) -> Result<Vec<ObjectMeta>, ApiError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = ask(API_ANSWER, pods.list_metadata(&ListParams::default())).await?;
    Ok(listed.items.into_iter().map(|pod| pod.metadata).collect())
}
