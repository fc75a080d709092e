//! An execution that a user starts, and its way to the end.

use std::time::Duration;

use kube::Client;
use serde_json::Value;

use super::admin::{repeated, send};
use crate::failure::{Failure, Reason};
use crate::flyte::admin::Execution;
use crate::flyte::launch::{Launch, NodeList, Progress};
use crate::flyte::names::{ADMIN, PROPELLER};
use crate::flytekit::inputs;
use crate::kubernetes::{ApiError, PodSelection, ask};
use crate::limits::API_ANSWER;
use crate::rollout::ExecutionPods;
use crate::run::Run;
use crate::spec::Spec;

const POLL: Duration = Duration::from_millis(300);
/// Lines of an execution's error that a failure shows, the last.
const SHOWN: usize = 12;

/// Starts an execution, with inputs as `key=value`.
///
/// # Errors
/// [`Reason::Usage`]: the inputs do not fit the launch plan; [`Reason::WorkflowFailed`] with admin's words.
pub async fn launch(
    client: &Client,
    spec: &Spec,
    launch: &Launch,
    given: &[(String, String)],
    run: &Run,
) -> Result<(), Failure> {
    let refused = |what, error: ApiError| refused(what, launch, error);
    let plan = repeated::<Value>(client, spec, &launch.read_plan(), run).await;
    let plan = plan.map_err(|error| refused("admin does not have the launch plan", error))?;
    let inputs = inputs::literals(&plan, given).map_err(|words| {
        let what = "the inputs do not fit the workflow";
        Failure::new(Reason::Usage, what).on(format!("workflow {}", launch.plan)).because(words)
    })?;
    let started = ask(API_ANSWER, send::<Value>(client, spec, launch.create(&inputs))).await;
    started.map(|_| ()).map_err(|error| refused("admin does not start the execution", error))
}

/// Watches an execution to its end, and tells each new phase of it and its nodes, and what holds back its pods. Returns its
/// outputs, a line each.
///
/// # Errors
/// [`Reason::WorkflowFailed`]: it did not succeed, or admin does not answer.
pub async fn watch(
    client: &Client,
    spec: &Spec,
    launch: &Launch,
    (selection, held): (&PodSelection, &mut HeldBack),
    run: &Run,
    mut tell: impl AsyncFnMut(String, String),
) -> Result<Vec<String>, Failure> {
    let unread = |error: ApiError| refused("admin does not tell of the execution", launch, error);
    let mut progress = Progress::default();
    loop {
        // One after another: admin v0.6.13 does not survive two first calls of a kind.
        let execution = repeated::<Execution>(client, spec, &launch.read(), run).await.map_err(unread)?;
        let nodes = repeated::<NodeList>(client, spec, &launch.read_nodes(), run).await.map_err(unread)?;
        for (name, phase) in progress.news(&launch.execution, &execution, &nodes) {
            tell(name, phase).await;
        }
        // Where Kubernetes does not answer, admin still tells.
        for (pod, line) in held.0.look(client, selection).await.unwrap_or_default() {
            tell(pod, line).await;
        }
        match execution.outcome() {
            Some(true) => {
                let data = repeated::<Value>(client, spec, &launch.read_data(), run).await.map_err(unread)?;
                return Ok(inputs::outputs(&data));
            }
            Some(false) => return Err(held.explain(failed(launch, &execution), launch)),
            None => tokio::time::sleep(POLL).await,
        }
    }
}

/// What holds back the pods of an execution, or has ended them.
#[derive(Debug, Default)]
pub struct HeldBack(ExecutionPods);

impl HeldBack {
    /// What a pod waits for, as a sentence.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        self.0.cause().map(|(pod, cause)| format!("pod {pod}: {}", cause.line))
    }

    /// A failure of the execution, with what its pods tell of the cause, and the way out.
    #[must_use]
    pub fn explain(&self, failure: Failure, launch: &Launch) -> Failure {
        let Launch { project, domain, execution, .. } = launch;
        let Some((_, cause)) = self.0.cause() else {
            return failure.hint(if self.0.any() {
                logs_of(execution)
            } else {
                format!("it had no pod: `sandbox logs {PROPELLER}-{project}-{domain}` shows what its propeller does")
            });
        };
        let failure = self.line().into_iter().fold(failure, Failure::because);
        let hint = match cause.reason {
            // Its own words are in the log; the limit of memory that was hit, and what sets it, are told of all pods.
            Reason::PodMemory | Reason::PodCrash | Reason::PodInit => return failure.hint(logs_of(execution)),
            Reason::RolloutTimeout => None,
            Reason::PodImage | Reason::PodImageName => Some(
                "`sandbox images import IMAGE` brings an image of this machine into the node; `--image` or the task's \
                 `container_image` names another"
                    .to_owned(),
            ),
            Reason::PodUnschedulable => Some(
                "the node has no room for what the task requests: let it request less, end what else runs, or give Docker \
                 more memory and processors"
                    .to_owned(),
            ),
            reason => Some(reason.entry().remedy.to_owned()),
        };
        let mut failure = failure.evidence(cause.evidence.iter().map(|line| format!("event: {line}")));
        failure.hints.splice(..0, hint);
        failure
    }
}

fn logs_of(execution: &str) -> String {
    format!("`sandbox logs --execution {execution}` shows what its tasks wrote")
}

fn failed(launch: &Launch, execution: &Execution) -> Failure {
    let lines: Vec<_> = execution.error_lines().filter(|line| !line.trim().is_empty()).collect();
    let phase = execution.phase().unwrap_or_default();
    let cause = first_cause(&lines).map_or_else(|| execution.error(), str::to_owned);
    failure("the workflow did not succeed", launch)
        .because(format!("{phase}: {cause}"))
        .evidence(lines[lines.len().saturating_sub(SHOWN)..].iter().copied())
}

/// Of an error of several lines the one that says why: flytekit has it behind `Message:`, Python at the end.
fn first_cause<'a>(lines: &[&'a str]) -> Option<&'a str> {
    let [_, _, ..] = lines else { return None };
    let message = lines.iter().skip_while(|line| line.trim() != "Message:").nth(1);
    let last = || lines.iter().rev().find(|line| line.chars().any(char::is_alphanumeric));
    message.or_else(last).map(|line| line.trim())
}

fn failure(what: &str, launch: &Launch) -> Failure {
    let Launch { project, domain, execution, .. } = launch;
    Failure::new(Reason::WorkflowFailed, what).on(format!("execution {execution} in {project}/{domain}"))
}

fn refused(what: &str, launch: &Launch, error: ApiError) -> Failure {
    failure(what, launch).because(error).hint(format!("`sandbox logs {ADMIN}` shows what admin does"))
}

#[cfg(test)]
mod tests {
    use super::first_cause;

    #[test]
    fn the_line_that_says_why_is_found_in_flytekits_words_and_in_pythons() {
        let table = [
            ("exit code 1", None),
            (
                "Traceback (most recent call last):\n  x\nMessage:\n    division by zero\nUser error.",
                Some("division by zero"),
            ),
            (
                "[1/1] currentAttempt done. Last Error: x\n\u{2502} y \u{2502}\nModuleNotFoundError: wf\n.",
                Some("ModuleNotFoundError: wf"),
            ),
        ];
        for (text, cause) in table {
            assert_eq!(first_cause(&text.lines().collect::<Vec<_>>()), cause, "{text}");
        }
    }
}
