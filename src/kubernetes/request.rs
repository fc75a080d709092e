//! One object: apply until taken or refused, replace what cannot be changed, wait for what must settle.

use std::time::Duration;

use futures::TryFutureExt;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, Preconditions};
use kube::core::metadata::PartialObjectMeta;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::answer::{Refusal, Verdict, persist};
use super::normalise::normalise;
use super::resolve;
use crate::failure::{Failure, Reason};
use crate::flyte::labels::{MANAGED_BY, MANAGER};
use crate::manifest::{Object, ObjectRef};
use crate::report::{Change, Stage};
use crate::run::Run;

/// How long a kind that a CustomResourceDefinition has just brought, or a namespace, may take to be there.
const PATIENCE: Duration = Duration::from_secs(30);
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(60);
/// For one more look at what is told in a failure.
const LOOK: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);

/// Kinds whose immutable fields are changed by deleting the object and creating it again, without loss.
const REPLACEABLE: &[&str] = &["DaemonSet", "Deployment", "Job", "RoleBinding", "StatefulSet"];

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
fn applied(metadata: &ObjectMeta) -> Option<&ManagedFieldsEntry> {
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
    let failed = |refusal: Refusal| refusal.failure(REFUSED, &reference);
    let resource = persist(run, &reference, PATIENCE, || resolve(client, &reference)).map_err(failed).await?;
    let api = resource.endpoint(client, object.namespace());
    let refusal = match patch(&api, &reference, &body, run).await {
        Ok(after) => return Ok(change(before, &after.metadata)),
        Err(refusal) => refusal,
    };
    let replaceable = refusal.verdict == Verdict::Immutable && REPLACEABLE.contains(&object.kind());
    match before {
        Some(before) if replaceable && is_ours(before) => {
            run.report.progress(Stage::Apply, format!("{reference}: cannot be changed in place; making it anew"));
            remove(&api, &reference, before, run).await?;
            patch(&api, &reference, &body, run).await.map_err(failed)?;
            Ok(Change::Changed)
        }
        _ => {
            let holds = match refusal.reason {
                Reason::NamespaceTerminating => what_holds(client, &reference).await,
                _ => Vec::new(),
            };
            Err(failed(refusal).evidence(holds))
        }
    }
}

/// What keeps a namespace that is being removed from going away: its finalizers, and what its conditions say.
async fn what_holds(client: &Client, reference: &ObjectRef) -> Vec<String> {
    let name = reference.namespace.as_ref().unwrap_or(&reference.name);
    let api: Api<Namespace> = Api::all(client.clone());
    let Ok(Ok(namespace)) = timeout(LOOK, api.get(name)).await else { return Vec::new() };
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
) -> Result<DynamicObject, Refusal> {
    let parameters = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(body);
    persist(run, reference, PATIENCE, || api.patch(&reference.name, &parameters, &patch)).await
}

/// What the apply did. Controllers write to the object too, so a new resource version alone proves nothing: the API
/// renews our own entry of the managed fields only when an apply changed something.
fn change(before: Option<&ObjectMeta>, after: &ObjectMeta) -> Change {
    let Some(before) = before else { return Change::Created };
    let untouched = applied(before).is_some() && applied(before) == applied(after);
    if before.uid == after.uid && (before.resource_version == after.resource_version || untouched) {
        Change::Unchanged
    } else {
        Change::Changed
    }
}

/// Deletes exactly the object that `seen` describes, and waits until it is gone.
async fn remove(api: &Api<DynamicObject>, reference: &ObjectRef, seen: &ObjectMeta, run: &Run) -> Result<(), Failure> {
    let what = "cannot delete the object to make it anew";
    delete(api, reference, seen, run).await.map_err(|refusal| refusal.failure(what, reference))?;
    loop {
        let found = persist(run, reference, Duration::ZERO, || api.get_metadata_opt(&reference.name)).await;
        let found: Option<PartialObjectMeta<DynamicObject>> =
            found.map_err(|refusal| refusal.failure(what, reference))?;
        if found.is_none_or(|found| found.metadata.uid != seen.uid) {
            return Ok(());
        }
        if run.deadline.remaining().is_zero() {
            let failure =
                Failure::new(Reason::ApplyConflict, what).on(reference).because(run.deadline.expired_message());
            return Err(failure.because("it is being deleted, and something holds it (a finalizer)"));
        }
        sleep(POLL).await;
    }
}

/// Deletes exactly the object that `seen` describes, dependents in the background. It being gone already is fine.
pub(crate) async fn delete(
    api: &Api<DynamicObject>,
    reference: &ObjectRef,
    seen: &ObjectMeta,
    run: &Run,
) -> Result<(), Refusal> {
    let this_one = Preconditions { uid: seen.uid.clone(), resource_version: None };
    let parameters = DeleteParams::background().preconditions(this_one);
    match persist(run, reference, Duration::ZERO, || api.delete(&reference.name, &parameters)).await {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.verdict == Verdict::Missing => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

/// Waits until the API serves the kind that a CustomResourceDefinition brings.
pub(crate) async fn established(client: &Client, reference: &ObjectRef, run: &Run) -> Result<(), Failure> {
    let what = "the API does not serve the new kind";
    let deadline = run.deadline.min(ESTABLISHED_WITHIN);
    let failed = |refusal: Refusal| refusal.failure(what, reference);
    let resource = persist(run, reference, PATIENCE, || resolve(client, reference)).map_err(failed).await?;
    let api = resource.endpoint(client, None);
    loop {
        let definition = persist(run, reference, PATIENCE, || api.get(&reference.name)).map_err(failed).await?;
        let conditions = definition.data.pointer("/status/conditions").and_then(Value::as_array);
        let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
        if conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True") {
            return Ok(());
        }
        let refused = conditions.iter().find(|condition| condition["status"] == "False");
        let said = refused.and_then(|condition| condition["message"].as_str()).unwrap_or("not established yet");
        if deadline.remaining().is_zero() {
            return Err(Failure::new(Reason::KindUnknown, what)
                .on(reference)
                .because(deadline.expired_message())
                .because(said));
        }
        run.report.progress(Stage::Apply, format!("{reference}: {said}"));
        sleep(POLL).await;
    }
}
