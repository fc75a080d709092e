//! The smoke stage: all checks at once with retries, then workflows.

use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::failure::{Failure, Reason};
use crate::kubernetes::forward;
use crate::limits::{CHECK_GRACE, CHECK_SETTLED};
use crate::report::{Outcome, Stage};
use crate::run::{Deadline, Run};

use super::catalogue::{CATALOGUE, Check, EXECUTION, Id, REGISTRY};
use super::check_failure::{CheckFailure, CheckResult};
use super::check_report::{CheckReport, FailedCheck, combined_failure};
use super::http::Http;
use super::progress::CheckProgress;
use super::target::{CheckContext, Target};
use super::{
    admin, arrival, cluster_wide, console, dashboard, datacatalog, execution, propeller, registry, restarts, review, s3,
};

/// The pause between two attempts at a check; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Runs every check of [`CATALOGUE`] at once, and that of a registry where there is one, each until it passes, its answer
/// is final, or the budget ends; where all pass, those of [`EXECUTION`] in the selected projects and domains. Emits all
/// events of [`Stage::Smoke`]: start, progress, a probe per check, end.
///
/// # Errors
/// [`Reason::ComponentRestarted`] where a component restarted meanwhile; [`Reason::PortUnreachable`] where a published port
/// does not arrive; else the first failing check's reason, with the check on the object, its request and what was seen as causes, everything
/// seen by failing checks as evidence; [`Reason::Interrupted`].
pub async fn run(target: &Target<'_>, run: &Run) -> Result<Vec<CheckReport>, Failure> {
    let timer = run.report.stage(Stage::Smoke);
    let done = everything(target, run).await;
    match &done {
        Ok(reports) => timer.finish(Outcome::Passed, summary(reports)),
        Err(failure) => timer.finish(Outcome::Failed, failure.what.clone()),
    }
    done
}

async fn everything(target: &Target<'_>, run: &Run) -> Result<Vec<CheckReport>, Failure> {
    let http = Http::new();
    let http = http.map_err(|error| Failure::new(Reason::Internal, "cannot set up an HTTP client").caused_by(error));
    let (spec, client) = (target.spec, target.client.clone());
    // An attached cluster publishes no ports; its pods are reached by port-forward while the checks run.
    let forwarded = if spec.scope().publishes_ports { None } else { Some(forward(&client, spec).await?) };
    let ports = forwarded.as_ref().map_or(spec.ports, |forwarded| forwarded.ports);
    let context = CheckContext::new(spec, ports, http?, client);
    let before = run.unless_cancelled(async { Ok::<_, Failure>(restarts::look(&context).await) }).await?;
    // On the heap: within the stages, it is more than some stacks have.
    let checked = Box::pin(async {
        let checks = async {
            tokio::select! {
                reports = all_checks(&context, target.budget, run) => reports,
                failure = arrival::lost(&context) => Err(failure),
            }
        };
        let mut reports = run.unless_cancelled(checks).await?;
        context.warnings().iter().for_each(|warning| run.report.warn(warning));
        let namespaces = target.executions.among(target.spec);
        if !namespaces.is_empty() {
            reports.extend(execution::run(&context, namespaces, run).await?);
        }
        Ok(reports)
    });
    let checked: Result<Vec<CheckReport>, Failure> = checked.await;
    let failed = checked.as_ref().err();
    if let Some(before) = before.filter(|_| failed.is_none_or(|failure| failure.reason != Reason::Interrupted)) {
        let died = Box::pin(async { Ok::<_, Failure>(restarts::failure(&context, &before, failed, run).await) });
        if let Some(failure) = run.unless_cancelled(died).await? {
            return Err(failure);
        }
    }
    checked
}

/// A summary such as `17 of 17 checks; 6 workflows ran`.
fn summary(reports: &[CheckReport]) -> String {
    let last = EXECUTION.last().map(|check| check.id);
    let skipped =
        reports.iter().filter(|report| report.outcome == Outcome::Skipped).map(CheckReport::id).collect::<Vec<_>>();
    if !skipped.is_empty() {
        let passed: Vec<_> = reports.iter().filter(|report| report.outcome != Outcome::Skipped).cloned().collect();
        let text = summary(&passed).replacen(&format!("of {}", passed.len()), &format!("of {}", reports.len()), 1);
        return format!("{text};  {} skipped", skipped.join(", "));
    }
    match reports.iter().filter(|report| Some(report.check.id) == last).count() {
        0 => format!("{} of {0} checks", reports.len()),
        1 => format!("{} of {0} checks; a workflow ran", reports.len()),
        ran => format!("{} of {0} checks; {ran} workflows ran", reports.len()),
    }
}

async fn all_checks(context: &CheckContext<'_>, budget: Duration, run: &Run) -> Result<Vec<CheckReport>, Failure> {
    let deadline = run.deadline.min(budget);
    let checks: Vec<Check> = CATALOGUE.into_iter().chain(context.spec.ports.registry.map(|_| REGISTRY)).collect();
    let progress = &CheckProgress::new(run, "checks", checks.len());
    let results = join_all(checks.iter().map(|check| until_passed(check, context, progress, deadline))).await;
    let (reports, failures): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let failed = |(check, failure): (&Check, Option<CheckFailure>)| {
        Some(FailedCheck { id: check.id.to_string(), check: *check, failure: failure? })
    };
    let failed: Vec<_> = checks.iter().zip(failures).filter_map(failed).collect();
    let what = format!("{} of {} smoke checks failed", failed.len(), reports.len());
    let late = deadline.has_passed();
    let ended_by = late.then(|| deadline.expired_message());
    combined_failure(what, failed).map_or(Ok(reports), |failure| Err(failure.evidence(ended_by)))
}

async fn until_passed(
    check: &Check,
    context: &CheckContext<'_>,
    progress: &CheckProgress<'_>,
    deadline: Deadline,
) -> (CheckReport, Option<CheckFailure>) {
    let started = Instant::now();
    let settled = Deadline::fixed(CHECK_SETTLED);
    let mut pause = FIRST_PAUSE;
    let mut seen_before = None;
    let result = loop {
        let result = match deadline.extended_by(CHECK_GRACE).limit(attempt(check.id, context)).await {
            Some(result) => result,
            None => Err(seen_before.unwrap_or_else(|| CheckFailure::new(check.title, "timed out"))),
        };
        match result {
            Err(failure)
                if !(failure.skipped || deadline.has_passed() || failure.final_answer && settled.has_passed()) =>
            {
                let note = format!("{} {}: {}", check.id, check.title, failure.line());
                progress.failed(&check.id.to_string(), note);
                seen_before = Some(failure);
                tokio::time::sleep(pause.min(deadline.remaining())).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => break result,
        }
    };
    let report = CheckReport::of(*check, None, &result, started);
    progress.done(&check.id.to_string(), &report);
    if report.outcome == Outcome::Skipped {
        progress.skipped(&report);
    }
    (report, result.err().filter(|failure| !failure.skipped))
}

async fn attempt(id: Id, context: &CheckContext<'_>) -> CheckResult {
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
        Id::I1 => registry::answers(context).await,
        Id::R1 => review::allows(context).await,
        Id::R2 => review::denies(context).await,
        Id::R3 => cluster_wide::nothing(context).await,
        // Asked of every pair, and not at a single look.
        Id::A3 | Id::A5 | Id::D4 => Err(CheckFailure::new("execution", "not a check of the whole")),
    }
}
