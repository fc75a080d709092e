//! What an execution is doing, until it has ended.

use std::time::{Duration, Instant};

use super::admin;
use super::culprit::Culprit;
use super::traces::{self, Seen};
use super::trial::Trial;
use crate::flyte::admin::Execution;
use crate::flyte::names;
use crate::limits::PROPELLER_SILENCE;
use crate::rollout::Status;
use crate::run::Deadline;
use crate::smoke::miss::Miss;
use crate::smoke::propeller::{self, told};
use crate::smoke::propeller_log::State;
use crate::smoke::target::Context;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Waits until the execution has succeeded, and its pod with it. Returns the pod's name. `tell` is given what it does,
/// such as `RUNNING, container ContainerCreating`.
pub(super) async fn until_succeeded(
    trial: &Trial,
    context: &Context<'_>,
    deadline: Deadline,
    tell: impl Fn(&str),
) -> Result<String, Miss> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut picture = Picture::default();
    loop {
        picture.look(trial, context).await;
        let late = deadline.has_passed();
        let asked = || format!("execution {} of {}", trial.name, trial.pair());
        match picture.judge(started.elapsed(), late) {
            Judgement::Done(pod) => return Ok(pod),
            Judgement::Failed(culprit, seen) => return Err(culprit.blame(picture.evidence(Miss::new(asked(), seen)))),
            Judgement::Silent(seen) => match propeller::sign_of(context, &trial.at.name).await {
                Some(found) => {
                    let refused = found.state == State::Forbidden;
                    let culprit = if refused { Culprit::Permission } else { Culprit::Propeller };
                    return Err(culprit.blame(told(Miss::new(asked(), seen), found)));
                }
                None if late || picture.execution.phase().is_none() => {
                    let log = format!("`sandbox logs {}`", names::propeller(&trial.at));
                    let miss = Miss::new(asked(), seen).hint(format!("{log} shows what its propeller does"));
                    return Err(Culprit::Propeller.blame(miss));
                }
                None => tell(&picture.note()),
            },
            Judgement::Waiting => tell(&picture.note()),
        }
        tokio::time::sleep(pause.min(deadline.remaining())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What was last seen of an execution.
#[derive(Default)]
struct Picture {
    /// As admin tells it.
    execution: Execution,
    /// As Kubernetes tells it; nothing until there is one.
    pod: Option<Seen>,
    /// What the pod hangs on, and since when.
    hangs: Option<(String, Instant)>,
    /// Why the last look failed, if it did.
    trouble: Option<Miss>,
}

#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    /// With the pod's name.
    Done(String),
    Waiting,
    Failed(Culprit, String),
    /// Nothing comes from the propeller.
    Silent(String),
}

impl Picture {
    async fn look(&mut self, trial: &Trial, context: &Context<'_>) {
        // In this order: the pod of an execution that has succeeded is there.
        let looked = async {
            self.execution = admin::look(trial, context).await?;
            // Propeller deletes the pod of a task that failed; what was seen of it says why.
            if let Some(seen) = traces::pod(trial, &context.api).await? {
                self.pod = Some(seen);
            }
            Ok(())
        };
        self.trouble = looked.await.err();
        let reason = self.pod.as_ref().and_then(|seen| seen.status.cause()).map(|cause| cause.line.clone());
        match (&self.hangs, reason) {
            (Some((before, _)), Some(now)) if *before == now => {}
            (_, now) => self.hangs = now.map(|reason| (reason, Instant::now())),
        }
    }

    fn judge(&self, elapsed: Duration, late: bool) -> Judgement {
        if let Some(trouble) = self.trouble.as_ref().filter(|_| late) {
            return Judgement::Failed(Culprit::Admin, trouble.line());
        }
        let lasted = self.hangs.as_ref().map(|(_, since)| since.elapsed()).unwrap_or_default();
        let status = self.pod.as_ref().map(|seen| seen.status.clone().after(lasted));
        match (self.execution.phase(), status) {
            (Some(phase @ ("FAILED" | "ABORTED" | "TIMED_OUT")), _) => {
                let words = self.execution.error();
                Judgement::Failed(Culprit::of_words(&words, Culprit::Pod), format!("{phase}: {words}"))
            }
            (Some("SUCCEEDED"), Some(Status::Ready)) => {
                Judgement::Done(self.pod.as_ref().map(|seen| seen.pod.clone()).unwrap_or_default())
            }
            (Some("SUCCEEDED"), None) if self.trouble.is_none() => {
                Judgement::Failed(Culprit::Pod, "SUCCEEDED, and no pod of it is in its workflow namespace".to_owned())
            }
            (_, Some(Status::Stuck(_))) => Judgement::Failed(self.of_pod(), self.note()),
            (_, Some(Status::Waiting(_) | Status::Failing(..))) if late => {
                Judgement::Failed(self.of_pod(), format!("{} after {} s", self.note(), elapsed.as_secs()))
            }
            (phase, pod) if late || elapsed > PROPELLER_SILENCE && (phase.is_none() || pod.is_none()) => {
                Judgement::Silent(format!("{} after {} s", self.note(), elapsed.as_secs()))
            }
            _ => Judgement::Waiting,
        }
    }

    /// Such as `RUNNING, container e-n0-0: ContainerCreating`.
    fn note(&self) -> String {
        let phase = self.execution.phase().unwrap_or("no phase");
        match self.pod.as_ref().map(|seen| seen.status.cause()) {
            None => format!("{phase}, no pod"),
            Some(None) => format!("{phase}, its pod is done"),
            Some(Some(cause)) => format!("{phase}, its pod's {}", cause.line),
        }
    }

    fn of_pod(&self) -> Culprit {
        let cause = self.pod.as_ref().and_then(|seen| seen.status.cause());
        cause.map_or(Culprit::Pod, |cause| Culprit::of_words(&cause.line, Culprit::Pod))
    }

    fn evidence(&self, miss: Miss) -> Miss {
        let cause = self.pod.as_ref().and_then(|seen| seen.status.cause());
        miss.evidence(cause.map(|cause| cause.evidence.clone()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::{Culprit, Duration, Execution, Instant, Judgement, Miss, Picture, Seen, Status};
    use crate::rollout::Blocker;

    const EARLY: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(26);

    fn picture(phase: &str, pod: Option<Status>) -> Picture {
        let execution: Execution =
            serde_json::from_str(&format!(r#"{{"closure":{{"phase":"{phase}","error":{{"message":"no disk"}}}}}}"#))
                .expect("an execution");
        let pod = pod.map(|status| Seen { pod: "e-n0-0".to_owned(), status });
        Picture { execution, pod, hangs: None, trouble: None }
    }

    fn cause(line: &str) -> Blocker {
        Blocker::passing(line)
    }

    fn failed(culprit: Culprit, seen: &str) -> Judgement {
        Judgement::Failed(culprit, seen.to_owned())
    }

    #[test]
    fn what_is_seen_is_judged() {
        let no_image = || Status::Stuck(cause("container e: InvalidImageName"));
        let creating = || Status::Waiting(cause("container e: ContainerCreating"));
        let silent = |seen: &str| Judgement::Silent(seen.to_owned());
        let table = [
            (picture("SUCCEEDED", Some(Status::Ready)), EARLY, false, Judgement::Done("e-n0-0".to_owned())),
            (picture("SUCCEEDED", Some(creating())), EARLY, false, Judgement::Waiting),
            (
                picture("SUCCEEDED", None),
                EARLY,
                false,
                failed(Culprit::Pod, "SUCCEEDED, and no pod of it is in its workflow namespace"),
            ),
            (picture("FAILED", Some(Status::Ready)), EARLY, false, failed(Culprit::Pod, "FAILED: no disk")),
            (picture("UNDEFINED", None), EARLY, false, Judgement::Waiting),
            (picture("UNDEFINED", None), LONG, false, silent("no phase, no pod after 26 s")),
            (picture("RUNNING", None), LONG, false, silent("RUNNING, no pod after 26 s")),
            (picture("RUNNING", Some(creating())), LONG, false, Judgement::Waiting),
            (
                picture("RUNNING", Some(creating())),
                LONG,
                true,
                failed(Culprit::Pod, "RUNNING, its pod's container e: ContainerCreating after 26 s"),
            ),
            (
                picture("RUNNING", Some(no_image())),
                EARLY,
                false,
                failed(Culprit::Image, "RUNNING, its pod's container e: InvalidImageName"),
            ),
            (picture("RUNNING", Some(Status::Ready)), LONG, true, silent("RUNNING, its pod is done after 26 s")),
        ];
        for (picture, elapsed, late, expected) in table {
            assert_eq!(picture.judge(elapsed, late), expected, "{}", picture.note());
        }
    }

    #[test]
    fn a_pod_that_hangs_on_an_image_is_given_its_grace() {
        let failing = Status::Failing(cause("container e: ImagePullBackOff"), Duration::ZERO);
        let mut picture = picture("QUEUED", Some(failing));
        let hanging = "container e: ImagePullBackOff".to_owned();
        picture.hangs = Some((hanging, Instant::now()));
        let seen = "QUEUED, its pod's container e: ImagePullBackOff";
        assert_eq!(picture.judge(EARLY, false), failed(Culprit::Image, seen));
    }

    #[test]
    fn a_look_that_fails_at_the_deadline_is_admins() {
        let trouble = Some(Miss::new("GET /api", "HTTP 503"));
        let picture = Picture { trouble, ..picture("RUNNING", None) };
        assert_eq!(picture.judge(EARLY, false), Judgement::Waiting);
        assert_eq!(picture.judge(EARLY, true), failed(Culprit::Admin, "GET /api: HTTP 503"));
    }
}
