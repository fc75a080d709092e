//! What is in the cluster, by the metadata of all objects of a kind: one LIST in place of many a GET.

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

/// What is missing of `expected`, and which of the `applied` are not as they were applied. A kind that is in several
/// namespaces is listed once for all, where the cluster is the sandbox's `own`: another one's namespaces may not be read.
///
/// # Errors
/// [`Reason::ApiUnavailable`], or as the API's answer tells.
pub async fn drift<'a>(
    client: &Client,
    expected: impl Iterator<Item = ObjectRef>,
    applied: impl Iterator<Item = &'a Object>,
    own: bool,
) -> Result<Drift, Failure> {
    let mut missing: BTreeSet<ObjectRef> = expected.collect();
    let applied: Vec<&Object> = applied.collect();
    let scaled = applied.iter().filter(|object| object.get(REPLICAS).is_some());
    let scaled: BTreeSet<_> = scaled.map(|object| kind(&object.reference().collection())).collect();
    let lists = collections(&missing, own).into_iter().map(async |collection| {
        let whole = scaled.contains(&kind(&collection));
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

/// The same collection in all namespaces.
fn kind(collection: &Collection) -> Collection {
    Collection { namespace: None, ..collection.clone() }
}

/// The collections that have all of these objects.
fn collections(objects: &BTreeSet<ObjectRef>, own: bool) -> BTreeSet<Collection> {
    let collections: BTreeSet<_> = objects.iter().map(ObjectRef::collection).collect();
    let is_spread = |one: &Collection| collections.iter().filter(|other| kind(other) == kind(one)).count() > 1;
    collections.iter().map(|one| if own && is_spread(one) { kind(one) } else { one.clone() }).collect()
}

async fn present(client: &Client, collection: &Collection, whole: bool) -> Result<BTreeMap<ObjectRef, Present>, Error> {
    let resource = resolve(client, collection).await?;
    let api = match &collection.namespace {
        Some(namespace) => resource.endpoint(client, Some(namespace)),
        None => resource.everywhere(client),
    };
    let all = ListParams::default();
    let found: Vec<Present> = if whole {
        let listed = api.list(&all).await?.items.into_iter();
        listed
            .map(|one| Present { replicas: one.data.pointer(REPLICAS).and_then(Value::as_u64), metadata: one.metadata })
            .collect()
    } else {
        let listed = api.list_metadata(&all).await?.items.into_iter();
        listed.map(|one| Present { metadata: one.metadata, replicas: None }).collect()
    };
    let named = found.into_iter().filter_map(|one| {
        let place = Collection { namespace: one.metadata.namespace.clone(), ..collection.clone() };
        Some((place.object(one.metadata.name.clone()?), one))
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_in_several_namespaces_is_listed_once_in_a_cluster_of_ones_own() {
        let object = |kind: &str, namespace: Option<&str>| ObjectRef {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: "a".to_owned(),
        };
        let objects: BTreeSet<_> = [
            object("ConfigMap", Some("a")),
            object("Namespace", None),
            object("Secret", Some("a")),
            object("Secret", Some("b")),
        ]
        .into();
        let listed = |own| {
            let named = collections(&objects, own).into_iter();
            named.map(|one| (one.kind, one.namespace.unwrap_or_default())).collect::<Vec<_>>()
        };
        let pair = |kind: &str, namespace: &str| (kind.to_owned(), namespace.to_owned());
        assert_eq!(listed(true), [pair("ConfigMap", "a"), pair("Namespace", ""), pair("Secret", "")]);
        assert_eq!(
            listed(false),
            [pair("ConfigMap", "a"), pair("Namespace", ""), pair("Secret", "a"), pair("Secret", "b")]
        );
    }
}
