//! What a failed `up` leaves to read, and what it takes back.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::evidence;
use crate::failure::{Failure, Reason};
use crate::limits;
use crate::plan::Plan;
use crate::report::{Outcome, Stage};
use crate::run::{Deadline, Run};
use crate::site::{Ground, Host};
use crate::state::{SandboxLock, StateDir};

/// Saves the evidence of a sandbox whose `up` failed, and removes nothing. An `up` that was stopped on request explains
/// itself. An interrupt ends the saving; that it did not work is told, and the failure stays the run's own.
pub(super) async fn save_evidence(
    mut failure: Failure,
    plan: &Plan,
    ground: &Ground<'_>,
    host: &Host,
    run: &Run,
) -> Failure {
    if failure.reason == Reason::Interrupted {
        return failure;
    }
    // The run's own time may be over: that may be what failed.
    let run = Run { deadline: Deadline::fixed(limits::EVIDENCE), ..run.clone() };
    let why = failure.clone();
    let saved: Result<PathBuf, Failure> = run
        .stage(Stage::Evidence, async {
            let sources = ground.evidence(plan).await;
            let subject = sources.subject(&plan.spec.name, Some(&why), Ok(plan), run.report.began());
            let folder = evidence::collect(&subject, &host.state, &run).await?;
            let summary = format!("saved in {}", folder.display());
            Ok((folder, Outcome::Passed, summary))
        })
        .await;
    match saved {
        Ok(folder) => failure.folder = Some(folder.display().to_string()),
        Err(unsaved) => run.report.warn(unsaved.to_string()),
    }
    failure
}

/// Removes what the run made, and says what that was. Reason and causes stay those of the first failure; what could not
/// be removed is told beside them.
pub(super) async fn roll_back(mut failure: Failure, name: &str, ground: &Ground<'_>, run: &Run) -> Failure {
    if failure.reason != Reason::Interrupted {
        failure =
            also(failure, "`--keep` leaves a sandbox that failed as it is, for `sandbox logs` and `sandbox smoke`");
    }
    // The run's own time may be over, or the user may have asked to stop.
    let run = Run { deadline: Deadline::fixed(limits::ROLLBACK), cancel: CancellationToken::new(), ..run.clone() };
    let removed = run.stage(Stage::Down, async {
        let removed = run.deadline.limit(ground.take_back(&run)).await;
        let removed = removed.unwrap_or_else(|| {
            Err(Failure::new(Reason::Docker, "could not remove the sandbox").because(run.deadline.expired_message()))
        })?;
        let summary = format!("undone: {removed}");
        Ok(((), Outcome::Passed, summary))
    });
    match removed.await {
        Ok(()) => failure,
        Err(left) => {
            failure = also(failure, format!("`sandbox down --name {name}` tries again")).evidence([left.to_string()]);
            failure.leftovers = match left.leftovers {
                // Where Docker does not answer, nobody knows.
                unknown if unknown.is_empty() => vec![format!("what Docker has of sandbox {name}")],
                left => left,
            };
            failure
        }
    }
}

/// Removes the sandbox's folder and lock where all else of it is gone; what cannot be removed is a leftover, too.
pub(super) fn forget(failure: Failure, state: &StateDir, lock: &SandboxLock) -> Failure {
    if failure.leftovers.is_empty() { state.remove_or_leftover(failure, lock) } else { failure }
}

/// Something to do besides what the failure, or else its reason, says.
pub(super) fn also(mut failure: Failure, hint: impl Into<String>) -> Failure {
    if failure.hints.is_empty() {
        let remedy = failure.reason.entry().remedy;
        failure = failure.hint(remedy);
    }
    failure.hint(hint)
}
