//! What is in the cluster, by the metadata of each kind in each namespace: one LIST in place of many a GET.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{ListParams, ObjectMeta};
use kube::{Client, Error};

use super::{AT_ONCE, ask, resolve};
use crate::failure::{Failure, Reason};
use crate::limits::API_REQUEST;
use crate::manifest::ObjectRef;

const UNSEEN: &str = "cannot see what is in the cluster";

/// The kinds and namespaces that the objects are in: each a reference without a name.
pub(super) fn places(objects: impl Iterator<Item = ObjectRef>) -> BTreeSet<ObjectRef> {
    objects.map(|object| ObjectRef { name: String::new(), ..object }).collect()
}

/// What there is at a place.
pub(super) async fn list(client: &Client, place: &ObjectRef) -> Result<Vec<ObjectMeta>, Error> {
    let api = resolve(client, place).await?.endpoint(client, place.namespace.as_deref());
    let found = api.list_metadata(&ListParams::default()).await?;
    Ok(found.items.into_iter().map(|item| item.metadata).collect())
}

/// Those of the objects that are not there.
///
/// # Errors
/// [`Reason::ApiUnavailable`], or as the API's answer tells.
pub async fn missing(client: &Client, objects: impl Iterator<Item = ObjectRef>) -> Result<Vec<ObjectRef>, Failure> {
    let mut objects: Vec<ObjectRef> = objects.collect();
    let lists = places(objects.iter().cloned()).into_iter().map(async |place| {
        match ask(API_REQUEST, list(client, &place)).await {
            Ok(found) => Ok(found.into_iter().filter_map(|one| one.name).map(|name| at(&place, name)).collect()),
            // Where the kind is not served, there is none of it.
            Err(error) if error.is_missing() => Ok(BTreeSet::new()),
            Err(error) => Err(error.unread(Reason::ApiUnavailable, UNSEEN)),
        }
    });
    let there: Vec<BTreeSet<ObjectRef>> = stream::iter(lists).buffer_unordered(AT_ONCE).try_collect().await?;
    objects.retain(|object| !there.iter().any(|names| names.contains(object)));
    Ok(objects)
}

/// An object at a place, by its name.
pub(super) fn at(place: &ObjectRef, name: String) -> ObjectRef {
    ObjectRef { name, ..place.clone() }
}
