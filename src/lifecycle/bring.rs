//! From what preflight found to a proven sandbox.

use super::compare::is_as_planned;
use super::converge::{Prerequisites, Reconciled, UnderWay};
use super::observed::{seen_again, stale};
use super::outcome::Options;
use super::outdated::outdated;
use super::prepare::{Request, plan_again};
use super::restore::Backup;
use super::verify::{verify, verify_with_work};
use super::{converge, lost, tables};
use crate::failure::Failure;
use crate::images::Arrivals;
use crate::kubernetes;
use crate::limits::{API_ANSWER, CHECKS_AFTER_UP, CHECKS_WHEN_READY};
use crate::plan::Plan;
use crate::report::{Outcome, Stage};
use crate::rollout;
use crate::run::{Run, beside};
use crate::site::{Ground, Host, Running, Standing};
use crate::smoke::{Executions, Target};
use crate::spec::Spec;

/// Makes the sandbox on what preflight found, or brings the one there is to the plan, and proves it.
///
/// # Errors
/// The first stage's that fails. What was made stays.
pub(super) async fn bring(
    plan: &Plan,
    request: Request,
    ground: &Ground<'_>,
    backup: Option<&Backup>,
    host: &Host,
    options: &Options<'_>,
    run: &Run,
) -> Result<Outcome, Failure> {
    ground.limit(options.ttl).await?;
    // On the heap, each by itself: within one another they are more than a thread's 2 MiB of stack, unoptimised.
    if let Some(outcome) = Box::pin(settle(plan, ground, host, options, run)).await? {
        return Ok(outcome);
    }
    Box::pin(ground.obtain(plan, options.bundle, run)).await?;
    let arrivals = Arrivals::expected();
    let loaded = async {
        match ground.load_images(plan, options.bundle.is_some(), &arrivals, run).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(ground.first_cause(failure).await),
        }
    };
    let proven = async {
        let Stood { client, mut prerequisites, plan: again } =
            match Box::pin(stand(plan, request, ground, host, options, run)).await {
                Ok(stood) => stood,
                Err(failure) => return Err(ground.first_cause(failure).await),
            };
        let plan = again.as_ref().unwrap_or(plan);
        if !ground.is_new() {
            // What runs is compared with what the node has by then.
            arrivals.all().await;
            let among = async |images| ground.outdated(images).await;
            prerequisites.outdated = outdated(&client, &plan.spec.system_namespace(), among).await?;
        }
        let proven = async {
            let under_way = UnderWay {
                images: Some(&arrivals),
                names: ground.wait_for_dns(&client, run),
                data: backup.map(|backup| backup.load(&client, &plan.spec, run)),
            };
            let removal = options.prune.removal();
            Box::pin(converge::roll_out(&client, plan, prerequisites, removal, under_way, run)).await?;
            if ground.is_new() && (ground.has_data() || backup.is_some()) {
                Box::pin(lost::abort(&client, &plan.spec, run)).await?;
            }
            let (budget, executions) = (CHECKS_AFTER_UP, options.executions);
            let target = Target { spec: &plan.spec, client: client.clone(), budget, executions };
            match ground.is_new() {
                true => Box::pin(verify(&target, host, run)).await?,
                false => Box::pin(verify_with_work(&target, host, run)).await?,
            }
            // A spare is proven again when it is taken.
            if plan.spec.unpublished {
                return Ok(());
            }
            Box::pin(kubernetes::mark_proven(&client, &plan.spec.system_namespace(), run)).await
        };
        ground.while_up(Box::pin(proven)).await
    };
    tokio::try_join!(Box::pin(loaded), Box::pin(proven))?;
    Ok(Outcome::Passed)
}

/// Where the objects are as planned, what is in no object is brought to the plan, and all is verified; none where there
/// are objects to apply.
async fn settle(
    plan: &Plan,
    ground: &Ground<'_>,
    host: &Host,
    options: &Options<'_>,
    run: &Run,
) -> Result<Option<Outcome>, Failure> {
    let Some(running) = ground.running().await else { return Ok(None) };
    let Running { client, inventory, .. } = &running;
    let namespace = plan.spec.system_namespace();
    let seen_since_start = async {
        let (lives, started) = tokio::try_join!(rollout::lives_within(client, &namespace), ground.node_started())?;
        Ok(stale(&lives, started).is_empty())
    };
    let among = async |images| ground.outdated(images).await;
    let tables = async { Ok(tables::present(client, &plan.spec, API_ANSWER).await.ok()) };
    let look = async {
        let looked: Result<_, Failure> = tokio::try_join!(
            Box::pin(seen_since_start),
            Box::pin(is_as_planned(client, Some(inventory), plan)),
            Box::pin(outdated(client, &namespace, among)),
            Box::pin(tables),
        );
        let planned = looked.map(|(is_known, is_as_planned, outdated, tables)| {
            (is_known && is_as_planned && outdated.is_empty()).then_some(tables)
        });
        let is_planned = matches!(planned, Ok(Some(_)));
        (planned, is_planned)
    };
    let stand = Box::pin(ground.stand(plan, options.store, Some(&running), run));
    let (planned, stands) = beside(look, stand).await;
    let (Some(tables), Some(stands)) = (planned?, stands) else { return Ok(None) };
    run.stage(Stage::Cluster, async { stands.map(|Standing { outcome, summary, .. }| ((), outcome, summary)) }).await?;
    let Running { client, inventory, .. } = running;
    let removal = options.prune.removal();
    let reconciled = converge::reconcile_settings(&client, &plan.spec, &inventory, tables, removal, run).await?;
    let Reconciled { changed, tables } = reconciled;
    // The spec has a project now that was only added: it leaves with the spec, too. And what admin was told of a project's
    // tasks is taken back when the spec says it no more.
    let of_projects = |spec: &Spec| (spec.added_projects.clone(), spec.tasks.projects.clone());
    // What has run a workflow before and has not changed need not do so again, not even after a run that ends before it did.
    let is_proven = inventory.proven && !changed;
    if of_projects(&inventory.spec) != of_projects(&plan.spec) || is_proven != inventory.proven {
        converge::save(&client, plan, tables, is_proven, run).await?;
    }
    let changed = !is_proven;
    let (executions, budget) = match options.executions {
        all if changed => (all, CHECKS_AFTER_UP),
        Executions::All => (Executions::All, CHECKS_WHEN_READY),
        _ => (Executions::None, CHECKS_WHEN_READY),
    };
    let target = Target { spec: &plan.spec, client, budget, executions };
    Box::pin(verify_with_work(&target, host, run)).await?;
    if !is_proven {
        Box::pin(kubernetes::mark_proven(&target.client, &plan.spec.system_namespace(), run)).await?;
    }
    Ok(Some(if changed { Outcome::Passed } else { Outcome::Unchanged }))
}

/// A cluster whose node is Ready, with everything in it but workloads.
struct Stood {
    client: kube::Client,
    prerequisites: Prerequisites,
    /// The plan with projects that stay, where that could not be told before the node ran.
    plan: Option<Plan>,
}

async fn stand(
    plan: &Plan,
    request: Request,
    ground: &Ground<'_>,
    host: &Host,
    options: &Options<'_>,
    run: &Run,
) -> Result<Stood, Failure> {
    let was_halted = !ground.is_new() && ground.running().await.is_none();
    run.stage(Stage::Cluster, async {
        let Standing { client, outcome, summary } = ground.stand(plan, options.store, None, run).await?;
        let ready = async {
            if !ground.is_new() {
                let started = ground.node_started().await?;
                seen_again(&client, &plan.spec.system_namespace(), started, Stage::Cluster, run).await?;
            }
            let again = if was_halted { plan_again(request, options.prune, &client, host, run).await? } else { None };
            let prerequisites = converge::apply_prerequisites(&client, again.as_ref().unwrap_or(plan), run).await?;
            Ok((prerequisites, again))
        };
        let (prerequisites, plan) = ground.while_up(ready).await?;
        Ok((Stood { client, prerequisites, plan }, outcome, summary))
    })
    .await
}
