//! What was applied, kept in the cluster, and pruning of what is no longer.
//!
//! It is in a Secret, which none of Flyte's accounts may read: the spec has one within.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams};
use serde_json::json;

use super::{AT_ONCE, ApiError, ask, request, resolve, retry};
use crate::failure::{Failure, Reason};
use crate::flyte::labels::{MANAGED_BY, MANAGER};
use crate::limits::API_ANSWER;
use crate::manifest::{Object, ObjectRef};
use crate::report::{Change, Event};
use crate::run::Run;
use crate::spec::{self, Spec};

/// The Secret's name.
pub(crate) const NAME: &str = "sandbox-inventory";

/// What was applied last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Of the rendered objects: equal digests mean that there is nothing to apply. Absent until an `up` has ended.
    pub digest: Option<String>,
    /// What it was rendered for.
    pub spec: Spec,
    /// Each object that was applied, with its digest; absent where a run that did not end leaves open what it is.
    pub objects: BTreeMap<ObjectRef, Option<String>>,
    /// The tables that there were in Flyte's databases, such as `flyte_development.projects`; empty where that is not
    /// known.
    pub tables: BTreeSet<String>,
    /// Whether a workflow has run in it as it was applied last. Until then nobody may take it for ready.
    pub proven: bool,
    /// What an `up` that did not end put back, after somebody's edit: the pods that read it may run with the edit.
    pub mended: BTreeSet<ObjectRef>,
}

impl Inventory {
    /// What was applied that makes pods.
    pub fn workloads(&self) -> impl Iterator<Item = &ObjectRef> {
        let kinds = ["Deployment", "StatefulSet", "DaemonSet"];
        self.objects.keys().filter(move |object| kinds.contains(&object.kind.as_str()))
    }
}

fn place(namespace: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: NAME.to_owned(),
    }
}

/// The cluster's inventory, in whichever namespace it is: the spec may have named another one then. One request.
///
/// # Errors
/// [`Reason::ApiUnavailable`] when the API does not answer, or what else it answers; [`Reason::Apply`] when the inventory
/// cannot be read.
pub async fn find(client: &Client) -> Result<Option<Inventory>, Failure> {
    find_in(Api::all(client.clone())).await
}

/// As [`find`], in this namespace and nowhere else.
///
/// # Errors
/// As [`find`].
pub async fn find_within(client: &Client, namespace: &str) -> Result<Option<Inventory>, Failure> {
    find_in(Api::namespaced(client.clone(), namespace)).await
}

async fn find_in(secrets: Api<Secret>) -> Result<Option<Inventory>, Failure> {
    let what = "cannot read what was applied before";
    let named = ListParams::default().fields(&format!("metadata.name={NAME}"));
    let unread = || Failure::new(Reason::Apply, what).on(format!("secret {NAME}"));
    let found = ask(API_ANSWER, secrets.list(&named)).await;
    let found = found.map_err(|error| error.unread(Reason::ApiUnavailable, what).on(format!("secret {NAME}")))?;
    let own = found.items.into_iter().find(|secret| secret.metadata.name.as_deref() == Some(NAME));
    let Some(data) = own.and_then(|secret| secret.data) else { return Ok(None) };
    let text = |key: &str| data.get(key).map(|bytes| String::from_utf8_lossy(&bytes.0)).unwrap_or_default();
    let damaged =
        |error: serde_json::Error| unread().caused_by(error).hint("start anew with `sandbox down` and `sandbox up`");
    let mut spec: Spec = serde_json::from_str(&text("spec")).map_err(damaged)?;
    spec.storage.secret_key = spec::Secret::new(text("secretKey"));
    let issued = text("issuedKeys");
    if !issued.is_empty() {
        let kept: BTreeMap<String, (String, String, Option<u64>)> = serde_json::from_str(&issued).map_err(damaged)?;
        let keys = kept.into_iter().map(|(project, (access_key, secret_key, expires_at))| {
            (project, spec::Keys { access_key, secret_key: spec::Secret::new(secret_key), expires_at })
        });
        spec.storage.issued = keys.collect();
    }
    // The Secret has an empty text for a digest that is absent.
    let known = |digest: String| Some(digest).filter(|digest| !digest.is_empty());
    let objects: Vec<(ObjectRef, String)> = serde_json::from_str(&text("objects")).map_err(damaged)?;
    let mended = text("mended");
    let mended = if mended.is_empty() { BTreeSet::new() } else { serde_json::from_str(&mended).map_err(damaged)? };
    Ok(Some(Inventory {
        digest: known(text("digest").into_owned()),
        spec,
        objects: objects.into_iter().map(|(object, digest)| (object, known(digest))).collect(),
        proven: text("proven") == "true",
        tables: text("tables").lines().map(str::to_owned).collect(),
        mended,
    }))
}

/// Keeps the inventory in the system namespace.
///
/// # Errors
/// As [`apply`](super::apply()).
pub async fn save(client: &Client, namespace: &str, inventory: &Inventory, run: &Run) -> Result<(), Failure> {
    let what = "cannot keep what was applied";
    let place = place(namespace);
    let unwritable = |error: serde_json::Error| Failure::new(Reason::Internal, what).caused_by(error);
    let objects = inventory.objects.iter().map(|(object, digest)| (object, digest.as_deref().unwrap_or_default()));
    let objects = serde_json::to_string(&objects.collect::<Vec<_>>()).map_err(unwritable)?;
    let mended = serde_json::to_string(&inventory.mended).map_err(unwritable)?;
    let spec = serde_json::to_string(&inventory.spec).map_err(unwritable)?;
    let issued = inventory
        .spec
        .storage
        .issued
        .iter()
        .map(|(project, keys)| (project, (&keys.access_key, keys.secret_key.expose(), keys.expires_at)));
    let issued = serde_json::to_string(&issued.collect::<BTreeMap<_, _>>()).map_err(unwritable)?;
    let data = [
        ("digest", inventory.digest.clone().unwrap_or_default()),
        ("issuedKeys", issued),
        ("mended", mended),
        ("objects", objects),
        ("proven", inventory.proven.to_string()),
        ("secretKey", inventory.spec.storage.secret_key.expose().to_owned()),
        ("spec", spec),
        ("tables", inventory.tables.iter().map(|table| format!("{table}\n")).collect()),
    ];
    let data: BTreeMap<_, _> = data.map(|(key, text)| (key, ByteString(text.into_bytes()))).into();
    let body = json!({
        "apiVersion": place.api_version, "kind": place.kind,
        "metadata": {"name": NAME, "namespace": namespace, "labels": {MANAGED_BY: MANAGER}},
        "data": data,
    });
    let body = Object::new(body).map_err(|error| Failure::new(Reason::Internal, what).caused_by(error))?;
    run.unless_cancelled(request::put(client, &body, None, run)).await.map(|_| ())
}

/// Writes down that a workflow has run with what was applied last.
///
/// # Errors
/// As [`apply`](super::apply()).
pub async fn mark_proven(client: &Client, namespace: &str, run: &Run) -> Result<(), Failure> {
    let place = place(namespace);
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let patch = Patch::Merge(json!({"data": {"proven": ByteString(b"true".to_vec())}}));
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let marked = || async { secrets.patch(NAME, &parameters, &patch).await };
    let marked = async {
        let failed = |error: ApiError| error.failure("cannot keep what was applied", &place);
        retry(run, &place, Duration::ZERO, marked).await.map_err(failed)
    };
    run.unless_cancelled(marked).await.map(|_| ())
}

/// Deletes the inventory itself, when nothing of what it names is left.
///
/// # Errors
/// As [`apply`](super::apply()).
pub(crate) async fn forget(client: &Client, namespace: &str, run: &Run) -> Result<(), Failure> {
    run.unless_cancelled(prune_one(client, &place(namespace), request::is_ours, run)).await.map(|_| ())
}

/// Deletes what `previous` has and `now` has not, in the background: first what is in namespaces, then the rest. Only
/// objects that carry our label are touched; the others are told of. Returns what was deleted.
///
/// # Errors
/// As [`apply`](super::apply()), with the object, when the API refuses to delete it.
pub async fn prune(
    client: &Client,
    previous: &Inventory,
    now: &BTreeSet<ObjectRef>,
    run: &Run,
) -> Result<Vec<ObjectRef>, Failure> {
    remove(client, previous, now, request::is_ours, run).await
}

/// Deletes all that `all` has, as [`prune`] does, and that which was ours and has lost its labels.
///
/// # Errors
/// As [`prune`].
pub(crate) async fn withdraw(client: &Client, all: &Inventory, run: &Run) -> Result<Vec<ObjectRef>, Failure> {
    remove(client, all, &BTreeSet::new(), request::was_ours, run).await
}

/// Whether an object may be deleted.
type Ours = fn(&ObjectMeta) -> bool;

async fn remove(
    client: &Client,
    previous: &Inventory,
    now: &BTreeSet<ObjectRef>,
    ours: Ours,
    run: &Run,
) -> Result<Vec<ObjectRef>, Failure> {
    let kept: BTreeSet<_> = now.iter().map(ObjectRef::identity).collect();
    let vanished = previous.objects.keys().filter(|object| !kept.contains(&object.identity()));
    let (within, outside): (Vec<_>, Vec<_>) = vanished.partition(|object| object.namespace.is_some());
    let in_order = async {
        let mut pruned = Vec::new();
        for part in [within, outside] {
            let removals = part.into_iter().map(|object| prune_one(client, object, ours, run));
            let removed: Vec<_> = stream::iter(removals).buffered(AT_ONCE).try_collect().await?;
            pruned.extend(removed.into_iter().flatten());
        }
        Ok(pruned)
    };
    run.unless_cancelled(in_order).await
}

async fn prune_one(client: &Client, object: &ObjectRef, ours: Ours, run: &Run) -> Result<Option<ObjectRef>, Failure> {
    let failed = |error: ApiError| error.failure("cannot delete what is rendered no longer", object);
    let find = || async {
        let api: Api<DynamicObject> =
            resolve(client, &object.collection()).await?.endpoint(client, object.namespace.as_deref());
        let found = api.get_metadata_opt(&object.name).await?;
        Ok::<_, kube::Error>(found.map(|found| (api, found.metadata)))
    };
    let (api, seen) = match retry(run, object, Duration::ZERO, find).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(None),
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if !ours(&seen) {
        run.report.warn(format!("{object} is rendered no longer, but does not carry our label: left alone"));
        return Ok(None);
    }
    request::delete(&api, object, &seen, run).await.map_err(failed)?;
    run.report.emit(Event::Applied { object: object.to_string(), change: Change::Pruned });
    Ok(Some(object.clone()))
}
