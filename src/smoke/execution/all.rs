//! All wanted pairs side by side, and their removal.

use futures::future::join_all;
use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;

use super::trial::{Trial, fresh_name};
use super::{pair, traces};
use crate::failure::{Failure, Reason};
use crate::limits;
use crate::run::Run;
use crate::smoke::board::Board;
use crate::smoke::catalogue::EXECUTION;
use crate::smoke::miss::Miss;
use crate::smoke::target::Context;
use crate::smoke::verdict::{Missed, Verdict, failure};
use crate::spec::WorkflowNamespace;

/// Executions at a time: every one of them is a pod, and a node takes some hundred.
const AT_ONCE: usize = 12;

/// Runs a workflow in each of the namespaces, and removes what that made.
///
/// # Errors
/// [`Reason::WorkflowFailed`] with the first pair's miss as cause and everything seen as evidence; [`Reason::Interrupted`].
pub(in crate::smoke) async fn run(
    context: &Context<'_>,
    namespaces: Vec<WorkflowNamespace>,
    run: &Run,
) -> Result<Vec<Verdict>, Failure> {
    let name = fresh_name();
    let image = run.unless_cancelled(async { Ok::<_, Failure>(task_image(context).await) }).await?;
    let image = image.map_err(|miss| {
        let failure = Failure::new(Reason::WorkflowFailed, "there is no image for a workflow to run in");
        failure.because(miss.asked).because(miss.seen)
    })?;
    let trial = |at| Trial { at, name: name.clone(), image: image.clone() };
    let trials: Vec<Trial> = namespaces.into_iter().map(trial).collect();
    let done = run.unless_cancelled(side_by_side(&trials, context, run)).await;
    join_all(trials.iter().map(|trial| traces::remove(trial, &context.api))).await;
    done
}

async fn side_by_side(trials: &[Trial], context: &Context<'_>, run: &Run) -> Result<Vec<Verdict>, Failure> {
    let board = Board::new(run, "workflow checks", trials.len() * EXECUTION.len());
    let board = &board;
    let pairs = trials
        .iter()
        .map(|trial| async move { pair::run(trial, context, board, run.deadline.min(limits::EXECUTION)).await });
    let results: Vec<_> = stream::iter(pairs).buffered(AT_ONCE).collect().await;
    let (verdicts, missed): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let missed: Vec<Missed> = missed.into_iter().flatten().collect();
    let what = format!("{} of {} workflows did not run as they should", missed.len(), trials.len());
    failure(what, missed).map_or_else(|| Ok(verdicts.into_iter().flatten().collect()), Err)
}

/// The image of postgres as it runs: it has a shell, and the node has it.
async fn task_image(context: &Context<'_>) -> Result<String, Miss> {
    const LABEL: &str = "app.kubernetes.io/name=postgres";
    let system = context.spec.system_namespace();
    let asked = format!("list deployments of {system} with label {LABEL}");
    let deployments: Api<Deployment> = Api::namespaced(context.api.client(), &system);
    let found = context.api.ask(&asked, deployments.list(&ListParams::default().labels(LABEL))).await?;
    let template = found.items.into_iter().find_map(|deployment| deployment.spec?.template.spec);
    let image = template.and_then(|pod| pod.containers.into_iter().find_map(|container| container.image));
    image.ok_or_else(|| Miss::new(asked, "none whose image a task could run in"))
}
