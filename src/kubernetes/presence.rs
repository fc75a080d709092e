//! What is in the cluster, by the metadata of each kind in each namespace: one LIST in place of many a GET.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{ListParams, ObjectMeta};
use kube::{Client, Error};

use super::{AT_ONCE, ask, resolve};
use crate::failure::{Failure, Reason};
use crate::limits::API_REQUEST;
use crate::manifest::{Collection, ObjectRef};

const UNSEEN: &str = "cannot see what is in the cluster";

/// The metadata of all objects of a collection.
pub(super) async fn list(client: &Client, collection: &Collection) -> Result<Vec<ObjectMeta>, Error> {
    let api = resolve(client, collection).await?.endpoint(client, collection.namespace.as_deref());
    let found = api.list_metadata(&ListParams::default()).await?;
    Ok(found.items.into_iter().map(|item| item.metadata).collect())
}

/// Those of the objects that are not there.
///
/// # Errors
/// [`Reason::ApiUnavailable`], or as the API's answer tells.
pub async fn missing(client: &Client, objects: impl Iterator<Item = ObjectRef>) -> Result<Vec<ObjectRef>, Failure> {
    let mut objects: Vec<ObjectRef> = objects.collect();
    let collections: BTreeSet<_> = objects.iter().map(ObjectRef::collection).collect();
    let lists = collections.into_iter().map(async |collection| {
        match ask(API_REQUEST, list(client, &collection)).await {
            Ok(found) => Ok(found.into_iter().filter_map(|one| Some(collection.object(one.name?))).collect()),
            // Where the kind is not served, there is none of it.
            Err(error) if error.is_missing() => Ok(BTreeSet::new()),
            Err(error) => Err(error.unread(Reason::ApiUnavailable, UNSEEN)),
        }
    });
    let there: Vec<BTreeSet<ObjectRef>> = stream::iter(lists).buffer_unordered(AT_ONCE).try_collect().await?;
    objects.retain(|object| !there.iter().any(|names| names.contains(object)));
    Ok(objects)
}
