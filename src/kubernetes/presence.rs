//! What is in the cluster, by the metadata of each kind in each namespace: one LIST in place of many a GET.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{ListParams, ObjectMeta};
use kube::{Client, Error};
use serde_json::Value;

use super::edits::{self, REPLICAS};
use super::{AT_ONCE, ask, resolve};
use crate::failure::{Failure, Reason};
use crate::limits::API_REQUEST;
use crate::manifest::{Collection, Edit, Object, ObjectRef};

const UNSEEN: &str = "cannot see what is in the cluster";

/// The metadata of all objects of a collection.
pub(super) async fn list(client: &Client, collection: &Collection) -> Result<Vec<ObjectMeta>, Error> {
    let api = resolve(client, collection).await?.endpoint(client, collection.namespace.as_deref());
    let found = api.list_metadata(&ListParams::default()).await?;
    Ok(found.items.into_iter().map(|item| item.metadata).collect())
}

/// How a cluster differs from what was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Objects that are not there.
    pub missing: BTreeSet<ObjectRef>,
    /// Objects that somebody changed.
    pub edited: Vec<Edit>,
}

impl Drift {
    /// Whether it does not differ.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// An object that is there, as far as an edit is looked for.
struct Present {
    metadata: ObjectMeta,
    replicas: Option<u64>,
}

/// What is missing of `expected`, and which of the `applied` are not as they were applied.
///
/// # Errors
/// [`Reason::ApiUnavailable`], or as the API's answer tells.
pub async fn drift<'a>(
    client: &Client,
    expected: impl Iterator<Item = ObjectRef>,
    applied: impl Iterator<Item = &'a Object>,
) -> Result<Drift, Failure> {
    let mut missing: BTreeSet<ObjectRef> = expected.collect();
    let applied: Vec<&Object> = applied.collect();
    let scaled = applied.iter().filter(|object| object.get(REPLICAS).is_some());
    let scaled: BTreeSet<_> = scaled.map(|object| object.reference().collection()).collect();
    let collections: BTreeSet<_> = missing.iter().map(ObjectRef::collection).collect();
    let lists = collections.into_iter().map(async |collection| {
        let whole = scaled.contains(&collection);
        match ask(API_REQUEST, present(client, &collection, whole)).await {
            Ok(found) => Ok(found),
            // Where the kind is not served, there is none of it.
            Err(error) if error.is_missing() => Ok(BTreeMap::new()),
            Err(error) => Err(error.unread(Reason::ApiUnavailable, UNSEEN)),
        }
    });
    let found: Vec<BTreeMap<ObjectRef, Present>> = stream::iter(lists).buffer_unordered(AT_ONCE).try_collect().await?;
    let found: BTreeMap<_, _> = found.into_iter().flatten().collect();
    missing.retain(|object| !found.contains_key(object));
    let edited = applied.into_iter().filter_map(|object| {
        let present = found.get(&object.reference())?;
        edits::edit(object, &present.metadata, present.replicas)
    });
    Ok(Drift { edited: edited.collect(), missing })
}

async fn present(client: &Client, collection: &Collection, whole: bool) -> Result<BTreeMap<ObjectRef, Present>, Error> {
    let found: Vec<Present> = if whole {
        let api = resolve(client, collection).await?.endpoint(client, collection.namespace.as_deref());
        let listed = api.list(&ListParams::default()).await?.items.into_iter();
        listed
            .map(|one| Present { replicas: one.data.pointer(REPLICAS).and_then(Value::as_u64), metadata: one.metadata })
            .collect()
    } else {
        list(client, collection).await?.into_iter().map(|metadata| Present { metadata, replicas: None }).collect()
    };
    Ok(found.into_iter().filter_map(|one| Some((collection.object(one.metadata.name.clone()?), one))).collect())
}
