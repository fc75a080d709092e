//! From a sandbox in any state to a proven one.

use super::compare::is_as_planned;
use super::converge::{Prerequisites, Reconciled};
use super::observed::{seen_again, stale};
use super::outcome::{Done, Options};
use super::outdated::outdated;
use super::prepare::{Request, plan_again, plan_with_keys};
use super::restore::Backup;
use super::verify::{verify, verify_with_work};
use super::{converge, lost, rollback, snapshot, tables};
use crate::backup::mismatch;
use crate::failure::{Failure, Reason};
use crate::limits::{API_ANSWER, CHECKS_AFTER_UP, CHECKS_WHEN_READY};
use crate::plan::Plan;
use crate::report::{Outcome, Stage};
use crate::rollout;
use crate::run::{Run, beside};
use crate::site::{self, Ground, Host, Running, Site, Standing};
use crate::smoke::{Executions, Target};
use crate::spec::{SiteKind, Spec};

/// Makes the sandbox that is asked for, or brings the one there is to it. One that is as planned is only verified.
///
/// # Errors
/// The first stage's that fails. What the run made is removed then, unless it is to be kept.
pub async fn up(request: Request, host: &Host, options: Options<'_>, run: &Run) -> Result<Done, Failure> {
    refuse_useless(&request.spec, &options)?;
    let name = request.spec.name.clone();
    let state = host.state.sandbox(&name);
    let lock = state.lock("up")?;
    let is_recorded = state.path().is_dir();
    let prepared = Box::pin(prepare(request.clone(), host, &options, run)).await;
    let (plan, ground, backup) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) if is_recorded => return Err(failure),
        // The lock, and a folder for k3d's files, are all that was made.
        Err(failure) => return Err(rollback::forget(failure, &state, &lock)),
    };
    match Box::pin(bring(&plan, request, &ground, backup.as_ref(), host, &options, run)).await {
        Ok(outcome) => {
            run.report.emit(site::ready(&plan.spec, &state));
            let is = if outcome == Outcome::Unchanged { "is as it should be" } else { "is ready" };
            Ok(Done { outcome, summary: ground.marked(format!("sandbox {name} {is}")) })
        }
        Err(failure) => {
            let failure = rollback::save_evidence(failure, &plan, &ground, host, run).await;
            if !ground.is_new() || options.keep {
                return Err(with_way_on(failure, &name, ground.is_new()));
            }
            let failure = rollback::roll_back(failure, &name, &ground, run).await;
            Err(rollback::forget(failure, &state, &lock))
        }
    }
}

/// The failure of an `up` that leaves the sandbox there, with what to do about that. One that was there before is not to be
/// thrown away for it.
fn with_way_on(failure: Failure, name: &str, is_new: bool) -> Failure {
    match failure.reason {
        _ if is_new => {
            rollback::also(failure, format!("`sandbox down --name {name}` removes the sandbox and its data"))
        }
        // Nothing was changed, and what the failure says is the way to change it.
        Reason::SandboxDiffers => failure,
        _ => rollback::also(
            failure,
            format!(
                "the sandbox and its data stay; `sandbox up --name {name}` with the spec that it had goes back to it"
            ),
        ),
    }
}

/// Refuses options that mean nothing for the kind of cluster that is asked for.
fn refuse_useless(spec: &Spec, options: &Options<'_>) -> Result<(), Failure> {
    let kind = spec.site_kind();
    if options.faults != Default::default() && kind != SiteKind::Rehearsal {
        return Err(Failure::new(Reason::Usage, "only a rehearsal can be told to fail")
            .on("--rehearse-fault")
            .hint("`--engine rehearsal` is one"));
    }
    if options.restore.is_some() && kind == SiteKind::Rehearsal {
        return Err(Failure::new(Reason::Usage, "a rehearsal has no database to restore")
            .on("--restore")
            .hint("another `--engine` makes a sandbox that has"));
    }
    if options.from.is_some() && kind != SiteKind::Node {
        return Err(Failure::new(Reason::Usage, "only a sandbox in Docker can begin with a snapshot")
            .on("--from")
            .hint("`--restore FILE` loads a backup, on an existing cluster too"));
    }
    if options.ttl.is_some() && kind != SiteKind::Node {
        return Err(Failure::new(Reason::Usage, "only a sandbox in Docker can have a time limit")
            .on("--ttl")
            .hint("`sandbox down` ends a rehearsal, and one on an existing cluster"));
    }
    Ok(())
}

/// The plan, and what there is to make or to use. The lock is held, and nothing is touched before all of it is known.
async fn prepare<'a>(
    request: Request,
    host: &'a Host,
    options: &Options<'_>,
    run: &Run,
) -> Result<(Plan, Ground<'a>, Option<Backup>), Failure> {
    let backup = match options.restore {
        Some(path) => Some(Backup::check(path, &request, run).await?),
        None => None,
    };
    if let Some(snapshot) = options.from {
        snapshot::check(snapshot, &request, host, run).await?;
    }
    let site = Site::of(&request.spec, host)?;
    site.announce(run);
    let scratch = host.state.sandbox(&request.spec.name).path().join("k3d");
    let prune = (!options.fresh).then_some(options.prune);
    let plan = Box::pin(plan_with_keys(request, prune, host, run)).await?;
    let checked = site.preflight(&plan, options.fresh, &options.faults, &scratch, run);
    let mut ground = run.stage(Stage::Preflight, checked).await?;
    if options.fresh {
        start_anew(&mut ground, run).await?;
    }
    if backup.is_some() && ground.has_data() {
        return Err(mismatch("a backup is loaded into a sandbox without data, and this one has its own")
            .on(format!("sandbox {}", plan.spec.name))
            .hint("`--fresh` removes that first; `sandbox backup FILE` saves it"));
    }
    if let Some(snapshot) = options.from {
        if ground.has_data() {
            let why = "a sandbox begins with a snapshot where there is no other data, and this one has its own";
            return Err(snapshot::mismatch(why)
                .on(format!("sandbox {}", plan.spec.name))
                .hint("`--fresh` removes that first; `sandbox snapshot save NAME` keeps it")
                .hint("`--name NAME` makes another sandbox beside it"));
        }
        ground.begin_with(snapshot);
    }
    Ok((plan, ground, backup))
}

/// Removes the sandbox that is there, and its data or what is kept of an earlier one's.
async fn start_anew(ground: &mut Ground<'_>, run: &Run) -> Result<(), Failure> {
    run.stage(Stage::Down, async {
        let removed = ground.clear(run).await?;
        let outcome = if removed.is_some() { Outcome::Passed } else { Outcome::Unchanged };
        Ok(((), outcome, removed.unwrap_or_else(|| "nothing to remove".to_owned())))
    })
    .await
}

async fn bring(
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
    if let Some(outcome) = Box::pin(settle(plan, ground, options, run)).await? {
        return Ok(outcome);
    }
    Box::pin(ground.obtain(plan, options.bundle, run)).await?;
    let made = tokio::try_join!(
        Box::pin(stand(plan, request, ground, host, options, run)),
        Box::pin(ground.load_images(plan, options.bundle.is_some(), run))
    );
    let Stood { client, mut prerequisites, plan: again } = match made {
        Ok((stood, ())) => stood,
        Err(failure) => return Err(ground.first_cause(failure).await),
    };
    let plan = again.as_ref().unwrap_or(plan);
    if !ground.is_new() {
        let among = async |images| ground.outdated(images).await;
        prerequisites.outdated = outdated(&client, &plan.spec.system_namespace(), among).await?;
    }
    let proven = async {
        let names_resolve = ground.wait_for_dns(&client, run);
        let filled = backup.map(|backup| backup.load(&client, &plan.spec, run));
        let rolled_out =
            converge::roll_out(&client, plan, prerequisites, options.prune.removal(), names_resolve, filled, run);
        Box::pin(rolled_out).await?;
        if ground.is_new() && (ground.has_data() || backup.is_some()) {
            Box::pin(lost::abort(&client, &plan.spec, run)).await?;
        }
        let (budget, executions) = (CHECKS_AFTER_UP, options.executions);
        let target = Target { spec: &plan.spec, client: client.clone(), budget, executions };
        match ground.is_new() {
            true => Box::pin(verify(&target, run)).await,
            false => Box::pin(verify_with_work(&target, run)).await,
        }
    };
    ground.while_up(Box::pin(proven)).await?;
    Ok(Outcome::Passed)
}

/// Where the objects are as planned, what is in no object is brought to the plan, and all is verified; none where there
/// are objects to apply.
async fn settle(
    plan: &Plan,
    ground: &Ground<'_>,
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
    let tables = async { Ok(tables::present(client, &plan.spec, &inventory.tables, API_ANSWER).await.ok()) };
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
    if of_projects(&inventory.spec) != of_projects(&plan.spec) {
        converge::save(&client, plan, tables, run).await?;
    }
    // What has run a workflow before and has not changed need not do so again.
    let (executions, budget) = match options.executions {
        all if changed => (all, CHECKS_AFTER_UP),
        Executions::All => (Executions::All, CHECKS_WHEN_READY),
        _ => (Executions::None, CHECKS_WHEN_READY),
    };
    verify_with_work(&Target { spec: &plan.spec, client, budget, executions }, run).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_remove_a_sandbox_that_was_there_before() {
        let hints = |reason, is_new| with_way_on(Failure::new(reason, "no").hint("first"), "flyte", is_new).hints;
        let removes = "`sandbox down --name flyte` removes the sandbox and its data";
        assert_eq!(hints(Reason::ImageUnknown, true), ["first", removes]);
        let stays =
            "the sandbox and its data stay; `sandbox up --name flyte` with the spec that it had goes back to it";
        assert_eq!(hints(Reason::ImageUnknown, false), ["first", stays]);
        assert_eq!(hints(Reason::SandboxDiffers, false), ["first"]);
    }
}
