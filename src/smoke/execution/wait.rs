//! The wait for an execution to succeed, with its state on the way.

use std::time::{Duration, Instant};

use super::admin;
use super::failed_part::FailedPart;
use super::objects::{self, ExecutionPod};
use super::smoke_workflow::SmokeWorkflow;
use crate::flyte::admin::Execution;
use crate::flyte::names;
use crate::limits::PROPELLER_SILENCE;
use crate::rollout::Status;
use crate::run::Deadline;
use crate::smoke::check_failure::CheckFailure;
use crate::smoke::propeller::{self, with_log_finding};
use crate::smoke::propeller_log::PropellerFault;
use crate::smoke::target::CheckContext;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Waits until the execution has succeeded, and its pod with it. Returns the pod's name. `report` is called with notes
/// such as `RUNNING, container ContainerCreating`.
pub(super) async fn until_succeeded(
    workflow: &SmokeWorkflow,
    context: &CheckContext<'_>,
    deadline: Deadline,
    report: impl Fn(&str),
) -> Result<String, CheckFailure> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut state = ExecutionState::default();
    loop {
        state.look(workflow, context).await;
        let late = deadline.has_passed();
        let asked = || format!("execution {} of {}", workflow.name, workflow.pair());
        match state.status(started.elapsed(), late) {
            ExecutionStatus::Succeeded(pod) => return Ok(pod),
            ExecutionStatus::Failed(part, seen) => {
                return Err(part.attribute(state.evidence(CheckFailure::new(asked(), seen))));
            }
            ExecutionStatus::Stalled(seen) => {
                match propeller::namespace_log_finding(context, &workflow.at.name).await {
                    Some(found) => {
                        let refused = found.fault == PropellerFault::Forbidden;
                        let part = if refused { FailedPart::Permission } else { FailedPart::Propeller };
                        return Err(part.attribute(with_log_finding(CheckFailure::new(asked(), seen), found)));
                    }
                    None if late || state.execution.phase().is_none() => {
                        let log = format!("`sandbox logs {}`", names::propeller(&workflow.at));
                        let failure =
                            CheckFailure::new(asked(), seen).hint(format!("{log} shows what its propeller does"));
                        return Err(FailedPart::Propeller.attribute(failure));
                    }
                    None => report(&state.note()),
                }
            }
            ExecutionStatus::Running => report(&state.note()),
        }
        tokio::time::sleep(pause.min(deadline.remaining())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The last known state of an execution.
#[derive(Default)]
struct ExecutionState {
    /// The execution as admin reports it.
    execution: Execution,
    /// The pod as Kubernetes reports it, once there is one.
    pod: Option<ExecutionPod>,
    /// The line that explains what the pod waits for, and since when.
    blocked: Option<(String, Instant)>,
    /// The error of the last look, if it failed.
    last_error: Option<CheckFailure>,
}

#[derive(Debug, PartialEq, Eq)]
enum ExecutionStatus {
    /// With the pod's name.
    Succeeded(String),
    Running,
    Failed(FailedPart, String),
    /// The propeller has not reported anything.
    Stalled(String),
}

impl ExecutionState {
    async fn look(&mut self, workflow: &SmokeWorkflow, context: &CheckContext<'_>) {
        // In this order: the pod of an execution that has succeeded is there.
        let looked = async {
            self.execution = admin::look(workflow, context).await?;
            // Propeller deletes the pod of a task that failed; what was seen of it says why.
            if let Some(seen) = objects::pod(workflow, &context.api).await? {
                self.pod = Some(seen);
            }
            Ok(())
        };
        self.last_error = looked.await.err();
        let reason = self.pod.as_ref().and_then(|seen| seen.status.cause()).map(|cause| cause.line.clone());
        match (&self.blocked, reason) {
            (Some((before, _)), Some(now)) if *before == now => {}
            (_, now) => self.blocked = now.map(|reason| (reason, Instant::now())),
        }
    }

    fn status(&self, elapsed: Duration, late: bool) -> ExecutionStatus {
        if let Some(last_error) = self.last_error.as_ref().filter(|_| late) {
            return ExecutionStatus::Failed(FailedPart::Admin, last_error.line());
        }
        let lasted = self.blocked.as_ref().map(|(_, since)| since.elapsed()).unwrap_or_default();
        let status = self.pod.as_ref().map(|seen| seen.status.clone().after(lasted));
        match (self.execution.phase(), status) {
            (Some(phase @ ("FAILED" | "ABORTED" | "TIMED_OUT")), _) => {
                let words = self.execution.error();
                ExecutionStatus::Failed(FailedPart::from_message(&words, FailedPart::Pod), format!("{phase}: {words}"))
            }
            (Some("SUCCEEDED"), Some(Status::Ready)) => {
                ExecutionStatus::Succeeded(self.pod.as_ref().map(|seen| seen.pod.clone()).unwrap_or_default())
            }
            (Some("SUCCEEDED"), None) if self.last_error.is_none() => ExecutionStatus::Failed(
                FailedPart::Pod,
                "SUCCEEDED, and no pod of it is in its workflow namespace".to_owned(),
            ),
            (_, Some(Status::Stuck(_))) => ExecutionStatus::Failed(self.of_pod(), self.note()),
            (_, Some(Status::Waiting(_) | Status::Failing(..))) if late => {
                ExecutionStatus::Failed(self.of_pod(), format!("{} after {} s", self.note(), elapsed.as_secs()))
            }
            (phase, pod) if late || elapsed > PROPELLER_SILENCE && (phase.is_none() || pod.is_none()) => {
                ExecutionStatus::Stalled(format!("{} after {} s", self.note(), elapsed.as_secs()))
            }
            _ => ExecutionStatus::Running,
        }
    }

    /// A note such as `RUNNING, its pod's container e-n0-0: ContainerCreating`.
    fn note(&self) -> String {
        let phase = self.execution.phase().unwrap_or("no phase");
        match self.pod.as_ref().map(|seen| seen.status.cause()) {
            None => format!("{phase}, no pod"),
            Some(None) => format!("{phase}, its pod is done"),
            Some(Some(cause)) if cause.line.starts_with("container ") || cause.line.starts_with("init container ") => {
                format!("{phase}, its pod's {}", cause.line)
            }
            Some(Some(cause)) => format!("{phase}, {}", cause.line),
        }
    }

    fn of_pod(&self) -> FailedPart {
        let cause = self.pod.as_ref().and_then(|seen| seen.status.cause());
        cause.map_or(FailedPart::Pod, |cause| FailedPart::from_message(&cause.line, FailedPart::Pod))
    }

    fn evidence(&self, failure: CheckFailure) -> CheckFailure {
        let cause = self.pod.as_ref().and_then(|seen| seen.status.cause());
        failure.evidence(cause.map(|cause| cause.evidence.clone()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        CheckFailure, Duration, Execution, ExecutionPod, ExecutionState, ExecutionStatus, FailedPart, Instant, Status,
    };
    use crate::rollout::Blocker;

    const EARLY: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(26);

    fn state(phase: &str, pod: Option<Status>) -> ExecutionState {
        let execution: Execution =
            serde_json::from_str(&format!(r#"{{"closure":{{"phase":"{phase}","error":{{"message":"no disk"}}}}}}"#))
                .expect("an execution");
        let pod = pod.map(|status| ExecutionPod { pod: "e-n0-0".to_owned(), status });
        ExecutionState { execution, pod, blocked: None, last_error: None }
    }

    fn cause(line: &str) -> Blocker {
        Blocker::passing(line)
    }

    fn failed(part: FailedPart, seen: &str) -> ExecutionStatus {
        ExecutionStatus::Failed(part, seen.to_owned())
    }

    #[test]
    fn what_is_seen_is_judged() {
        let no_image = || Status::Stuck(cause("container e: InvalidImageName"));
        let creating = || Status::Waiting(cause("container e: ContainerCreating"));
        let silent = |seen: &str| ExecutionStatus::Stalled(seen.to_owned());
        let table = [
            (state("SUCCEEDED", Some(Status::Ready)), EARLY, false, ExecutionStatus::Succeeded("e-n0-0".to_owned())),
            (state("SUCCEEDED", Some(creating())), EARLY, false, ExecutionStatus::Running),
            (
                state("SUCCEEDED", None),
                EARLY,
                false,
                failed(FailedPart::Pod, "SUCCEEDED, and no pod of it is in its workflow namespace"),
            ),
            (state("FAILED", Some(Status::Ready)), EARLY, false, failed(FailedPart::Pod, "FAILED: no disk")),
            (state("UNDEFINED", None), EARLY, false, ExecutionStatus::Running),
            (state("UNDEFINED", None), LONG, false, silent("no phase, no pod after 26 s")),
            (state("RUNNING", None), LONG, false, silent("RUNNING, no pod after 26 s")),
            (state("RUNNING", Some(creating())), LONG, false, ExecutionStatus::Running),
            (
                state("RUNNING", Some(creating())),
                LONG,
                true,
                failed(FailedPart::Pod, "RUNNING, its pod's container e: ContainerCreating after 26 s"),
            ),
            (
                state("RUNNING", Some(no_image())),
                EARLY,
                false,
                failed(FailedPart::Image, "RUNNING, its pod's container e: InvalidImageName"),
            ),
            (state("RUNNING", Some(Status::Ready)), LONG, true, silent("RUNNING, its pod is done after 26 s")),
            (
                state("RUNNING", Some(Status::Waiting(cause("its pod starts")))),
                LONG,
                true,
                failed(FailedPart::Pod, "RUNNING, its pod starts after 26 s"),
            ),
            (
                state("RUNNING", Some(Status::Waiting(cause("init container i: PodInitializing")))),
                LONG,
                true,
                failed(FailedPart::Pod, "RUNNING, its pod's init container i: PodInitializing after 26 s"),
            ),
        ];
        for (state, elapsed, late, expected) in table {
            assert_eq!(state.status(elapsed, late), expected, "{}", state.note());
        }
    }

    #[test]
    fn a_pod_that_hangs_on_an_image_is_given_its_grace() {
        let failing = Status::Failing(cause("container e: ImagePullBackOff"), Duration::ZERO);
        let mut state = state("QUEUED", Some(failing));
        let hanging = "container e: ImagePullBackOff".to_owned();
        state.blocked = Some((hanging, Instant::now()));
        let seen = "QUEUED, its pod's container e: ImagePullBackOff";
        assert_eq!(state.status(EARLY, false), failed(FailedPart::Image, seen));
    }

    #[test]
    fn a_look_that_fails_at_the_deadline_is_admins() {
        let last_error = Some(CheckFailure::new("GET /api", "HTTP 503"));
        let state = ExecutionState { last_error, ..state("RUNNING", None) };
        assert_eq!(state.status(EARLY, false), ExecutionStatus::Running);
        assert_eq!(state.status(EARLY, true), failed(FailedPart::Admin, "GET /api: HTTP 503"));
    }
}
