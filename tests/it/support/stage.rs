//! One smoke stage, played to its end.

use std::time::Duration;

use flyte_sandbox::failure::Failure;
use flyte_sandbox::report::{Event, Reporter};
use flyte_sandbox::run::{Deadline, Run};
use flyte_sandbox::smoke::{CheckReport, Executions, Target, run};
use tokio_util::sync::CancellationToken;

use super::flyte::FakeFlyte;

/// Always broken.
pub(crate) const EVER: usize = usize::MAX;

/// What came of it.
pub(crate) struct Smoke {
    pub(crate) done: Result<Vec<CheckReport>, Failure>,
    pub(crate) events: Vec<Event>,
}

/// Asks this Flyte for `budget`, in a run that gives up after `within`.
pub(crate) async fn play(
    flyte: &FakeFlyte,
    executions: Executions,
    budget: Duration,
    within: Duration,
    cancel: CancellationToken,
) -> Smoke {
    let (report, mut events) = Reporter::channel();
    let work = Run { report, deadline: Deadline::after(within), cancel };
    let done = run(&Target { spec: &flyte.spec, client: flyte.client.clone(), budget, executions }, &work).await;
    drop(work);
    let mut said = Vec::new();
    while let Some(event) = events.recv().await {
        said.push(event);
    }
    Smoke { done, events: said }
}
