//! All checks at once with retries; then workflows, where they are wanted.

use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::failure::{Failure, Reason};
use crate::kubernetes::forward;
use crate::limits::{CHECK_GRACE, CHECK_SETTLED};
use crate::report::{Outcome, Stage};
use crate::run::{Deadline, Run};

use super::apiserver::ApiServer;
use super::board::Board;
use super::catalogue::{CATALOGUE, Check, EXECUTION, Id};
use super::http::Http;
use super::miss::{Miss, Sight};
use super::target::{Context, Target};
use super::verdict::{Missed, Verdict, failure};
use super::{admin, cluster_wide, console, dashboard, datacatalog, execution, propeller, review, s3};

/// Between two attempts at a check; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Runs every check of [`CATALOGUE`] at once, each until it passes, its answer is settled, or the budget ends; where all
/// pass, those of [`EXECUTION`] in the wanted pairs of project and domain. Speaks the whole of [`Stage::Smoke`]: start,
/// progress, a probe per verdict, end.
///
/// # Errors
/// The first failing check's reason, with the check on the object, its request and what was seen as causes, everything
/// seen by failing checks as evidence; [`Reason::Interrupted`].
pub async fn run(target: &Target<'_>, run: &Run) -> Result<Vec<Verdict>, Failure> {
    let timer = run.report.stage(Stage::Smoke);
    let done = everything(target, run).await;
    match &done {
        Ok(verdicts) => timer.finish(Outcome::Passed, summary(verdicts)),
        Err(failure) => timer.finish(Outcome::Failed, failure.what.clone()),
    }
    done
}

async fn everything(target: &Target<'_>, run: &Run) -> Result<Vec<Verdict>, Failure> {
    let http = Http::new();
    let http = http.map_err(|error| Failure::new(Reason::Internal, "cannot set up an HTTP client").caused_by(error));
    let (spec, client) = (target.spec, target.client.clone());
    // A given cluster publishes nothing; its pods are reached for as long as they are asked.
    let forwarded = if spec.scope().publishes_ports { None } else { Some(forward(&client, spec).await?) };
    let ports = forwarded.as_ref().map_or(spec.ports, |forwarded| forwarded.ports);
    let context = Context { spec, ports, http: http?, api: ApiServer::new(client) };
    let mut verdicts = run.unless_cancelled(all_checks(&context, target.budget, run)).await?;
    let namespaces = target.executions.among(target.spec);
    if !namespaces.is_empty() {
        verdicts.extend(execution::run(&context, namespaces, run).await?);
    }
    Ok(verdicts)
}

/// Such as `17 of 17 checks; 6 workflows ran`.
fn summary(verdicts: &[Verdict]) -> String {
    let last = EXECUTION.last().map(|check| check.id);
    let skipped =
        verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Skipped).map(Verdict::id).collect::<Vec<_>>();
    if !skipped.is_empty() {
        let passed: Vec<_> = verdicts.iter().filter(|verdict| verdict.outcome != Outcome::Skipped).cloned().collect();
        let told = summary(&passed).replacen(&format!("of {}", passed.len()), &format!("of {}", verdicts.len()), 1);
        return format!("{told}; {} skipped", skipped.join(", "));
    }
    match verdicts.iter().filter(|verdict| Some(verdict.check.id) == last).count() {
        0 => format!("{} of {0} checks", verdicts.len()),
        1 => format!("{} of {0} checks; a workflow ran", verdicts.len()),
        ran => format!("{} of {0} checks; {ran} workflows ran", verdicts.len()),
    }
}

async fn all_checks(context: &Context<'_>, budget: Duration, run: &Run) -> Result<Vec<Verdict>, Failure> {
    let deadline = run.deadline.min(budget);
    let board = &Board::new(run, "checks", CATALOGUE.len());
    let results = join_all(CATALOGUE.iter().map(|check| until_passed(check, context, board, deadline))).await;
    let (verdicts, misses): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let missed =
        |(check, miss): (&Check, Option<Miss>)| Some(Missed { id: check.id.to_string(), check: *check, miss: miss? });
    let missed: Vec<_> = CATALOGUE.iter().zip(misses).filter_map(missed).collect();
    let what = format!("{} of {} smoke checks failed", missed.len(), verdicts.len());
    let late = deadline.has_passed();
    let ended_by = late.then(|| deadline.expired_message());
    failure(what, missed).map_or(Ok(verdicts), |failure| Err(failure.evidence(ended_by)))
}

async fn until_passed(
    check: &Check,
    context: &Context<'_>,
    board: &Board<'_>,
    deadline: Deadline,
) -> (Verdict, Option<Miss>) {
    let started = Instant::now();
    let settled = Deadline::fixed(CHECK_SETTLED);
    let mut pause = FIRST_PAUSE;
    let mut seen_before = None;
    let sight = loop {
        let sight = match deadline.extended_by(CHECK_GRACE).limit(look(check.id, context)).await {
            Some(sight) => sight,
            None => Err(seen_before.unwrap_or_else(|| Miss::new(check.title, "no answer in time"))),
        };
        match sight {
            Err(miss) if !(miss.skipped || deadline.has_passed() || miss.settled && settled.has_passed()) => {
                let note = format!("{} {}: {}", check.id, check.title, miss.line());
                board.missed(&check.id.to_string(), note);
                seen_before = Some(miss);
                tokio::time::sleep(pause.min(deadline.remaining())).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            sight => break sight,
        }
    };
    let verdict = Verdict::of(*check, None, &sight, started);
    board.done(&check.id.to_string(), &verdict);
    if verdict.outcome == Outcome::Skipped {
        board.skipped(&verdict);
    }
    (verdict, sight.err().filter(|miss| !miss.skipped))
}

async fn look(id: Id, context: &Context<'_>) -> Sight {
    match id {
        Id::A1 => admin::healthy(context).await,
        Id::A2 => admin::lists_projects(context).await,
        Id::C1 => console::healthy(context).await,
        Id::C2 => console::loads(context).await,
        Id::M1 => s3::healthy(context).await,
        Id::M2 => s3::browser_loads(context).await,
        Id::M3 => s3::keeps_an_object(context).await,
        Id::M4 => s3::keeps_projects_apart(context).await,
        Id::D1 => dashboard::loads(context).await,
        Id::D2 => dashboard::sees_workflow_pods(context).await,
        Id::D3 => dashboard::sees_nothing_else(context).await,
        Id::K1 => datacatalog::healthy(context).await,
        Id::P1 => propeller::have_workers(context).await,
        Id::P2 => propeller::lead(context).await,
        Id::R1 => review::allows(context).await,
        Id::R2 => review::denies(context).await,
        Id::R3 => cluster_wide::nothing(context).await,
        // Asked of every pair, and not at a single look.
        Id::A3 | Id::A5 | Id::D4 => Err(Miss::new("execution", "not a check of the whole")),
    }
}
