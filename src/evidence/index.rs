//! The folder's first page. It reads from the first cause on: why, on which object, what to do; then what shows it, what
//! happened before, and what else is in the folder.

use std::fmt::Write;
use std::time::Duration;

use super::source::Missing;
use crate::failure::Failure;
use crate::report::{Event, Outcome, Severity, Stage};

/// Rows of what happened, the newest.
const ROWS: usize = 80;

/// A file that is in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) path: String,
    pub(super) what: String,
    pub(super) bytes: usize,
}

/// What the page is made of.
#[derive(Debug)]
pub(super) struct Index<'a> {
    /// The sandbox's name.
    pub(super) sandbox: &'a str,
    /// When it was made, RFC 3339.
    pub(super) when: &'a str,
    /// Why; where there is no failure, what the sandbox is doing.
    pub(super) why: Result<&'a str, &'a Failure>,
    /// Versions, a line each.
    pub(super) versions: &'a [(&'a str, String)],
    pub(super) history: &'a [(Duration, Event)],
    pub(super) files: &'a [Row],
    pub(super) missing: &'a [Missing],
}

impl Index<'_> {
    /// The page in Markdown.
    pub(super) fn page(&self) -> String {
        let mut page = String::new();
        match self.why {
            Ok(state) => {
                let _ = writeln!(page, "# {}\n\nSandbox {} at {}.", line(state), self.sandbox, self.when);
            }
            Err(failure) => self.failed(&mut page, failure),
        }
        let _ = writeln!(page, "\n## Versions\n");
        for (what, version) in self.versions {
            let _ = writeln!(page, "* {what}: {}", line(version));
        }
        self.happened(&mut page);
        let _ = writeln!(page, "\n## Files\n\n| file | bytes | what |\n|---|---:|---|");
        for Row { path, what, bytes } in self.files {
            let _ = writeln!(page, "| `{}` | {bytes} | {} |", cell(path), cell(what));
        }
        if !self.missing.is_empty() {
            let _ = writeln!(page, "\n## What could not be had\n");
            for Missing { what, why } in self.missing {
                let _ = writeln!(page, "* {}: {}", line(what), line(why));
            }
        }
        let _ = writeln!(page, "\nSecrets are masked as `{}`.", super::mask::MASK);
        page
    }

    fn failed(&self, page: &mut String, failure: &Failure) {
        let entry = failure.reason.entry();
        let first = failure.causes.last().unwrap_or(&failure.what);
        let _ = writeln!(page, "# {}\n", line(first));
        if let Some(object) = &failure.object {
            let _ = writeln!(page, "* on: {}", line(object));
        }
        let _ = writeln!(page, "* what failed: {}", line(&failure.what));
        for cause in failure.causes.iter().take(failure.causes.len().saturating_sub(1)) {
            let _ = writeln!(page, "* because: {}", line(cause));
        }
        let _ = writeln!(page, "* reason: `{}`, exit code {}: {}", entry.id, failure.exit_code(), entry.means);
        let _ = writeln!(page, "* sandbox {}, {}", self.sandbox, self.when);
        let _ = writeln!(page, "\n## What to do\n");
        for step in failure.next_steps() {
            let _ = writeln!(page, "* {}", line(step));
        }
        if !failure.evidence.is_empty() {
            let _ = writeln!(page, "\n## What shows it\n");
            for said in &failure.evidence {
                let _ = writeln!(page, "    {}", line(said));
            }
        }
    }

    fn happened(&self, page: &mut String) {
        let rows: Vec<_> = self.history.iter().enumerate().filter_map(|(at, _)| self.row(at)).collect();
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(page, "\n## What happened\n\n| at | what |\n|---:|---|");
        for (at, what) in &rows[rows.len().saturating_sub(ROWS)..] {
            let _ = writeln!(page, "| {:.1} s | {} |", at.as_secs_f64(), cell(what));
        }
    }

    /// What is worth a row: stages, what was in the way or wrong, and the last words of a stage that did not end.
    fn row(&self, index: usize) -> Option<(Duration, String)> {
        let (at, event) = &self.history[index];
        let later = || self.history[index + 1..].iter().map(|(_, event)| event);
        let ends = |of: Stage| later().any(|event| matches!(event, Event::StageFinished { stage, .. } if *stage == of));
        let what = match event {
            Event::RunStarted { command, version, .. } => format!("`sandbox {command}`, version {version}, began"),
            // The page itself comes of it.
            Event::StageStarted { stage: Stage::Evidence } => return None,
            Event::StageStarted { stage } => format!("{}: began", stage.title()),
            Event::StageFinished { stage, outcome, summary, millis } => {
                let word = match outcome {
                    Outcome::Passed => "passed",
                    Outcome::Failed => "failed",
                    Outcome::Unchanged => "nothing to do",
                    Outcome::Skipped => "skipped",
                    Outcome::Stopped => "stopped",
                };
                format!(
                    "{}: {word} after {:.1} s: {summary}",
                    stage.title(),
                    Duration::from_millis(*millis).as_secs_f64()
                )
            }
            Event::Warning { message } => format!("warning: {message}"),
            Event::Finding { check, severity, message, .. } if *severity != Severity::Fine => {
                format!("{check}: {message}")
            }
            Event::Probe { id, title, outcome: Outcome::Failed, detail, .. } => {
                format!("check {id}, {title}: {detail}")
            }
            Event::Progress { stage, note } => {
                let last =
                    !later().any(|event| matches!(event, Event::Progress { stage: other, .. } if other == stage));
                if !last || ends(*stage) {
                    return None;
                }
                format!("{}: last seen: {note}", stage.title())
            }
            Event::RolloutProgress { ready, total, waiting } => {
                if later().any(|event| matches!(event, Event::RolloutProgress { .. })) {
                    return None;
                }
                let waiting = waiting.iter().map(|waiting| format!("; {}: {}", waiting.object, waiting.reason));
                format!("{ready} of {total} workloads ready{}", waiting.collect::<String>())
            }
            _ => return None,
        };
        Some((*at, what))
    }
}

/// Others' text on one line.
fn line(text: &str) -> String {
    text.trim().replace(char::is_control, " ")
}

/// The same, in a table.
fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Reason;
    use crate::report::{Change, Waiting};

    fn history() -> Vec<(Duration, Event)> {
        let finished = |stage, outcome, summary: &str, millis| Event::StageFinished {
            stage,
            outcome,
            summary: summary.to_owned(),
            millis,
        };
        let events = [
            (
                0,
                Event::RunStarted {
                    schema_version: 1,
                    command: "up".into(),
                    sandbox: "s".into(),
                    version: "0.1.0".into(),
                },
            ),
            (1, Event::StageStarted { stage: Stage::Preflight }),
            (
                90,
                Event::Finding {
                    check: "memory".into(),
                    severity: Severity::Warning,
                    message: "3 GiB".into(),
                    hints: vec![],
                },
            ),
            (100, finished(Stage::Preflight, Outcome::Passed, "12 checks, 1 warning", 99)),
            (110, Event::StageStarted { stage: Stage::Cluster }),
            (120, Event::Progress { stage: Stage::Cluster, note: "creating the node".into() }),
            (130, Event::StageStarted { stage: Stage::Images }),
            (140, Event::Progress { stage: Stage::Images, note: "minio | 3 of 8".into() }),
            (9_000, finished(Stage::Cluster, Outcome::Passed, "node Ready", 8_890)),
            (9_100, Event::Applied { object: "service n/minio".into(), change: Change::Created }),
            (9_200, Event::RolloutProgress { ready: 1, total: 13, waiting: vec![] }),
            (
                9_300,
                Event::RolloutProgress {
                    ready: 12,
                    total: 13,
                    waiting: vec![Waiting {
                        object: "deployment/flyteadmin".into(),
                        reason: "CrashLoopBackOff,\n3 restarts".into(),
                    }],
                },
            ),
        ];
        events.map(|(at, event)| (Duration::from_millis(at), event)).into()
    }

    fn page(why: Result<&str, &Failure>, history: &[(Duration, Event)]) -> String {
        let files = [
            Row { path: "node.log".into(), what: "log of container k3d-s-server-0".into(), bytes: 1234 },
            Row { path: "pods/n/p.json".into(), what: "a pod".into(), bytes: 5 },
        ];
        let missing = [Missing {
            what: "all that Kubernetes knows".into(),
            why: "timed out after 3s, the limit of this wait".into(),
        }];
        let versions = [("sandbox", "0.1.0".to_owned()), ("engine", "k3d v5.9.0".to_owned())];
        let when = "2026-11-25T10:15:00Z";
        Index { sandbox: "s", when, why, versions: &versions, history, files: &files, missing: &missing }.page()
    }

    #[test]
    fn it_reads_from_the_first_cause_on() {
        let failure = Failure::new(Reason::WorkloadStuck, "a workload cannot start")
            .on("deployment n/flyteadmin")
            .because("container flyteadmin ends as soon as it is started")
            .because("cannot reach \u{1b}[31mthe database")
            .evidence(["dial tcp: lookup postgres: no such host", "exit code 1"])
            .hint("`sandbox logs flyteadmin`");
        insta::assert_snapshot!(page(Err(&failure), &history()));
    }

    #[test]
    fn without_a_failure_it_says_what_there_is() {
        insta::assert_snapshot!(page(Ok("the sandbox runs"), &[]));
    }

    #[test]
    fn a_failure_of_few_words_is_a_page_all_the_same() {
        let page = page(Err(&Failure::new(Reason::Internal, "it broke")), &[]);
        assert!(page.starts_with("# it broke\n"), "{page}");
    }
}
