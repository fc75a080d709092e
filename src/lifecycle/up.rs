//! From a sandbox in any state to a proven one.

use super::bring::bring;
use super::outcome::{Done, Options};
use super::prepare::{Request, plan_with_keys};
use super::restore::Backup;
use super::{rollback, snapshot, spare};
use crate::backup::mismatch;
use crate::failure::{Failure, Reason};
use crate::limits::SPARE;
use crate::plan::Plan;
use crate::report::{Outcome, Stage};
use crate::run::Run;
use crate::site::{self, Ground, Host, Site, SpareRecord};
use crate::spec::{SiteKind, Spec};

/// Makes the sandbox that is asked for, or brings the one there is to it. One that is as planned is only verified.
///
/// # Errors
/// The first stage's that fails. What the run made is removed then, unless it is to be kept.
pub async fn up(request: Request, host: &Host, mut options: Options<'_>, run: &Run) -> Result<Done, Failure> {
    refuse_useless(&request.spec, &options)?;
    let name = request.spec.name.clone();
    let state = host.state.sandbox(&name);
    SpareRecord::refuse(&state, &name)?;
    let lock = state.lock("up")?;
    let is_recorded = state.path().is_dir();
    loop {
        let prepared = Box::pin(prepare(request.clone(), host, &options, run)).await;
        let (plan, ground, backup) = match prepared {
            Ok(prepared) => prepared,
            Err(failure) if is_recorded => return Err(failure),
            // The lock, and a folder for k3d's files, are all that was made.
            Err(failure) => return Err(rollback::forget(failure, &state, &lock)),
        };
        let patience = if ground.is_spare() { run.deadline.min(SPARE) } else { run.deadline };
        let limited = Run { deadline: patience, ..run.clone() };
        let again = request.clone();
        let brought = Box::pin(bring(&plan, again, &ground, backup.as_ref(), host, &options, &limited)).await;
        let failure = match brought {
            Ok(outcome) => {
                run.report.emit(site::ready(&plan.spec, &state));
                let is = if outcome == Outcome::Unchanged { "is as it should be" } else { "is ready" };
                return Ok(Done { outcome, summary: ground.marked(format!("sandbox {name} {is}")) });
            }
            Err(failure) => failure,
        };
        if ground.is_spare() && failure.reason != Reason::Interrupted && !run.deadline.has_passed() {
            run.report.warn(format!("the spare does not pass: {failure}; the sandbox is made without it"));
            let removed = run.stage(Stage::Down, async {
                let removed = ground.take_back(run).await?;
                Ok(((), Outcome::Passed, removed))
            });
            Box::pin(removed).await?;
            options.cold = true;
            continue;
        }
        let failure = Box::pin(rollback::save_evidence(failure, &plan, &ground, host, run)).await;
        // A spare had no data of the user's.
        let is_new = ground.is_new() || ground.is_spare();
        if !is_new || options.keep {
            return Err(with_way_on(failure, &name, is_new));
        }
        let failure = rollback::roll_back(failure, &name, &ground, run).await;
        return Err(rollback::forget(failure, &state, &lock));
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
        Reason::SandboxDiffers | Reason::VolumeMissing => failure,
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
    Box::pin(ground.come_home(run)).await?;
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
    if ground.is_new() && !ground.has_data() && backup.is_none() && !options.cold {
        Box::pin(spare::take(&plan, &mut ground, host, run)).await?;
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
        assert_eq!(hints(Reason::VolumeMissing, false), ["first"], "the data may be what is gone");
    }
}
