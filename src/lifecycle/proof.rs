//! Proof that a sandbox is what it should be.

use std::time::Duration;

use kube::Client;

use super::{Done, Host, Running, rehearse};
use crate::failure::Failure;
use crate::report::Outcome;
use crate::run::Run;
use crate::smoke::{self, Executions, Target};
use crate::spec::Spec;

/// For the checks of a sandbox that should be ready already.
pub(super) const SETTLED: Duration = Duration::from_secs(20);

pub(super) async fn prove(
    spec: &Spec,
    client: Client,
    budget: Duration,
    executions: Executions,
    run: &Run,
) -> Result<(), Failure> {
    smoke::run(&Target { spec, client, budget, executions }, run).await.map(|_| ())
}

/// Proves a sandbox that runs, by what it was brought up for.
///
/// # Errors
/// There is none that runs, or a check fails.
pub async fn smoke(name: &str, host: &Host, executions: Executions, run: &Run) -> Result<Done, Failure> {
    let Running { client, inventory, rehearsal, .. } = Running::find(name, host).await?;
    if rehearsal {
        rehearse::tell(run);
    }
    prove(&inventory.spec, client, SETTLED, executions, run).await?;
    let summary = match rehearsal {
        true => format!("REHEARSAL: sandbox {name} passes its checks"),
        false => format!("sandbox {name} is a working Flyte"),
    };
    Ok(Done { outcome: Outcome::Passed, summary })
}
