//! Workflows in several projects and domains side by side, and their removal. Where flyteadmin has just started, the first
//! runs alone.

use futures::future::join_all;
use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;

use super::smoke_workflow::{SmokeWorkflow, fresh_name};
use super::{first_calls, objects, pair};
use crate::failure::{Failure, Reason};
use crate::limits;
use crate::run::Run;
use crate::smoke::catalogue::EXECUTION;
use crate::smoke::check_failure::CheckFailure;
use crate::smoke::check_report::{CheckReport, FailedCheck, combined_failure};
use crate::smoke::progress::CheckProgress;
use crate::smoke::target::CheckContext;
use crate::spec::WorkflowNamespace;

/// Executions at a time. Each is a pod, and a node takes about a hundred.
const AT_ONCE: usize = 12;

/// Runs a workflow in each of the namespaces, and deletes its objects.
///
/// # Errors
/// [`Reason::WorkflowFailed`] with the first pair's failed check as cause, and all of them as evidence; [`Reason::Interrupted`].
pub(in crate::smoke) async fn run(
    context: &CheckContext<'_>,
    namespaces: Vec<WorkflowNamespace>,
    run: &Run,
) -> Result<Vec<CheckReport>, Failure> {
    let name = fresh_name();
    let image = run.unless_cancelled(async { Ok::<_, Failure>(task_image(context).await) }).await?;
    let image = image.map_err(|failure| {
        let unavailable = Failure::new(Reason::WorkflowFailed, "no image for the task of the smoke workflow");
        unavailable.because(failure.asked).because(failure.seen)
    })?;
    let workflow = |at| SmokeWorkflow { at, name: name.clone(), image: image.clone() };
    let workflows: Vec<SmokeWorkflow> = namespaces.into_iter().map(workflow).collect();
    let done = run.unless_cancelled(side_by_side(&workflows, context, run)).await;
    join_all(workflows.iter().map(|workflow| objects::remove(workflow, &context.api))).await;
    done
}

async fn side_by_side(
    workflows: &[SmokeWorkflow],
    context: &CheckContext<'_>,
    run: &Run,
) -> Result<Vec<CheckReport>, Failure> {
    let progress = CheckProgress::new(run, "workflow checks", workflows.len() * EXECUTION.len());
    let progress = &progress;
    let execute = |workflow| async move {
        Box::pin(pair::run(workflow, context, progress, run.deadline.min(limits::EXECUTION))).await
    };
    let mut results = Vec::new();
    let mut others = workflows;
    if let Some((first, rest)) = workflows.split_first()
        && !Box::pin(first_calls::are_made(context)).await
    {
        let (reports, failed) = execute(first).await;
        if failed.is_none() {
            Box::pin(first_calls::repeat_events(first, context)).await;
        }
        results.push((reports, failed));
        others = rest;
    }
    results.extend(stream::iter(others.iter().map(execute)).buffered(AT_ONCE).collect::<Vec<_>>().await);
    let (reports, failed): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let failed: Vec<FailedCheck> = failed.into_iter().flatten().collect();
    let what = format!("{} of {} workflows failed", failed.len(), workflows.len());
    combined_failure(what, failed).map_or_else(|| Ok(reports.into_iter().flatten().collect()), Err)
}

/// The image of the running postgres: it has a shell, and the node has it.
async fn task_image(context: &CheckContext<'_>) -> Result<String, CheckFailure> {
    const LABEL: &str = "app.kubernetes.io/name=postgres";
    let system = context.spec.system_namespace();
    let asked = format!("list deployments of {system} with label {LABEL}");
    let deployments: Api<Deployment> = Api::namespaced(context.api.client(), &system);
    let found = context.api.ask(&asked, deployments.list(&ListParams::default().labels(LABEL))).await?;
    let template = found.items.into_iter().find_map(|deployment| deployment.spec?.template.spec);
    let image = template.and_then(|pod| pod.containers.into_iter().find_map(|container| container.image));
    image.ok_or_else(|| CheckFailure::new(asked, "none has an image"))
}
