//! The locks of a leader election: let go where nobody is left to do so.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, DynamicObject, ListParams, ObjectMeta};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::{ApiError, Outlook, api_resource, ask};
use crate::failure::{Failure, Reason};
use crate::limits::API_ANSWER;
use crate::release::Election;

/// The locks of a namespace, of one kind.
pub(crate) struct Locks {
    api: Api<DynamicObject>,
    client: Client,
    election: Election,
    namespace: String,
}

impl Locks {
    /// Those of an election in a namespace.
    pub(crate) fn new(client: &Client, namespace: &str, election: Election) -> Self {
        let resource = api_resource(election.api_version(), election.kind());
        let api = Api::namespaced_with(client.clone(), namespace, &resource);
        Self { api, client: client.clone(), election, namespace: namespace.to_owned() }
    }

    /// What the API calls them.
    pub(crate) fn api(&self) -> &Api<DynamicObject> {
        &self.api
    }

    /// A lock in words, such as `lease flyte/propeller-leader-x-d-dev`.
    pub(crate) fn words(&self, name: &str) -> String {
        format!("{} {}/{name}", self.election.kind().to_lowercase(), self.namespace)
    }

    /// The pod that holds a lock.
    pub(crate) fn holder(&self, lock: &DynamicObject) -> Option<String> {
        self.election.holder(&serde_json::to_value(lock).unwrap_or(Value::Null))
    }

    /// Deletes locks, whoever holds them.
    ///
    /// # Errors
    /// The API refuses, or does not answer.
    pub(crate) async fn delete(&self, names: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        let delete = async |name: String| match ask(API_ANSWER, self.api.delete(&name, &DeleteParams::default())).await
        {
            Err(error) if error.outlook() != Outlook::Missing => {
                Err(Failure::new(Reason::ApiUnavailable, "cannot delete a lock").on(self.words(&name)).caused_by(error))
            }
            _ => Ok(()),
        };
        try_join_all(names.into_iter().map(delete)).await.map(|_| ())
    }

    /// Deletes those of the locks that are held by a pod that does not exist: whoever comes next would wait for its lease
    /// to end. Whether others are held by a pod that is about to end, and is to be waited for.
    ///
    /// # Errors
    /// The API refuses, or does not answer.
    pub(crate) async fn release_orphaned(&self, locks: &BTreeSet<String>) -> Result<bool, Failure> {
        let (held, pods) = tokio::try_join!(self.held(locks), self.pods())
            .map_err(|error| error.unread(Reason::ApiUnavailable, "cannot see who holds a lock"))?;
        let pod = |holder: &str| pods.iter().find(|pod| pod.name.as_deref() == Some(holder));
        let orphaned = held.iter().filter(|(_, holder)| pod(holder).is_none()).map(|(lock, _)| lock.clone());
        self.delete(orphaned).await?;
        Ok(held.iter().any(|(_, holder)| pod(holder).is_some_and(|pod| pod.deletion_timestamp.is_some())))
    }

    /// The locks that are held, with the name of their holder's pod.
    async fn held(&self, locks: &BTreeSet<String>) -> Result<Vec<(String, String)>, ApiError> {
        let listed = ask(API_ANSWER, self.api.list(&ListParams::default())).await?;
        let own = listed.items.into_iter().filter(|lock| locks.contains(&lock.name_any()));
        Ok(own.filter_map(|lock| Some((lock.name_any(), self.holder(&lock)?))).collect())
    }

    async fn pods(&self) -> Result<Vec<ObjectMeta>, ApiError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let listed = ask(API_ANSWER, pods.list_metadata(&ListParams::default())).await?;
        Ok(listed.items.into_iter().map(|pod| pod.metadata).collect())
    }
}
