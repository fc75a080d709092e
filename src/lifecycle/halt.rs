//! A sandbox halted, and brought back as it was.

use super::converge::{self, wait_for_workloads};
use super::outcome::Done;
use super::retention::Removal;
use super::rollback;
use super::verify::verify_with_work;
use crate::failure::Failure;
use crate::limits::{CHECKS_AFTER_UP, CHECKS_WHEN_READY};
use crate::report::{Outcome, Stage};
use crate::run::Run;
use crate::site::{self, Halt, Host, Resumed, Running, Site, Stopped};
use crate::smoke::{Executions, Target};

/// Halts the sandbox: its data stays, and its projects, executions and settings with it. That it does not run is a
/// success.
///
/// # Errors
/// There is no such sandbox, it has no node of its own, another run is busy with it, or Docker does not answer.
pub async fn stop(name: &str, how: Halt, host: &Host, run: &Run) -> Result<Done, Failure> {
    let work = halt(name, how, host, run);
    locked(name, "stop", host, work).await
}

async fn halt(name: &str, how: Halt, host: &Host, run: &Run) -> Result<Done, Failure> {
    let (done, state) = match how {
        Halt::Stop => ("stopped: memory and processors are free, data stays", "stopped"),
        Halt::Freeze => ("frozen: processors are free, memory and data stay", "frozen"),
    };
    let stopped = run.stage(Stage::Stop, async {
        let stopped = Site::resolve(name, None, host)?.stop(how).await?;
        let (outcome, summary) = match stopped {
            Stopped::Now => (Outcome::Passed, done),
            Stopped::Before(Halt::Stop) => (Outcome::Unchanged, "it does not run"),
            Stopped::Before(Halt::Freeze) => (Outcome::Unchanged, "it is frozen already"),
        };
        Ok((stopped, outcome, summary.to_owned()))
    });
    Ok(match stopped.await? {
        Stopped::Now => Done::passed(format!("sandbox {name} is {state}; `sandbox start` brings it back")),
        Stopped::Before(Halt::Stop) => Done::unchanged(format!("sandbox {name} does not run")),
        Stopped::Before(Halt::Freeze) => {
            Done::unchanged(format!("sandbox {name} is frozen already; `sandbox start` brings it back"))
        }
    })
}

/// Brings a sandbox that was stopped or frozen back, and verifies it: a workflow runs in it. One that runs is verified,
/// too.
///
/// # Errors
/// There is no such sandbox, or the first stage's that fails. It is left as it is then.
pub async fn start(name: &str, host: &Host, run: &Run) -> Result<Done, Failure> {
    locked(name, "start", host, Box::pin(bring_back(name, host, run))).await
}

async fn bring_back(name: &str, host: &Host, run: &Run) -> Result<Done, Failure> {
    let site = Site::resolve(name, None, host)?;
    let Resumed { running: Running { client, inventory, .. }, was, node_started } = run
        .stage(Stage::Cluster, async {
            let resumed = site.resume(run).await?;
            let summary = match resumed.was {
                None => "it runs already",
                Some(Halt::Stop) => "node Ready again",
                Some(Halt::Freeze) => "node thawed",
            };
            let outcome = if resumed.was.is_some() { Outcome::Passed } else { Outcome::Unchanged };
            Ok((resumed, outcome, summary.to_owned()))
        })
        .await?;
    wait_for_workloads(&client, &inventory, node_started, run).await?;
    converge::reconcile_settings(&client, &inventory.spec, &inventory, None, Removal::Empty, run).await?;
    let (executions, budget) = match was {
        Some(_) => (Executions::First, CHECKS_AFTER_UP),
        None => (Executions::None, CHECKS_WHEN_READY),
    };
    verify_with_work(&Target { spec: &inventory.spec, client, budget, executions }, host, run).await?;
    run.report.emit(site::ready(&inventory.spec, &host.state.sandbox(name)));
    Ok(match was {
        Some(_) => Done::passed(format!("sandbox {name} is back")),
        None => Done::unchanged(format!("sandbox {name} runs")),
    })
}

/// Does the work while the sandbox's lock is held. A lock without a sandbox is a leftover itself.
pub(super) async fn locked(
    name: &str,
    command: &'static str,
    host: &Host,
    work: impl Future<Output = Result<Done, Failure>>,
) -> Result<Done, Failure> {
    let state = host.state.sandbox(name);
    let lock = state.lock(command)?;
    match work.await {
        Err(failure) if !state.path().is_dir() => Err(rollback::forget(failure, &state, &lock)),
        done => done,
    }
}
