//! The value of `--rehearse`: `pod=flyteadmin,reason=CrashLoopBackOff`.

use super::faults::{Faults, PodFault, Workflow};

/// The reasons for which a pod can fail.
const REASONS: &[&str] = &[
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "OOMKilled",
    "Unhealthy",
    "Unschedulable",
];
/// The faults of workflows.
const WORKFLOWS: &[&str] = &["failed", "ignored", "waiting"];

impl Faults {
    /// Parses and adds a fault: `pod=NAME,reason=REASON` or `workflow=failed|ignored|waiting`, the last of them with a
    /// `reason=REASON` of its pod where it is not an image, and each with `message=WORDS` at the end, which may have commas in them.
    ///
    /// # Errors
    /// The error, as a sentence.
    pub fn parse_fault(&mut self, text: &str) -> Result<(), String> {
        let (head, message) = match text.split_once("message=") {
            Some((head, message)) => (head.trim_end_matches(','), Some(message)),
            None => (text, None),
        };
        let (mut pod, mut reason, mut workflow) = (None, None, None);
        for part in head.split(',') {
            match part.split_once('=') {
                Some(("pod", name)) if !name.is_empty() => pod = Some(name),
                Some(("reason", word)) => reason = Some(word),
                Some(("workflow", word)) => workflow = Some(word),
                _ => {
                    return Err(format!(
                        "`{part}` is neither pod=NAME, reason=REASON, workflow=WHAT nor message=WORDS"
                    ));
                }
            }
        }
        match (pod, reason, workflow) {
            (Some(pod), Some(reason), None) => {
                let fault = pod_fault(reason, message).ok_or_else(|| unknown("reason", reason, REASONS))?;
                self.pods.insert(pod.to_owned(), fault);
            }
            (None, reason, Some(word)) if reason.is_none_or(|it| word == "waiting" && REASONS.contains(&it)) => {
                let known =
                    workflow_fault(word, reason, message).ok_or_else(|| unknown("workflow", word, WORKFLOWS))?;
                self.workflows = Some(known);
            }
            _ => return Err("it needs pod=NAME and reason=REASON, or workflow=WHAT".to_owned()),
        }
        Ok(())
    }
}

fn unknown(key: &str, word: &str, known: &[&str]) -> String {
    format!("{key} `{word}` is not known; one of {}", known.join(", "))
}

fn pod_fault(reason: &str, message: Option<&str>) -> Option<PodFault> {
    let text = |default: &str| message.unwrap_or(default).to_owned();
    Some(match reason {
        "CrashLoopBackOff" => {
            PodFault { log: format!("{}\n", text("rehearsed: it exits as requested")), ..PodFault::crashed(1, "Error") }
        }
        "OOMKilled" => PodFault {
            log: message.map(|log| format!("{log}\n")).unwrap_or_default(),
            ..PodFault::crashed(137, reason)
        },
        "Unhealthy" => PodFault::unready(&text("Readiness probe failed: HTTP probe failed with statuscode: 503")),
        "Unschedulable" => PodFault::unschedulable(&text("0/1 nodes are available: 1 Insufficient memory.")),
        known if REASONS.contains(&known) => PodFault::waiting(known, &text("rehearsed: as requested")),
        _ => return None,
    })
}

fn workflow_fault(word: &str, reason: Option<&str>, message: Option<&str>) -> Option<Workflow> {
    let text = || message.unwrap_or("rehearsed: as requested").to_owned();
    Some(match word {
        "failed" => Workflow::Fails("UserError".to_owned(), text()),
        "ignored" => Workflow::Ignored,
        "waiting" => Workflow::Waits(reason.unwrap_or("ImagePullBackOff").to_owned(), text()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Faults, REASONS, WORKFLOWS, Workflow};

    #[test]
    fn every_reason_and_workflow_can_be_asked_for() {
        for reason in REASONS {
            let mut faults = Faults::default();
            faults.parse_fault(&format!("pod=flyteadmin,reason={reason}")).expect("known");
            assert_eq!(faults.pods.len(), 1, "{reason}");
        }
        for word in WORKFLOWS {
            let mut faults = Faults::default();
            faults.parse_fault(&format!("workflow={word}")).expect("known");
            assert!(faults.workflows.is_some(), "{word}");
        }
    }

    #[test]
    fn the_message_may_have_commas() {
        let mut faults = Faults::default();
        faults.parse_fault("workflow=failed,message=one, two=2").expect("known");
        assert_eq!(faults.workflows, Some(Workflow::Fails("UserError".into(), "one, two=2".into())));
    }

    #[test]
    fn what_is_not_understood_is_text() {
        for (text, why) in [
            ("flyteadmin", "`flyteadmin` is neither"),
            ("pod=,reason=OOMKilled", "`pod=` is neither"),
            ("pod=flyteadmin", "it needs pod=NAME and reason=REASON"),
            ("pod=flyteadmin,workflow=failed", "it needs pod=NAME"),
            ("pod=flyteadmin,reason=Sad", "reason `Sad` is not known; one of CrashLoopBackOff,"),
            ("workflow=late", "workflow `late` is not known; one of failed, ignored, waiting"),
            ("", "`` is neither"),
        ] {
            let error = Faults::default().parse_fault(text).expect_err(text);
            assert!(error.starts_with(why), "{error}");
        }
    }
}
