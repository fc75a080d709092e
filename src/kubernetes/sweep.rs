//! What users and workflows put into namespaces, deleted: all that was not applied and that Kubernetes does not keep there
//! itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams};
use kube::discovery::Scope;
use serde_json::json;

use super::kinds::{Resource, api_resource};
use super::{AT_ONCE, ApiError, Inventory, ask, retry};
use crate::failure::{Failure, Reason};
use crate::flyte::labels::EXECUTION_ID;
use crate::flyte::workflow;
use crate::limits::{API_ANSWER, CONTAINERS_KILLED, FINALIZERS, OBJECTS_GONE};
use crate::manifest::{Collection, ObjectRef, is_own_group, served_kinds};
use crate::report::Stage;
use crate::run::{Deadline, Run};

const POLL: Duration = Duration::from_millis(100);
/// Kinds that cannot be listed.
const VIRTUAL: [&str; 2] = ["Binding", "LocalSubjectAccessReview"];
/// Kinds whose objects make pods.
const MAKERS: [&str; 7] =
    ["CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"];
/// The annotation of a ServiceAccount's token.
const TOKEN_OF: &str = "kubernetes.io/service-account.name";
/// Seconds that a pod has to end. With 0, the API forgets it while its containers still run, and they write on.
const GRACE: u32 = 1;

/// Namespaces, and the kinds of which objects are deleted there.
pub(crate) struct Sweep<'a> {
    client: &'a Client,
    inventory: &'a Inventory,
    namespaces: BTreeSet<String>,
    kinds: Vec<Kind>,
}

/// A kind, with where it is listed and which of its objects count.
struct Kind {
    resource: Resource,
    /// The namespaces to list; absent for one list of all.
    within: Option<BTreeSet<String>>,
    label: Option<&'static str>,
}

/// An object that is to go.
struct Found {
    api: Api<DynamicObject>,
    object: ObjectRef,
    metadata: ObjectMeta,
}

impl<'a> Sweep<'a> {
    /// Of the workflow namespaces of a sandbox: where the cluster is its own, every kind that is served; else what
    /// executions make.
    pub(crate) async fn of_workflow_namespaces(client: &'a Client, inventory: &'a Inventory) -> Result<Self, Failure> {
        let spec = &inventory.spec;
        let namespaces: BTreeSet<_> = spec.workflow_namespaces().into_iter().map(|namespace| namespace.name).collect();
        let of = |api: ApiResource, within: Option<&BTreeSet<String>>, label| Kind {
            resource: Resource { api, scope: Scope::Namespaced },
            within: within.cloned(),
            label,
        };
        let workflows = api_resource(workflow::API_VERSION, workflow::KIND);
        let kinds = if spec.scope().owns_cluster {
            let (_, minor) = spec.kubernetes_minor();
            let own = own_kinds(minor).into_iter().chain([workflows]);
            own.chain(custom_kinds(client).await?).map(|api| of(api, None, None)).collect()
        } else {
            let pods = api_resource("v1", "Pod");
            vec![of(workflows, Some(&namespaces), None), of(pods, Some(&namespaces), Some(EXECUTION_ID))]
        };
        Ok(Self { client, inventory, namespaces, kinds })
    }

    /// Deletes all of it until it is gone, pods with their containers. The number of objects.
    ///
    /// # Errors
    /// The API refuses, or [`Reason::Leftovers`] names what does not go.
    pub(crate) async fn run(&self, run: &Run) -> Result<usize, Failure> {
        let (mut begun, mut left, mut forced) = (BTreeSet::new(), Vec::new(), false);
        let patience = Deadline::fixed(FINALIZERS);
        let swept = async {
            loop {
                let mut found = self.look(run).await?;
                if found.is_empty() {
                    break;
                }
                found.sort_by_key(Found::turn);
                let is_late = patience.has_passed();
                forced |= is_late && found.iter().any(Found::is_pod);
                let mut seen = BTreeSet::new();
                // All events of a namespace go by one request.
                let each = found.iter().filter(|one| !one.is_event() || seen.insert(&one.object.namespace));
                let deletions: Vec<_> = each.map(|one| one.delete(is_late, run)).collect();
                stream::iter(deletions).buffered(AT_ONCE).try_collect::<Vec<_>>().await?;
                begun.extend(found.iter().map(|one| (one.object.clone(), one.metadata.uid.clone())));
                run.report.progress(Stage::Reset, format!("{} objects are being deleted", found.len()));
                left = found.iter().map(|one| one.object.to_string()).collect();
                tokio::time::sleep(POLL).await;
            }
            // Of a pod that the API was made to forget, the containers may still run.
            if forced {
                tokio::time::sleep(CONTAINERS_KILLED).await;
            }
            Ok(begun.len())
        };
        let deadline = run.deadline.min(OBJECTS_GONE);
        deadline.limit(run.unless_cancelled(swept)).await.unwrap_or_else(|| {
            let failure = match left.first() {
                Some(first) => {
                    Failure::new(Reason::Leftovers, "something in a workflow namespace does not go").on(first)
                }
                None => Failure::new(Reason::ApiUnavailable, "cannot see what is in the workflow namespaces"),
            };
            Err(Failure { leftovers: left, ..failure.because(deadline.expired_message()) })
        })
    }

    async fn look(&self, run: &Run) -> Result<Vec<Found>, Failure> {
        let lists = self.kinds.iter().flat_map(|kind| match &kind.within {
            None => vec![(kind, None)],
            Some(namespaces) => namespaces.iter().map(|namespace| (kind, Some(namespace.as_str()))).collect(),
        });
        let lists = lists.map(async |(kind, namespace)| self.listed(kind, namespace, run).await);
        let found: Vec<Vec<Found>> =
            stream::iter(lists.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn listed(&self, kind: &Kind, namespace: Option<&str>, run: &Run) -> Result<Vec<Found>, Failure> {
        let api = &kind.resource.api;
        let all: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, api),
            None => Api::all_with(self.client.clone(), api),
        };
        let at = api.plural.clone();
        let parameters = kind.label.iter().fold(ListParams::default(), |all, label| all.labels(label));
        let listed = match retry(run, &at, Duration::ZERO, || all.list_metadata(&parameters)).await {
            Ok(listed) => listed.items,
            // Where the kind is not served, there is none of it.
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            Err(error) => return Err(error.failure("cannot see what is in the workflow namespaces", at)),
        };
        let found = listed.into_iter().filter_map(|one| {
            let metadata = one.metadata;
            let namespace = metadata.namespace.clone().filter(|namespace| self.namespaces.contains(namespace))?;
            let collection = Collection {
                api_version: api.api_version.clone(),
                kind: api.kind.clone(),
                namespace: Some(namespace.clone()),
            };
            let object = collection.object(metadata.name.clone()?);
            let api = Api::namespaced_with(self.client.clone(), &namespace, api);
            (!self.stays(&object, &metadata)).then_some(Found { api, object, metadata })
        });
        Ok(found.collect())
    }

    /// Whether an object was applied, or is Kubernetes' own.
    fn stays(&self, object: &ObjectRef, metadata: &ObjectMeta) -> bool {
        let applied = |object: &ObjectRef| self.inventory.objects.keys().any(|one| one.identity() == object.identity());
        let account =
            |name: &str| ObjectRef { kind: "ServiceAccount".to_owned(), name: name.to_owned(), ..object.clone() };
        let token_of = metadata.annotations.as_ref().and_then(|all| all.get(TOKEN_OF));
        match (object.kind.as_str(), object.name.as_str()) {
            ("ServiceAccount", "default") | ("ConfigMap", "kube-root-ca.crt") => true,
            ("Secret", _) if token_of.is_some_and(|name| name == "default" || applied(&account(name))) => true,
            _ => applied(object),
        }
    }
}

/// Kubernetes' own kinds that live in namespaces, each once.
fn own_kinds(minor: u32) -> Vec<ApiResource> {
    let mut kinds = BTreeMap::new();
    for (version, kind, plural, namespaced) in served_kinds(minor) {
        if namespaced && !VIRTUAL.contains(&kind) {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            let gvk = kube::api::GroupVersionKind::gvk(group, version, kind);
            kinds.entry(kind).or_insert_with(|| ApiResource::from_gvk_with_plural(&gvk, plural));
        }
    }
    kinds.into_values().collect()
}

/// Kinds that others brought, FlyteWorkflow aside. A group that does not answer has none.
async fn custom_kinds(client: &Client) -> Result<Vec<ApiResource>, Failure> {
    let unseen = |error: ApiError| error.unread(Reason::ApiUnavailable, "cannot see which kinds the cluster has");
    let groups = ask(API_ANSWER, client.list_api_groups()).await.map_err(unseen)?.groups;
    let versions = groups.into_iter().filter_map(|group| {
        let preferred = group.preferred_version.or_else(|| group.versions.into_iter().next())?;
        Some(preferred.group_version).filter(|version| !is_own_group(version))
    });
    let mut kinds = Vec::new();
    for version in versions {
        let Ok(served) = ask(API_ANSWER, client.list_api_group_resources(&version)).await else { continue };
        let (group, number) = version.split_once('/').unwrap_or(("", &version));
        let can = |verbs: &[String], verb: &str| verbs.iter().any(|one| one == verb);
        let of_users = served.resources.into_iter().filter(|one| {
            let deletable = can(&one.verbs, "list") && can(&one.verbs, "delete");
            one.namespaced && deletable && !one.name.contains('/') && one.kind != workflow::KIND
        });
        kinds.extend(of_users.map(|one| {
            let gvk = kube::api::GroupVersionKind::gvk(group, number, &one.kind);
            ApiResource::from_gvk_with_plural(&gvk, &one.name)
        }));
    }
    Ok(kinds)
}

impl Found {
    fn is_pod(&self) -> bool {
        self.object.kind == "Pod"
    }

    fn is_event(&self) -> bool {
        self.object.kind == "Event" && is_own_group(&self.object.api_version)
    }

    /// Pods go first: whoever made them would delete them with half a minute to end. Who makes them follows at once, before
    /// it makes others.
    fn turn(&self) -> u8 {
        match self.object.kind.as_str() {
            "Pod" => 0,
            kind if MAKERS.contains(&kind) || !is_own_group(&self.object.api_version) => 1,
            _ => 2,
        }
    }

    /// Deletes the object, and takes finalizers off it that nobody else is to: of a FlyteWorkflow and its pods before all,
    /// since its propeller would tell admin of an end; of others where it `is_late`, as a pod is forced then.
    async fn delete(&self, is_late: bool, run: &Run) -> Result<(), Failure> {
        let Self { api, object, metadata } = self;
        let unless_gone = |done: Result<(), ApiError>| match done {
            Err(error) if error.is_missing() => Ok(()),
            done => done.map_err(|error| error.failure("cannot delete an object", object)),
        };
        if self.is_event() {
            let (parameters, all) = (DeleteParams::background(), ListParams::default());
            let deleted = retry(run, object, Duration::ZERO, || api.delete_collection(&parameters, &all)).await;
            return unless_gone(deleted.map(drop));
        }
        let finalizers: Vec<_> = metadata.finalizers.iter().flatten().collect();
        let kept: Vec<_> = finalizers.iter().filter(|one| is_kubernetes_own(one)).collect();
        if kept.len() < finalizers.len() && (is_late || self.is_pod() || object.kind == workflow::KIND) {
            let (parameters, patch) = (PatchParams::default(), Patch::Merge(json!({"metadata": {"finalizers": kept}})));
            let freed = retry(run, object, Duration::ZERO, || api.patch(&object.name, &parameters, &patch)).await;
            unless_gone(freed.map(drop))?;
        }
        let grace = self.is_pod().then_some(if is_late { 0 } else { GRACE });
        let is_ending = metadata.deletion_timestamp.is_some();
        let has_longer = metadata.deletion_grace_period_seconds.zip(grace).is_some_and(|(has, may)| has > may.into());
        if is_ending && !has_longer {
            return Ok(());
        }
        let parameters = DeleteParams { grace_period_seconds: grace, ..DeleteParams::background() };
        let deleted = retry(run, object, Duration::ZERO, || api.delete(&object.name, &parameters)).await;
        unless_gone(deleted.map(drop))
    }
}

/// Whether a controller of Kubernetes itself takes this finalizer off.
fn is_kubernetes_own(finalizer: &str) -> bool {
    let domain = finalizer.split('/').next().unwrap_or_default();
    domain.ends_with("kubernetes.io") || ["foregroundDeletion", "orphan"].contains(&finalizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finalizers_of_kubernetes_stay() {
        for (finalizer, own) in [
            ("kubernetes.io/pvc-protection", true),
            ("batch.kubernetes.io/job-tracking", true),
            ("foregroundDeletion", true),
            ("flyte-finalizer", false),
            ("flyte/flytek8s", false),
            ("notkubernetes.com/x", false),
        ] {
            assert_eq!(is_kubernetes_own(finalizer), own, "{finalizer}");
        }
    }

    #[test]
    fn each_kind_is_looked_at_once() {
        let kinds = own_kinds(21);
        let named = |kind: &str| kinds.iter().filter(|one| one.kind == kind).count();
        for kind in ["Pod", "Event", "CronJob", "PodDisruptionBudget", "EndpointSlice", "Secret"] {
            assert_eq!(named(kind), 1, "{kind}");
        }
        assert_eq!((named("Binding"), named("Namespace")), (0, 0));
    }
}
