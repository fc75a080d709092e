//! What a failed `up` takes back, and what it keeps for a look.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cluster::{self, Removed};
use crate::docker::Docker;
use crate::failure::{Failure, Reason};
use crate::report::{Outcome, Stage};
use crate::run::{Deadline, Run};
use crate::state::StateRoot;

/// Lines of the node's log that are kept.
const LOG: usize = 2000;
/// How long nothing must have come for the daemon to be taken for done.
const SETTLED: Duration = Duration::from_millis(600);
const LOOK: Duration = Duration::from_millis(100);
/// For the whole undoing: the user may have asked to stop.
const BUDGET: Duration = Duration::from_secs(60);

/// Removes the cluster that the run made, and keeps its node's log where something failed. The failure stays the run's
/// own; what could not be kept or removed is told after it.
pub(super) async fn undo(mut failure: Failure, name: &str, docker: &Docker, root: &StateRoot, run: &Run) -> Failure {
    if failure.reason != Reason::Interrupted {
        failure = keep_log(failure, name, docker, root, run).await;
        failure = failure.hint("`--keep` leaves a sandbox that failed as it is");
    }
    let run = Run { deadline: Deadline::after(BUDGET), cancel: CancellationToken::new(), ..run.clone() };
    let removed = run.stage(Stage::Down, async {
        let removed = remove(docker, name).await?;
        let summary = format!("undone: {removed}");
        Ok(((), Outcome::Passed, summary))
    });
    match removed.await {
        Ok(()) => failure,
        // A failed start can be told by its own exit code; that something is left behind must be, too.
        Err(left) if failure.reason == Reason::Interrupted => left,
        Err(left) => failure.evidence([left.to_string()]).hint(format!("`sandbox down --name {name}` tries again")),
    }
}

/// Removes what there is, until nothing new has come for a while: the last request of a k3d that was stopped may still
/// be with the daemon, and what it makes appears after k3d is gone.
async fn remove(docker: &Docker, name: &str) -> Result<Removed, Failure> {
    let mut removed = cluster::delete(docker, name).await?;
    let mut quiet = Deadline::after(SETTLED);
    while !quiet.remaining().is_zero() {
        tokio::time::sleep(LOOK).await;
        let late = cluster::delete(docker, name).await?;
        if !late.is_empty() {
            removed = removed.and(late);
            quiet = Deadline::after(SETTLED);
        }
    }
    Ok(removed)
}

async fn keep_log(failure: Failure, name: &str, docker: &Docker, root: &StateRoot, run: &Run) -> Failure {
    let Ok(lines) = docker.logs(&cluster::node_name(name), LOG).await else { return failure };
    if lines.is_empty() {
        return failure;
    }
    let log = root.path().join("failures").join(name).join("node.log");
    match root.sandbox(name).write(&log, &lines.join("\n")) {
        Ok(()) => failure.hint(format!("the node's log is kept in {}", log.display())),
        Err(unwritten) => {
            run.report.warn(unwritten.to_string());
            failure
        }
    }
}
