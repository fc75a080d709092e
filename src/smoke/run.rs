//! All checks at once, retries, verdicts, and the failure with the first cause.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::failure::{Failure, Reason};
use crate::report::{Event, Outcome, Stage};
use crate::run::{Deadline, Run};

use super::apiserver::ApiServer;
use super::catalogue::{CATALOGUE, Check, Id};
use super::http::Http;
use super::miss::{Miss, Sight};
use super::target::{Context, Target};
use super::{admin, cluster_wide, console, dashboard, datacatalog, propeller, review, s3};

/// Between two attempts at a check; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a wrong answer may take to become right: Roles do not mend themselves, but the authoriser reads them late.
const SETTLING: Duration = Duration::from_secs(3);
/// What an attempt that is under way at the deadline is given to end.
const GRACE: Duration = Duration::from_secs(3);

/// What a check ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The check.
    pub check: Check,
    /// Passed or failed.
    pub outcome: Outcome,
    /// What was seen, in one line.
    pub detail: String,
    /// From the first attempt to the last answer, in milliseconds.
    pub millis: u64,
}

/// Runs every check of [`CATALOGUE`] at once, each until it passes, its answer is settled, or the budget ends. Speaks the
/// whole of [`Stage::Smoke`]: start, progress, a probe per verdict, end.
///
/// # Errors
/// [`Reason::Smoke`] with the first failing check on the object, its request and what was seen as causes, everything
/// seen by failing checks as evidence; [`Reason::Interrupted`].
pub async fn run(target: &Target<'_>, run: &Run) -> Result<Vec<Verdict>, Failure> {
    let timer = run.report.stage(Stage::Smoke);
    let done = run.unless_cancelled(all_checks(target, run)).await;
    match &done {
        Ok(verdicts) => timer.finish(Outcome::Passed, format!("{} of {0} checks", verdicts.len())),
        Err(failure) => timer.finish(Outcome::Failed, failure.what.clone()),
    }
    done
}

async fn all_checks(target: &Target<'_>, run: &Run) -> Result<Vec<Verdict>, Failure> {
    let http = Http::new();
    let http = http.map_err(|error| Failure::new(Reason::Internal, "cannot set up an HTTP client").caused_by(&error));
    let context = Context { spec: target.spec, http: http?, api: ApiServer::new(target.client.clone()) };
    let deadline = run.deadline.at_most(target.budget);
    let board = Board::new(run);
    let context = &context;
    let board = &board;
    let results = join_all(CATALOGUE.iter().map(|check| until_passed(check, context, board, deadline))).await;
    let (verdicts, misses): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let missed: Vec<_> = CATALOGUE.iter().zip(misses).filter_map(|(check, miss)| Some((check, miss?))).collect();
    failure(&missed, verdicts.len()).map_or(Ok(verdicts), Err)
}

async fn until_passed(
    check: &Check,
    context: &Context<'_>,
    board: &Board<'_>,
    deadline: Deadline,
) -> (Verdict, Option<Miss>) {
    let started = Instant::now();
    let settled = Deadline::after(SETTLING);
    let mut pause = FIRST_PAUSE;
    let mut seen_before = None;
    let sight = loop {
        let sight = match tokio::time::timeout(deadline.remaining() + GRACE, look(check.id, context)).await {
            Ok(sight) => sight,
            Err(_) => Err(seen_before.unwrap_or_else(|| Miss::new(check.title, "no answer in time"))),
        };
        match sight {
            Err(miss) if !(deadline.remaining().is_zero() || miss.settled && settled.remaining().is_zero()) => {
                board.missed(check, &miss);
                seen_before = Some(miss);
                tokio::time::sleep(pause.min(deadline.remaining())).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            sight => break sight,
        }
    };
    let (outcome, detail) = match &sight {
        Ok(seen) => (Outcome::Passed, seen.clone()),
        Err(miss) => (Outcome::Failed, miss.line()),
    };
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let verdict = Verdict { check: *check, outcome, detail, millis };
    board.done(&verdict);
    (verdict, sight.err())
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
        Id::D1 => dashboard::loads(context).await,
        Id::D2 => dashboard::sees_workflow_pods(context).await,
        Id::D3 => dashboard::sees_nothing_else(context).await,
        Id::K1 => datacatalog::healthy(context).await,
        Id::P1 => propeller::have_workers(context).await,
        Id::P2 => propeller::lead(context).await,
        Id::R1 => review::allows(context).await,
        Id::R2 => review::denies(context).await,
        Id::R3 => cluster_wide::nothing(context).await,
    }
}

/// What is still missing, told as one note when it changes.
struct Board<'a> {
    run: &'a Run,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    passed: usize,
    missing: BTreeMap<Id, String>,
    told: String,
}

impl<'a> Board<'a> {
    fn new(run: &'a Run) -> Self {
        Self { run, state: Mutex::default() }
    }

    fn missed(&self, check: &Check, miss: &Miss) {
        self.tell(|state| {
            state.missing.insert(check.id, format!("{} {}: {}", check.id, check.title, miss.line()));
        });
    }

    fn done(&self, verdict: &Verdict) {
        let Verdict { check, outcome, detail, millis } = verdict.clone();
        let (id, title) = (check.id.to_string(), check.title.to_owned());
        self.run.report.emit(Event::Probe { id, title, outcome, detail, millis });
        self.tell(|state| {
            state.passed += usize::from(outcome == Outcome::Passed);
            state.missing.remove(&check.id);
        });
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let Some(first) = state.missing.values().next() else { return };
        let note = format!("{} of {} passed; {first}", state.passed, CATALOGUE.len());
        if note != state.told {
            self.run.report.progress(Stage::Smoke, note.clone());
            state.told = note;
        }
    }
}

/// The failure that the misses amount to: the first one in the catalogue's order is the cause, all are evidence.
fn failure(missed: &[(&Check, Miss)], total: usize) -> Option<Failure> {
    let (check, first) = missed.first()?;
    let mut failure = Failure::new(Reason::Smoke, format!("{} of {total} smoke checks failed", missed.len()))
        .on(format!("check {} {}", check.id, check.title))
        .because(&first.asked)
        .because(&first.seen);
    for (check, miss) in missed {
        failure = failure.evidence([format!("{} {}", check.id, miss.line())]);
        failure = failure.evidence(miss.evidence.iter().map(|line| format!("{} {line}", check.id)));
        for hint in &miss.hints {
            if !failure.hints.contains(hint) {
                failure = failure.hint(hint.clone());
            }
        }
    }
    Some(failure.hint("`sandbox smoke` asks again; `sandbox logs` shows what a component says"))
}

#[cfg(test)]
mod tests {
    use super::{CATALOGUE, Miss, failure};

    #[test]
    fn the_first_miss_in_the_catalogue_is_the_cause_and_all_are_evidence() {
        let misses = [
            (&CATALOGUE[1], Miss::new("GET /api", "HTTP 503").evidence(["no healthy upstream"]).hint("wait")),
            (&CATALOGUE[3], Miss::new("GET /console", "HTTP 404").hint("wait")),
        ];
        let failure = failure(&misses, 16).expect("misses are a failure");
        assert_eq!(
            failure.to_string(),
            "2 of 16 smoke checks failed (check A2 admin lists the projects and domains): GET /api: HTTP 503"
        );
        assert_eq!(failure.evidence, ["A2 GET /api: HTTP 503", "A2 no healthy upstream", "C2 GET /console: HTTP 404"]);
        assert_eq!(failure.hints[0], "wait");
        assert_eq!(failure.hints.len(), 2);
    }

    #[test]
    fn no_miss_is_no_failure() {
        assert_eq!(failure(&[], 16), None);
    }
}
