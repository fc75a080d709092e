//! The checks that a sandbox is what it should be.

use std::time::Duration;

use kube::Client;

use super::outcome::Done;
use crate::failure::Failure;
use crate::limits::CHECKS_WHEN_READY;
use crate::run::Run;
use crate::site::{Host, Running, Site};
use crate::smoke::{self, Executions, Target};
use crate::spec::Spec;

pub(super) async fn verify(
    spec: &Spec,
    client: Client,
    budget: Duration,
    executions: Executions,
    run: &Run,
) -> Result<(), Failure> {
    smoke::run(&Target { spec, client, budget, executions }, run).await.map(|_| ())
}

/// Verifies a sandbox that runs, against what it was brought up for.
///
/// # Errors
/// There is none that runs, or a check fails.
pub async fn smoke(name: &str, host: &Host, executions: Executions, run: &Run) -> Result<Done, Failure> {
    let site = Site::resolve(name, None, host)?;
    let Running { client, inventory, .. } = site.running().await?;
    site.announce(run);
    verify(&inventory.spec, client, CHECKS_WHEN_READY, executions, run).await?;
    let is = if site.is_rehearsal() { "passes its checks" } else { "is a working Flyte" };
    Ok(Done::passed(site.marked(format!("sandbox {name} {is}"))))
}
