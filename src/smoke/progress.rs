//! The progress line of the checks: how many have passed, and what the next one waits for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::report::{Event, Outcome, Stage};
use crate::run::Run;

use super::check_report::CheckReport;

/// The progress of a set of checks.
pub(super) struct CheckProgress<'a> {
    run: &'a Run,
    things: &'static str,
    total: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    passed: usize,
    missing: BTreeMap<String, String>,
    last_note: String,
}

impl<'a> CheckProgress<'a> {
    /// The progress of `total` checks, which the line calls `things`.
    pub(super) fn new(run: &'a Run, things: &'static str, total: usize) -> Self {
        Self { run, things, total, state: Mutex::default() }
    }

    /// A failed attempt of the check `key`, which is tried again.
    pub(super) fn failed(&self, key: &str, note: String) {
        let own = note.strip_prefix(&format!("{key}: ")).unwrap_or(&note).to_owned();
        let event = Event::CheckWaiting { check: key.to_owned(), note: own };
        self.update(|state| {
            if state.missing.get(key) != Some(&note) {
                self.run.report.emit(event);
            }
            state.missing.insert(key.to_owned(), note);
        });
    }

    /// The end of the check `key`.
    pub(super) fn done(&self, key: &str, report: &CheckReport) {
        let CheckReport { check, outcome, detail, millis, .. } = report.clone();
        self.run.report.emit(Event::Probe { id: report.id(), title: check.title.to_owned(), outcome, detail, millis });
        self.update(|state| {
            state.passed += usize::from(outcome == Outcome::Passed);
            state.missing.remove(key);
        });
    }

    /// A warning that a check was skipped, and why: a user who reads only the end must know.
    pub(super) fn skipped(&self, report: &CheckReport) {
        self.run.report.warn(format!("{} {} was skipped: {}", report.id(), report.check.title, report.detail));
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let Some(first) = state.missing.values().next() else { return };
        let note = format!("{} of {} {} passed; {first}", state.passed, self.total, self.things);
        if note != state.last_note {
            self.run.report.progress(Stage::Smoke, note.clone());
            state.last_note = note;
        }
    }
}
