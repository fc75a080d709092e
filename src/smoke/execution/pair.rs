//! The three workflow checks of one project and domain, each of which needs the one before it.

use std::future::Future;
use std::time::{Duration, Instant};

use super::smoke_workflow::SmokeWorkflow;
use super::{admin, log_link, objects, wait};
use crate::limits::EXECUTION_LISTED;
use crate::run::Deadline;
use crate::smoke::catalogue::{Check, EXECUTION};
use crate::smoke::check_failure::{CheckFailure, CheckResult};
use crate::smoke::check_report::{CheckReport, FailedCheck};
use crate::smoke::progress::CheckProgress;
use crate::smoke::target::CheckContext;

const PAUSE: Duration = Duration::from_millis(250);

/// The reports up to and including the first failed check.
pub(super) async fn run(
    workflow: &SmokeWorkflow,
    context: &CheckContext<'_>,
    progress: &CheckProgress<'_>,
    deadline: Deadline,
) -> (Vec<CheckReport>, Option<FailedCheck>) {
    let [registered, executed, logged] = EXECUTION;
    let mut pair = Pair { workflow, progress, reports: Vec::new() };
    let failed = async {
        pair.check(registered, async {
            admin::register(workflow, context, deadline).await?;
            Ok("read back with its compiled workflow".to_owned())
        })
        .await?;
        pair.check(executed, async {
            admin::launch(workflow, context, deadline).await?;
            made(workflow, context, deadline).await?;
            let report = |note: &str| progress.failed(&workflow.pair(), format!("{}: {note}", workflow.pair()));
            let pod = wait::until_succeeded(workflow, context, deadline, report).await?;
            Ok(format!("SUCCEEDED, pod {pod} in {}", workflow.at.name))
        })
        .await?;
        pair.check(logged, async {
            let link = admin::log_link(workflow, context, deadline).await?;
            let pod = log_link::read(workflow, context, &link, deadline).await?;
            Ok(format!("the log of {pod} in {}", workflow.at.name))
        })
        .await
    };
    let failed = failed.await.err();
    (pair.reports, failed)
}

async fn made(workflow: &SmokeWorkflow, context: &CheckContext<'_>, deadline: Deadline) -> Result<(), CheckFailure> {
    // Admin makes the FlyteWorkflow before it answers.
    let deadline = deadline.min(EXECUTION_LISTED);
    loop {
        match objects::is_in_its_namespace(workflow, context).await {
            Err(failure) if !failure.final_answer && !deadline.has_passed() => tokio::time::sleep(PAUSE).await,
            seen => return seen,
        }
    }
}

struct Pair<'a> {
    workflow: &'a SmokeWorkflow,
    progress: &'a CheckProgress<'a>,
    reports: Vec<CheckReport>,
}

impl Pair<'_> {
    async fn check(&mut self, check: Check, work: impl Future<Output = CheckResult>) -> Result<(), FailedCheck> {
        let started = Instant::now();
        let result = work.await;
        let report = CheckReport::of(check, Some(self.workflow.pair()), &result, started);
        self.progress.done(&self.workflow.pair(), &report);
        let id = report.id();
        self.reports.push(report);
        result.map(|_| ()).map_err(|failure| FailedCheck { id, check, failure })
    }
}
