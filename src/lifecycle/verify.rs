//! The checks that a sandbox is what it should be.

use std::time::Duration;

use kube::Client;

use super::outcome::Done;
use crate::failure::{Failure, Reason};
use crate::flyte::{labels, names};
use crate::kubernetes::{self, Locks};
use crate::limits::{CHECKS_WHEN_READY, LOCK_RELEASE};
use crate::run::Run;
use crate::site::{Host, Running, Site};
use crate::smoke::{self, Executions, Target};
use crate::spec::Spec;

/// How often the checks run at most.
const ROUNDS: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// Runs the smoke checks, with propellers that need not wait for others' locks. Those whose connection to admin left the node
/// with its start are replaced once, and the checks run again.
///
/// # Errors
/// The first check's that fails.
pub(super) async fn verify(target: &Target<'_>, host: &Host, run: &Run) -> Result<(), Failure> {
    let (client, spec) = (&target.client, target.spec);
    let checks = async || {
        release_locks(client, spec, run).await?;
        checked(target, host, run).await
    };
    // On an attached cluster nothing starts with the sandbox, and its pods are not ours to delete.
    if !spec.scope().owns_cluster {
        return checks().await;
    }
    let replace = async || kubernetes::delete_pods(client, &spec.system_namespace(), labels::WORKFLOW_NAMESPACE).await;
    connected_anew(run, checks, replace).await
}

async fn connected_anew(
    run: &Run,
    checks: impl AsyncFn() -> Result<(), Failure>,
    replace: impl AsyncFn() -> Result<(), Failure>,
) -> Result<(), Failure> {
    match checks().await {
        Err(failure) if failure.reason == Reason::ConnectionStuck => {
            run.report.warn(format!("{failure}; the propellers are replaced, and the checks run again"));
            replace().await?;
            checks().await
        }
        ended => ended,
    }
}

/// Runs the smoke checks. Of a port that does not arrive, Docker knows whose it is to pass it on.
async fn checked(target: &Target<'_>, host: &Host, run: &Run) -> Result<(), Failure> {
    match smoke::run(target, run).await {
        Err(failure) if failure.reason == Reason::PortUnreachable => Err(host.with_way_out(failure).await),
        done => done.map(|_| ()),
    }
}

/// Verifies a sandbox that had work before this run. Where its node starts with executions in it, propellers send their
/// events all at once, and flyteadmin v0.6.13 dies where two of its first calls meet: that is warned of, and the checks run
/// again.
///
/// # Errors
/// As [`verify`]'s; a component that restarts in each of three rounds of checks.
pub(super) async fn verify_with_work(target: &Target<'_>, host: &Host, run: &Run) -> Result<(), Failure> {
    again_after_a_restart(run, async || verify(target, host, run).await).await
}

async fn again_after_a_restart(run: &Run, checks: impl AsyncFn() -> Result<(), Failure>) -> Result<(), Failure> {
    for _ in 1..ROUNDS {
        match checks().await {
            Err(failure) if failure.reason == Reason::ComponentRestarted => {
                run.report.warn(format!("{failure}; the checks run again"));
            }
            ended => return ended,
        }
    }
    checks().await
}

/// Takes the propellers' locks from pods that are gone, and from those that are about to be: the ones that came in their
/// place would wait a quarter of a minute. What cannot be had shows in the checks.
async fn release_locks(client: &Client, spec: &Spec, run: &Run) -> Result<(), Failure> {
    let names = spec.workflow_namespaces().iter().map(names::propeller_lock).collect();
    let locks = Locks::new(client, &spec.system_namespace(), spec.flyte.facts().election);
    let released = async {
        while let Ok(true) = locks.release_orphaned(&names).await {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    };
    run.deadline.min(LOCK_RELEASE).limit(run.unless_cancelled(released)).await.unwrap_or(Ok(()))
}

/// Verifies a sandbox that runs, against what it was brought up for.
///
/// # Errors
/// There is none that runs, or a check fails.
pub async fn smoke(name: &str, host: &Host, executions: Executions, run: &Run) -> Result<Done, Failure> {
    let site = Site::resolve(name, None, host)?;
    let Running { client, inventory, .. } = site.running().await?;
    site.announce(run);
    let target = Target { spec: &inventory.spec, client, budget: CHECKS_WHEN_READY, executions };
    checked(&target, host, run).await?;
    let is = if site.is_rehearsal() { "passes its checks" } else { "is a working Flyte" };
    Ok(Done::passed(site.marked(format!("sandbox {name} {is}"))))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::report::{Event, Reporter};
    use crate::run::Deadline;

    #[tokio::test]
    async fn propellers_that_are_stuck_on_a_proxy_are_replaced_once() {
        let (stuck, failed) = (Some(Reason::ConnectionStuck), Some(Reason::WorkflowFailed));
        for (rounds, replaced, ended) in [
            (vec![None], 0, None),
            (vec![stuck, None], 1, None),
            (vec![stuck, stuck], 1, stuck),
            (vec![stuck, failed], 1, failed),
            (vec![failed], 0, failed),
        ] {
            let deadline = Deadline::after(Duration::from_secs(5));
            let run = Run { report: Reporter::channel().0, deadline, cancel: CancellationToken::new() };
            let (left, times) = (RefCell::new(rounds.iter().copied()), RefCell::new(0));
            let checks = async || match left.borrow_mut().next().expect("no round more") {
                None => Ok(()),
                Some(reason) => Err(Failure::new(reason, "a workflow")),
            };
            let replace = async || {
                *times.borrow_mut() += 1;
                Ok(())
            };
            let told = connected_anew(&run, checks, replace).await;
            assert_eq!((told.err().map(|failure| failure.reason), times.into_inner()), (ended, replaced), "{rounds:?}");
            assert_eq!(left.borrow().len(), 0, "{rounds:?}");
        }
    }

    #[tokio::test]
    async fn checks_during_which_a_component_restarted_run_three_times_at_most() {
        let (restarted, failed) = (Some(Reason::ComponentRestarted), Some(Reason::WorkflowFailed));
        for (rounds, warnings, ended) in [
            (vec![None], 0, None),
            (vec![restarted, None], 1, None),
            (vec![restarted, restarted, None], 2, None),
            (vec![restarted; 3], 2, restarted),
            (vec![failed], 0, failed),
            (vec![restarted, failed], 1, failed),
        ] {
            let (report, mut events) = Reporter::channel();
            let run =
                Run { report, deadline: Deadline::after(Duration::from_secs(5)), cancel: CancellationToken::new() };
            let left = RefCell::new(rounds.iter().copied());
            let checks = async || match left.borrow_mut().next().expect("no round more") {
                None => Ok(()),
                Some(reason) => Err(Failure::new(reason, "flyteadmin")),
            };
            let told = again_after_a_restart(&run, checks).await;
            assert_eq!(told.err().map(|failure| failure.reason), ended, "{rounds:?}");
            assert_eq!(left.borrow().len(), 0, "{rounds:?}");
            let told =
                std::iter::from_fn(|| events.try_recv().ok()).filter(|event| matches!(event, Event::Warning { .. }));
            assert_eq!(told.count(), warnings, "{rounds:?}");
        }
    }
}
