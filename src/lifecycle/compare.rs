//! What `up` would do to a sandbox that runs.

use kube::Client;
use serde::Serialize;

use super::retention::{self, Leaving};
use crate::failure::{Failure, Reason};
use crate::kubernetes::{self, Inventory};
use crate::plan::{Difference, Plan};
use crate::rollout;
use crate::run::Run;
use crate::site::{Host, Location, Running, Site};

/// What `up` would do to a sandbox that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The plan against what was applied.
    #[serde(flatten)]
    pub difference: Difference,
    /// Projects that the spec lacks, those that stay among them, with what they have.
    pub leaving: Vec<Leaving>,
}

/// The plan against the sandbox of its name; absent where none runs. `leaving` are the projects that the spec lacks.
///
/// # Errors
/// Docker or the sandbox's API does not answer.
pub async fn compare(
    plan: &Plan,
    mut leaving: Vec<Leaving>,
    host: &Host,
    run: &Run,
) -> Result<Option<Comparison>, Failure> {
    let site = Site::resolve(&plan.spec.name, Some(Location::wanted(&plan.spec)), host)?;
    match site.running().await {
        Ok(Running { client, inventory, .. }) => {
            let mut applied = inventory.objects;
            for gone in kubernetes::missing(&client, applied.keys().cloned()).await? {
                applied.remove(&gone);
            }
            retention::measure(&mut leaving, &client, &inventory.spec, run).await;
            let difference = Difference::between(&inventory.spec, &applied, plan);
            Ok(Some(Comparison { difference, leaving }))
        }
        Err(failure) if failure.reason == Reason::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Whether a running sandbox is as planned: the same was applied, all of it is there, and all workloads are ready.
/// Edits of others are not looked for.
///
/// # Errors
/// The sandbox's API does not answer.
pub(super) async fn is_as_planned(
    client: &Client,
    inventory: Option<&Inventory>,
    plan: &Plan,
) -> Result<bool, Failure> {
    if inventory.and_then(|inventory| inventory.digest.as_ref()) != Some(&plan.digest) {
        return Ok(false);
    }
    let workloads: Vec<_> = plan.workloads().collect();
    let (waiting, missing) =
        tokio::try_join!(rollout::ready_now(client, &workloads), kubernetes::missing(client, plan.objects()))?;
    Ok(waiting.is_empty() && missing.is_empty())
}
