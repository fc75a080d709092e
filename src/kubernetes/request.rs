//! One object: apply until taken or refused, replace what cannot be changed, wait for what must settle.

use std::time::Duration;

use futures::TryFutureExt;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, Preconditions};
use kube::core::metadata::PartialObjectMeta;
use serde_json::{Map, Value};
use tokio::time::sleep;

use super::additions::{Additions, additions};
use super::error::{ApiError, Outlook};
use super::normalise::normalise;
use super::{ask, resolve, retry};
use crate::failure::{Failure, Reason};
use crate::flyte::labels::{MANAGED_BY, MANAGER};
use crate::limits::{API_EXPLAIN, KIND_ESTABLISHED, KIND_SERVED};
use crate::manifest::{Object, ObjectRef};
use crate::report::{Change, Stage};
use crate::run::Run;

const POLL: Duration = Duration::from_millis(100);

/// Kinds whose immutable fields are changed by deleting the object and creating it again, without loss.
const REPLACEABLE: &[&str] =
    &["ConfigMap", "DaemonSet", "Deployment", "Job", "RoleBinding", "Secret", "Service", "StatefulSet"];

const REFUSED: &str = "the API did not take the object";

/// Whether the object carries our label.
pub(crate) fn is_ours(metadata: &ObjectMeta) -> bool {
    metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|manager| manager == MANAGER)
}

/// Whether the object carries our label, or was applied by us and has lost its labels since: the dashboard replaces
/// those of the Secret that it keeps its key in.
pub(crate) fn was_ours(metadata: &ObjectMeta) -> bool {
    is_ours(metadata) || applied(metadata).is_some()
}

/// What the API knows of our applies to the object.
pub(super) fn applied(metadata: &ObjectMeta) -> Option<&ManagedFieldsEntry> {
    let mut entries = metadata.managed_fields.iter().flatten();
    entries.find(|entry| entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Apply"))
}

/// Applies the object; `before` is what was there.
pub(crate) async fn put(
    client: &Client,
    object: &Object,
    before: Option<&ObjectMeta>,
    run: &Run,
) -> Result<Change, Failure> {
    let reference = object.reference();
    let body = normalise(object);
    let failed = |error: ApiError| error.failure(REFUSED, &reference);
    let collection = reference.collection();
    let resource = retry(run, &reference, KIND_SERVED, || resolve(client, &collection)).map_err(failed).await?;
    let api = resource.endpoint(client, object.namespace());
    let error = match patch(&api, &reference, &body, run).await {
        Ok(after) => {
            let added = additions(object, &after.metadata);
            let Some(Additions { removal, .. }) = added else { return Ok(change(before, &after.metadata)) };
            take_away(&api, &reference, &removal, run).await.map_err(failed)?;
            return Ok(Change::Changed);
        }
        Err(error) => error,
    };
    let replaceable = error.outlook() == Outlook::Immutable && REPLACEABLE.contains(&object.kind());
    match before {
        Some(before) if replaceable && is_ours(before) => {
            run.report.progress(Stage::Apply, format!("{reference}: cannot be changed in place; making it anew"));
            remove(&api, &reference, before, run).await?;
            patch(&api, &reference, &body, run).await.map_err(failed)?;
            Ok(Change::Changed)
        }
        _ => {
            let holds = match error.reason() {
                Reason::NamespaceTerminating => what_holds(client, &reference).await,
                _ => Vec::new(),
            };
            Err(failed(error).evidence(holds))
        }
    }
}

/// What keeps a namespace that is being removed from going away: its finalizers, and what its conditions say.
async fn what_holds(client: &Client, reference: &ObjectRef) -> Vec<String> {
    let name = reference.namespace.as_ref().unwrap_or(&reference.name);
    let api: Api<Namespace> = Api::all(client.clone());
    let Ok(namespace) = ask(API_EXPLAIN, api.get(name)).await else { return Vec::new() };
    let own = namespace.metadata.finalizers.unwrap_or_default();
    let kubernetes = namespace.spec.and_then(|spec| spec.finalizers).unwrap_or_default();
    let finalizers =
        own.into_iter().chain(kubernetes).map(|finalizer| format!("namespace {name}: finalizer {finalizer}"));
    let conditions = namespace.status.and_then(|status| status.conditions).unwrap_or_default().into_iter();
    let said = conditions
        .filter(|condition| condition.status == "True")
        .map(|condition| format!("namespace {name}: {}: {}", condition.type_, condition.message.unwrap_or_default()));
    finalizers.chain(said).collect()
}

async fn patch(
    api: &Api<DynamicObject>,
    reference: &ObjectRef,
    body: &Object,
    run: &Run,
) -> Result<DynamicObject, ApiError> {
    let parameters = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(body);
    retry(run, reference, KIND_SERVED, || api.patch(&reference.name, &parameters, &patch)).await
}

/// Takes away what others added. It asks for no right that an apply does not need.
async fn take_away(
    api: &Api<DynamicObject>,
    reference: &ObjectRef,
    removal: &Map<String, Value>,
    run: &Run,
) -> Result<(), ApiError> {
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(removal);
    retry(run, reference, KIND_SERVED, || api.patch(&reference.name, &parameters, &patch)).await.map(|_| ())
}

/// What the apply did. Controllers write to the object too, so a new resource version alone proves nothing: the API
/// renews our own entry of the managed fields only when an apply changed something. Replicas may have been changed without
/// a trace there; the generation tells that they were put back.
fn change(before: Option<&ObjectMeta>, after: &ObjectMeta) -> Change {
    let Some(before) = before else { return Change::Created };
    let untouched =
        applied(before).is_some() && applied(before) == applied(after) && before.generation == after.generation;
    if before.uid == after.uid && (before.resource_version == after.resource_version || untouched) {
        Change::Unchanged
    } else {
        Change::Changed
    }
}

/// Deletes exactly the object that `seen` describes, and waits until it is gone.
async fn remove(api: &Api<DynamicObject>, reference: &ObjectRef, seen: &ObjectMeta, run: &Run) -> Result<(), Failure> {
    let what = "cannot delete the object to make it anew";
    delete(api, reference, seen, run).await.map_err(|error| error.failure(what, reference))?;
    loop {
        let found = retry(run, reference, Duration::ZERO, || api.get_metadata_opt(&reference.name)).await;
        let found: Option<PartialObjectMeta<DynamicObject>> = found.map_err(|error| error.failure(what, reference))?;
        if found.is_none_or(|found| found.metadata.uid != seen.uid) {
            return Ok(());
        }
        if run.deadline.has_passed() {
            let failure =
                Failure::new(Reason::ApplyConflict, what).on(reference).because(run.deadline.expired_message());
            return Err(failure.because("it is being deleted, and something holds it (a finalizer)"));
        }
        sleep(POLL).await;
    }
}

/// Deletes exactly the object that `seen` describes, dependents in the background. It being gone already is fine, and so
/// is another one of its name.
pub(crate) async fn delete(
    api: &Api<DynamicObject>,
    reference: &ObjectRef,
    seen: &ObjectMeta,
    run: &Run,
) -> Result<(), ApiError> {
    let this_one = Preconditions { uid: seen.uid.clone(), resource_version: None };
    let parameters = DeleteParams::background().preconditions(this_one);
    let delete = || async {
        match api.delete(&reference.name, &parameters).await {
            Ok(_) => Ok(()),
            // Either this very object changed meanwhile, or it is another one.
            Err(kube::Error::Api(status)) if status.code == 409 => match api.get_metadata_opt(&reference.name).await? {
                Some(now) if now.metadata.uid == seen.uid => Err(kube::Error::Api(status)),
                _ => Ok(()),
            },
            Err(error) => Err(error),
        }
    };
    match retry(run, reference, Duration::ZERO, delete).await {
        Err(error) if error.is_missing() => Ok(()),
        done => done,
    }
}

/// Waits until the API serves the kind that a CustomResourceDefinition brings.
pub(crate) async fn established(client: &Client, reference: &ObjectRef, run: &Run) -> Result<(), Failure> {
    let what = "the API does not serve the new kind";
    let deadline = run.deadline.min(KIND_ESTABLISHED);
    let failed = |error: ApiError| error.failure(what, reference);
    let collection = reference.collection();
    let resource = retry(run, reference, KIND_SERVED, || resolve(client, &collection)).map_err(failed).await?;
    let api = resource.endpoint(client, None);
    let mut said = "the API does not answer".to_owned();
    let served = async {
        loop {
            let definition = retry(run, reference, KIND_SERVED, || api.get(&reference.name)).map_err(failed).await?;
            let conditions = definition.data.pointer("/status/conditions").and_then(Value::as_array);
            let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
            if conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True") {
                return Ok(());
            }
            let refused = conditions.iter().find(|condition| condition["status"] == "False");
            said =
                refused.and_then(|condition| condition["message"].as_str()).unwrap_or("not established yet").to_owned();
            run.report.progress(Stage::Apply, format!("{reference}: {said}"));
            sleep(POLL).await;
        }
    };
    deadline.limit(served).await.unwrap_or_else(|| {
        Err(Failure::new(Reason::KindUnknown, what).on(reference).because(deadline.expired_message()).because(said))
    })
}
