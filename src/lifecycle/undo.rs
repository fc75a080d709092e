//! What a failed `up` takes back, and what it keeps for a look.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cluster;
use crate::docker::Docker;
use crate::failure::{Failure, Reason};
use crate::report::{Outcome, Stage};
use crate::run::{Deadline, Run};
use crate::state::StateRoot;

/// Lines of the node's log that are kept.
const LOG: usize = 2000;
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
        let removed = cluster::delete(docker, name).await?;
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
