//! What `up` would do to a sandbox that runs.

use std::collections::BTreeSet;

use kube::Client;
use serde::Serialize;

use super::lacking::lacking;
use super::outdated::{Outdated, outdated};
use super::retention::{self, Leaving};
use crate::failure::{Failure, Reason};
use crate::kubernetes::{self, Drift, Inventory};
use crate::manifest::Object;
use crate::plan::{Difference, Plan};
use crate::report::Waiting;
use crate::rollout;
use crate::run::{Run, beside};
use crate::site::{Host, Location, Running, Site};

/// What `up` would do to a sandbox that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The plan against what was applied.
    #[serde(flatten)]
    pub difference: Difference,
    /// Projects and domains that the spec lacks, those that stay among them, with what they have.
    pub leaving: Vec<Leaving>,
    /// Workloads that are not ready, and would be waited for.
    pub waiting: Vec<Waiting>,
    /// Workloads whose pods run an image that was built again since, and would be replaced.
    pub outdated: BTreeSet<Outdated>,
    /// Projects, tables and buckets that are gone, and would be made again. Looked for where all workloads are ready.
    pub lacking: Vec<Waiting>,
}

/// The plan against the sandbox of its name; absent where none runs. `leaving` is what the spec lacks.
///
/// # Errors
/// Docker or the sandbox's API does not answer; [`Reason::SandboxDiffers`]: it runs another Flyte release.
pub async fn compare(
    plan: &Plan,
    mut leaving: Vec<Leaving>,
    host: &Host,
    run: &Run,
) -> Result<Option<Comparison>, Failure> {
    let site = Site::resolve(&plan.spec.name, Some(Location::wanted(&plan.spec)), host)?;
    match site.running().await {
        Ok(Running { client, inventory, .. }) => {
            retention::must_be_of_release(&plan.spec, &inventory.spec)?;
            let namespace = inventory.spec.system_namespace();
            let among = async |images| site.outdated(images).await;
            let look = async {
                let looked: Result<_, Failure> = async {
                    let Drift { missing, edited } = Box::pin(drift(&client, &inventory, plan)).await?;
                    let there: Vec<_> =
                        inventory.workloads().filter(|object| !missing.contains(object)).cloned().collect();
                    Ok((missing, edited, rollout::ready_now(&client, &there).await?))
                }
                .await;
                let all_run =
                    looked.as_ref().is_ok_and(|(missing, _, waiting)| waiting.is_empty() && missing.is_empty());
                (looked, all_run)
            };
            let ((looked, lacking), outdated) = tokio::join!(
                Box::pin(beside(look, lacking(&client, &inventory))),
                Box::pin(outdated(&client, &namespace, among)),
            );
            let (missing, edited, waiting) = looked?;
            let (lacking, outdated) = (lacking.unwrap_or_default(), outdated?);
            let mut applied = inventory.objects;
            applied.retain(|object, _| !missing.contains(object));
            retention::measure(&mut leaving, &client, &inventory.spec, run).await;
            let difference = Difference { edited, ..Difference::between(&inventory.spec, &applied, plan) };
            Ok(Some(Comparison { difference, leaving, waiting, outdated, lacking }))
        }
        Err(failure) if failure.reason == Reason::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// How the cluster differs from what was applied last. Edits are looked for in what the plan has as it was applied; what
/// it has otherwise would be applied in any case.
///
/// # Errors
/// The sandbox's API does not answer.
pub(super) async fn drift(client: &Client, inventory: &Inventory, plan: &Plan) -> Result<Drift, Failure> {
    let wanted = plan.digests();
    let same = |object: &&Object| {
        let object = object.reference();
        inventory.objects.get(&object).is_some_and(|applied| applied.as_ref() == wanted.get(&object))
    };
    let own = inventory.spec.scope().owns_cluster;
    kubernetes::drift(client, inventory.objects.keys().cloned(), plan.manifests().filter(same), own).await
}

/// Whether a running sandbox is as planned: the same was applied, all of it is there as it was applied, and all workloads
/// are ready.
///
/// # Errors
/// The sandbox's API does not answer.
pub(super) async fn is_as_planned(
    client: &Client,
    inventory: Option<&Inventory>,
    plan: &Plan,
) -> Result<bool, Failure> {
    let Some(inventory) = inventory.filter(|inventory| inventory.digest.as_ref() == Some(&plan.digest)) else {
        return Ok(false);
    };
    let workloads: Vec<_> = plan.workloads().collect();
    let (waiting, drift) =
        tokio::try_join!(rollout::ready_now(client, &workloads), Box::pin(drift(client, inventory, plan)))?;
    Ok(waiting.is_empty() && drift.is_none())
}
