//! Preflight of an attached cluster: missing namespaces, permissions and kinds, all at once.
//!
//! Permissions in the namespaces are enough for it: everybody may review their own permissions and discover kinds, and a
//! namespace is read by its name.

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, PostParams};

use super::access::ClusterAccess;
use super::admin::MissingPrerequisites;
use super::rights::{REVIEW, Right, rights, rules, shown};
use crate::failure::{Failure, Reason};
use crate::flyte::labels::SANDBOX_NAME;
use crate::flyte::workflow::{API_VERSION, DEFINITION, PLURAL};
use crate::kubernetes::{self, ApiError, ask};
use crate::limits::API_ANSWER;
use crate::manifest::Object;
use crate::plan::Plan;
use crate::preflight::{self, Finding};
use crate::run::Run;

/// Requests at a time.
const AT_ONCE: usize = 16;
/// The label of a namespace that enforces a Pod Security level.
const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";

/// The result of preflight on an attached cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterCheck {
    /// The version of the API server, such as `v1.21.2+k3s1`; empty if it did not answer.
    pub version: String,
    /// The findings.
    pub findings: Vec<Finding>,
}

/// Checks an attached cluster for everything that this plan needs. Changes nothing.
///
/// # Errors
/// The API stops answering half way, or [`Reason::Interrupted`].
pub async fn check(access: &ClusterAccess, plan: &Plan, run: &Run) -> Result<ClusterCheck, Failure> {
    run.unless_cancelled(all(access, plan, run)).await
}

/// The number that a text begins with: some providers write a minor version as `29+`.
fn number(text: &str) -> Option<u32> {
    text.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

async fn all(access: &ClusterAccess, plan: &Plan, run: &Run) -> Result<ClusterCheck, Failure> {
    let (client, spec) = (&access.client, &plan.spec);
    let context = spec.context.as_deref().unwrap_or_default();
    let (version, numbers) = match answer(run, client.apiserver_version()).await {
        Ok(info) => (info.git_version, info.major.parse().ok().zip(number(&info.minor))),
        Err(error) => {
            let failure = error.unread(Reason::ApiUnavailable, "the API of the cluster does not answer");
            let failure = failure.on(format!("context {context}, {}", access.server));
            return Ok(ClusterCheck {
                version: String::new(),
                findings: vec![Finding::from_failure("cluster", &failure)],
            });
        }
    };
    let mut findings =
        vec![Finding::fine("cluster", format!("context {context} leads to Kubernetes {version} at {}", access.server))];
    findings.extend(numbers.and_then(|numbers| preflight::raw_containers(numbers, spec.flyte.facts().raw_containers)));
    let objects: Vec<Object> = plan.waves.iter().flat_map(|wave| wave.objects.clone()).collect();
    let wanted = rights(spec, &objects);
    let asked = wanted.len();
    let namespaces = spec.namespaces();
    let (seen, kind, denied, unproven) = tokio::try_join!(
        check_namespaces(client, &namespaces, run),
        check_crd(client, run),
        denied(client, wanted, run),
        denied(client, namespaces.iter().map(|namespace| review_in(namespace)).collect(), run),
    )?;
    findings.extend(seen.findings);
    // Permissions in a namespace come from its RoleBindings: where they are granted, it exists.
    let mut hidden = seen.hidden;
    hidden.retain(|namespace| denied.iter().any(|right| right.namespace == *namespace));
    findings.extend(
        hidden
            .iter()
            .map(|namespace| Finding::warning("namespaces", format!("cannot check that namespace {namespace} exists"))),
    );
    if hidden.is_empty() && seen.missing.is_empty() {
        findings.push(Finding::fine("namespaces", format!("all {} namespaces exist", namespaces.len())));
    }
    findings.push(kind.clone());
    findings.extend(rules(&denied).into_iter().map(|((namespace, group, resource, name), verbs)| {
        let what = shown(group, resource, name);
        Finding::blocker(Reason::RightsMissing, "rights", format!("cannot {} {what} in {namespace}", verbs.join(", ")))
    }));
    if denied.is_empty() {
        findings.push(Finding::fine(
            "rights",
            format!("all {asked} permissions granted in {} namespaces", namespaces.len()),
        ));
    }
    if let Some(first) = unproven.first() {
        findings.push(Finding::warning(
            "reviews",
            format!(
                "`smoke` cannot review permissions: not allowed to {first}, {} of {} namespaces",
                unproven.len(),
                namespaces.len()
            ),
        ));
    }
    let missing =
        MissingPrerequisites { namespaces: seen.missing, hidden, kind: kind.reason.is_some(), rights: denied };
    match missing.exception(context) {
        Some(exception) => {
            let manifests =
                "`sandbox render --for-cluster SUBJECT`, with the same spec, writes the manifests for a cluster admin";
            let first = findings.iter_mut().find(|finding| finding.reason.is_some());
            first.into_iter().for_each(|first| first.hints.extend([exception.clone(), manifests.to_owned()]));
        }
        None => findings.push(check_foreign_objects(client, &objects, &spec.name, run).await?),
    }
    Ok(ClusterCheck { version, findings })
}

struct NamespaceCheck {
    missing: Vec<String>,
    /// Namespaces that the user cannot get, and that may be missing.
    hidden: Vec<String>,
    findings: Vec<Finding>,
}

async fn check_namespaces(client: &Client, names: &[String], run: &Run) -> Result<NamespaceCheck, Failure> {
    let api: Api<Namespace> = Api::all(client.clone());
    let api = &api;
    let looks =
        stream::iter(names).map(|name| async move { (name, answer(run, api.get_opt(name)).await) }).buffered(AT_ONCE);
    let mut seen = NamespaceCheck { missing: Vec::new(), hidden: Vec::new(), findings: Vec::new() };
    for (name, found) in looks.collect::<Vec<_>>().await {
        match found {
            Ok(Some(namespace)) => {
                let labels = namespace.metadata.labels.unwrap_or_default();
                if labels.get(POD_SECURITY).is_some_and(|level| level == "restricted") {
                    let message =
                        format!("namespace {name} enforces Pod Security `restricted`; Flyte's images need `baseline`");
                    seen.findings.push(Finding::warning("pod-security", message));
                }
            }
            Ok(None) => {
                let finding = Finding::blocker(
                    Reason::NamespaceMissing,
                    "namespaces",
                    format!("namespace {name} does not exist"),
                );
                seen.findings.push(finding);
                seen.missing.push(name.clone());
            }
            Err(error) if error.code() == Some(403) => seen.hidden.push(name.clone()),
            Err(error) => return Err(unanswered(error).on(format!("namespace {name}"))),
        }
    }
    Ok(seen)
}

/// The FlyteWorkflow kind, by discovery, which everybody may do; reading the CustomResourceDefinition needs more.
async fn check_crd(client: &Client, run: &Run) -> Result<Finding, Failure> {
    let absent = || {
        let message = format!("the cluster has no CustomResourceDefinition {DEFINITION}");
        Finding::blocker(Reason::CrdMissing, "kinds", message)
    };
    match answer(run, client.list_api_group_resources(API_VERSION)).await {
        Ok(kinds) if kinds.resources.iter().any(|kind| kind.name == format!("{PLURAL}/status")) => {
            Ok(Finding::warning(
                "kinds",
                "FlyteWorkflow has a status subresource here: propellers of Flyte 0.x write status with the object, which is dropped",
            ))
        }
        Ok(kinds) if kinds.resources.iter().any(|kind| kind.name == PLURAL && kind.namespaced) => {
            Ok(Finding::fine("kinds", format!("FlyteWorkflow is served by {API_VERSION}")))
        }
        Ok(_) => Ok(absent()),
        Err(error) if error.is_missing() => Ok(absent()),
        Err(error) => Err(unanswered(error).on(API_VERSION)),
    }
}

fn review_in(namespace: &str) -> Right {
    let (group, resource, verb) = REVIEW;
    let [group, resource, verb] = [group, resource, verb].map(str::to_owned);
    Right { namespace: namespace.to_owned(), group, resource, name: String::new(), verb }
}

/// Permissions that the user lacks.
async fn denied(client: &Client, rights: Vec<Right>, run: &Run) -> Result<Vec<Right>, Failure> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let reviews = &reviews;
    let asked = stream::iter(rights).map(|right| async move {
        let (parameters, review) = (PostParams::default(), review(&right));
        let answer = answer(run, reviews.create(&parameters, &review)).await;
        answer.map(|answer| (right, answer.status.is_some_and(|status| status.allowed)))
    });
    let mut denied = Vec::new();
    for answer in asked.buffered(AT_ONCE).collect::<Vec<_>>().await {
        let (right, allowed) = answer.map_err(unanswered)?;
        if !allowed {
            denied.push(right);
        }
    }
    Ok(denied)
}

fn review(right: &Right) -> SelfSubjectAccessReview {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (resource, sub) = right.resource.split_once('/').unwrap_or((&right.resource, ""));
    let attributes = ResourceAttributes {
        verb: filled(&right.verb),
        group: filled(&right.group),
        resource: filled(resource),
        subresource: filled(sub),
        name: filled(&right.name),
        namespace: filled(&right.namespace),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() }
}

/// Existing objects with the plan's names that are not this sandbox's. An apply would take them over.
async fn check_foreign_objects(client: &Client, objects: &[Object], name: &str, run: &Run) -> Result<Finding, Failure> {
    let there = kubernetes::existing(client, objects, run).await?;
    let ours = |object: &Object| {
        there.get(&object.reference()).is_none_or(|metadata| {
            let label = metadata.labels.as_ref().and_then(|labels| labels.get(SANDBOX_NAME));
            kubernetes::was_ours(metadata) && label.is_none_or(|label| label == name)
        })
    };
    let foreign: Vec<_> =
        objects.iter().filter(|object| !ours(object)).map(|object| object.reference().to_string()).collect();
    if foreign.is_empty() {
        return Ok(Finding::fine("objects", "no conflicting objects"));
    }
    Ok(Finding::blocker(
        Reason::ObjectForeign,
        "objects",
        format!("{} objects exist that sandbox {name} did not make: {}", foreign.len(), foreign.join(", ")),
    ))
}

/// One answer, within [`API_ANSWER`] and the run's deadline.
async fn answer<T>(run: &Run, request: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    ask(run.deadline.remaining().min(API_ANSWER), request).await
}

fn unanswered(error: ApiError) -> Failure {
    error.unread(Reason::ApiUnavailable, "cannot check the cluster's prerequisites")
}
