//! The checks that a sandbox is what it should be.

use std::time::Duration;

use kube::Client;

use super::outcome::Done;
use crate::failure::Failure;
use crate::flyte::names;
use crate::kubernetes;
use crate::limits::{CHECKS_WHEN_READY, LOCK_RELEASE};
use crate::run::Run;
use crate::site::{Host, Running, Site};
use crate::smoke::{self, Executions, Target};
use crate::spec::Spec;

const PAUSE: Duration = Duration::from_millis(100);

/// Runs the smoke checks, with propellers that need not wait for others' locks.
///
/// # Errors
/// The first check's that fails.
pub(super) async fn verify(
    spec: &Spec,
    client: Client,
    budget: Duration,
    executions: Executions,
    run: &Run,
) -> Result<(), Failure> {
    release_locks(&client, spec, run).await?;
    smoke::run(&Target { spec, client, budget, executions }, run).await.map(|_| ())
}

/// Takes the propellers' locks from pods that are gone, and from those that are about to be: the ones that came in their
/// place would wait a quarter of a minute. What cannot be had shows in the checks.
async fn release_locks(client: &Client, spec: &Spec, run: &Run) -> Result<(), Failure> {
    let locks = spec.workflow_namespaces().iter().map(names::propeller_lock).collect();
    let released = async {
        while let Ok(true) = kubernetes::release_orphaned(client, &spec.system_namespace(), &locks).await {
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
    smoke::run(&target, run).await?;
    let is = if site.is_rehearsal() { "passes its checks" } else { "is a working Flyte" };
    Ok(Done::passed(site.marked(format!("sandbox {name} {is}"))))
}
