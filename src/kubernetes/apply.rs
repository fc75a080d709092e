//! Objects to the API, and what that changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use kube::api::ObjectMeta;

use super::retry::retry;
use super::{AT_ONCE, presence, request};
use crate::failure::Failure;
use crate::manifest::{Collection, Object, ObjectRef};
use crate::report::{Change, Event};
use crate::run::Run;

/// What was there before, by identity.
pub(crate) type Before = BTreeMap<ObjectRef, ObjectMeta>;

/// Applies the objects server-side, field conflicts decided in our favour: namespaces first, then
/// CustomResourceDefinitions (awaited until served), then the rest side by side. Returns what was done to each, in the
/// order in which it was done.
///
/// # Errors
/// With the object and the API's words, when an object is refused or is not taken before the run's deadline; the reason
/// is what the API's answer tells, [`Reason::Apply`](crate::failure::Reason::Apply) where it tells nothing special.
pub async fn apply(client: &Client, objects: &[Object], run: &Run) -> Result<Vec<(ObjectRef, Change)>, Failure> {
    run.unless_cancelled(in_order(client, objects, run)).await
}

async fn in_order(client: &Client, objects: &[Object], run: &Run) -> Result<Vec<(ObjectRef, Change)>, Failure> {
    let before = existing(client, objects, run).await?;
    let rank = |object: &Object| match object.kind() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        _ => 2,
    };
    let mut done = Vec::with_capacity(objects.len());
    for phase in 0..=2 {
        let of_phase = objects.iter().filter(|object| rank(object) == phase);
        let puts = of_phase.map(|object| put(client, object, &before, run));
        let results: Vec<_> = stream::iter(puts).buffered(AT_ONCE).try_collect().await?;
        if phase == 1 {
            for (definition, _) in &results {
                request::established(client, definition, run).await?;
            }
        }
        done.extend(results);
    }
    Ok(done)
}

async fn put(client: &Client, object: &Object, before: &Before, run: &Run) -> Result<(ObjectRef, Change), Failure> {
    let reference = object.reference();
    let change = request::put(client, object, before.get(&reference), run).await?;
    run.report.emit(Event::Applied { object: reference.to_string(), change });
    Ok((reference, change))
}

/// One LIST of metadata for each kind and namespace, in place of a GET for each object.
pub(crate) async fn existing(client: &Client, objects: &[Object], run: &Run) -> Result<Before, Failure> {
    let collections: BTreeSet<_> = objects.iter().map(|object| object.reference().collection()).collect();
    let lists = collections.into_iter().map(|collection| list(client, collection, run));
    let lists: Vec<Before> = stream::iter(lists).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(lists.into_iter().flatten().collect())
}

async fn list(client: &Client, collection: Collection, run: &Run) -> Result<Before, Failure> {
    match retry(run, &collection, Duration::ZERO, || presence::list(client, &collection)).await {
        Ok(found) => {
            let named = |one: ObjectMeta| Some((collection.object(one.name.clone()?), one));
            Ok(found.into_iter().filter_map(named).collect())
        }
        // Where the kind is not served yet, there is none of it.
        Err(error) if error.is_missing() => Ok(Before::new()),
        Err(error) => Err(error.failure("cannot see what is in the cluster already", collection)),
    }
}
