//! The view for a CI server: stages and probes as JUnit test cases.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::failure::{Failure, innermost};

use super::event::{Event, Outcome};
use super::view::View;
use crate::stage::Stage;

/// A JUnit report, written when the stream ends.
pub struct Junit {
    path: PathBuf,
    file: File,
    suite: String,
    cases: Vec<Case>,
    /// Stages that have not ended, with when they began.
    active: Vec<(Stage, Duration)>,
    took: Duration,
    failure: Option<Failure>,
}

struct Case {
    class: &'static str,
    name: String,
    took: Duration,
    outcome: Outcome,
    text: String,
}

impl Junit {
    /// A report that will be written to `path`. Its folder and file are made at once, so that a place that cannot be
    /// written is known before the run; a file that is there keeps its text until the report is whole.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::options().write(true).create(true).truncate(false).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            suite: "sandbox".to_owned(),
            cases: Vec::new(),
            active: Vec::new(),
            took: Duration::ZERO,
            failure: None,
        })
    }

    fn report(&self) -> Report {
        let mut suite = TestSuite::new(self.suite.as_str());
        suite.set_time(self.took);
        // The failure belongs to the first stage that failed; those after it may only have been stopped by it.
        let mut failure = self.failure.as_ref();
        for case in &self.cases {
            let blamed = case.class == "stage" && case.outcome == Outcome::Failed;
            suite.add_test_case(test_case(case, if blamed { failure.take() } else { None }));
        }
        if let Some(failure) = failure {
            let text = failure.what.clone();
            let (name, took) = ("run".to_owned(), self.took);
            let case = Case { class: "stage", name, took, outcome: Outcome::Failed, text };
            suite.add_test_case(test_case(&case, Some(failure)));
        }
        let mut report = Report::new("sandbox");
        report.set_time(self.took).add_test_suite(suite);
        report
    }
}

fn test_case(case: &Case, failure: Option<&Failure>) -> TestCase {
    let mut status = match case.outcome {
        Outcome::Passed | Outcome::Unchanged => TestCaseStatus::success(),
        Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::Skipped | Outcome::Stopped => TestCaseStatus::skipped(),
    };
    if case.outcome == Outcome::Failed {
        status.set_message(failure.map_or_else(|| case.text.clone(), ToString::to_string));
        if let Some(failure) = failure {
            let hints = failure.next_steps().into_iter().map(|step| format!("hint: {step}"));
            let lines: Vec<String> = failure.evidence.iter().cloned().chain(hints).collect();
            status.set_type(failure.reason.entry().id).set_description(lines.join("\n"));
        }
    }
    let mut test = TestCase::new(case.name.as_str(), status);
    test.set_classname(case.class).set_time(case.took);
    if case.outcome != Outcome::Failed {
        test.set_system_out(case.text.as_str());
    }
    test
}

impl View for Junit {
    fn on(&mut self, at: Duration, event: &Event) -> io::Result<()> {
        self.took = at;
        match event {
            Event::RunStarted { command, sandbox, .. } => self.suite = format!("sandbox {command} {sandbox}"),
            Event::StageStarted { stage } => self.active.push((*stage, at)),
            Event::StageFinished { stage, outcome, summary, millis } => {
                self.active.retain(|(active, _)| active != stage);
                self.cases.push(Case {
                    class: "stage",
                    name: stage.title().to_owned(),
                    took: Duration::from_millis(*millis),
                    outcome: *outcome,
                    text: summary.clone(),
                });
            }
            Event::Probe { id, title, outcome, detail, millis } => self.cases.push(Case {
                class: "smoke",
                name: format!("{id} {title}"),
                took: Duration::from_millis(*millis),
                outcome: *outcome,
                text: detail.clone(),
            }),
            Event::RunFinished { failure, millis, .. } => {
                self.failure.clone_from(failure);
                self.took = Duration::from_millis(*millis);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        for (stage, since) in std::mem::take(&mut self.active) {
            self.cases.push(Case {
                class: "stage",
                name: stage.title().to_owned(),
                took: self.took.saturating_sub(since),
                outcome: Outcome::Failed,
                text: "stopped before its end".to_owned(),
            });
        }
        let named = |why: String| io::Error::other(format!("{}: {why}", self.path.display()));
        // A pipe, which may be written too, has no length.
        if self.file.metadata().is_ok_and(|file| file.is_file()) {
            self.file.set_len(0).map_err(|error| named(innermost(&error)))?;
        }
        self.report().serialize(&self.file).map_err(|error| named(innermost(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{failure, show, success};
    use super::{Event, Junit};

    fn written(events: &[(u64, Event)]) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/junit.xml");
        show(&mut Junit::create(&path).expect("a file"), events);
        std::fs::read_to_string(path).expect("a report")
    }

    #[test]
    fn stages_and_probes_are_cases() {
        insta::assert_snapshot!("success", written(&success()));
        insta::assert_snapshot!("failure", written(&failure()));
    }

    #[test]
    fn a_stream_that_breaks_off_is_a_failed_case() {
        let events = success();
        let report = written(&events[..3]);
        assert!(report.contains("failures=\"1\"") && report.contains("stopped before its end"), "{report}");
    }
}
