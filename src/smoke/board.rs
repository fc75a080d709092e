//! What is still missing, told as one note when it changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::report::{Event, Outcome, Stage};
use crate::run::Run;

use super::verdict::Verdict;

/// Hears of every attempt and verdict of a set of checks.
pub(super) struct Board<'a> {
    run: &'a Run,
    things: &'static str,
    total: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    passed: usize,
    missing: BTreeMap<String, String>,
    told: String,
}

impl<'a> Board<'a> {
    /// A board for `total` verdicts about `things`.
    pub(super) fn new(run: &'a Run, things: &'static str, total: usize) -> Self {
        Self { run, things, total, state: Mutex::default() }
    }

    /// What `key` waits for now.
    pub(super) fn missed(&self, key: &str, note: String) {
        self.tell(|state| {
            state.missing.insert(key.to_owned(), note);
        });
    }

    /// The verdict that `key` waited for.
    pub(super) fn done(&self, key: &str, verdict: &Verdict) {
        let Verdict { check, outcome, detail, millis, .. } = verdict.clone();
        self.run.report.emit(Event::Probe { id: verdict.id(), title: check.title.to_owned(), outcome, detail, millis });
        self.tell(|state| {
            state.passed += usize::from(outcome == Outcome::Passed);
            state.missing.remove(key);
        });
    }

    /// That a check says nothing, and why: who reads only the end must know.
    pub(super) fn skipped(&self, verdict: &Verdict) {
        self.run.report.warn(format!("{} {} is not proven: {}", verdict.id(), verdict.check.title, verdict.detail));
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let Some(first) = state.missing.values().next() else { return };
        let note = format!("{} of {} {} passed; {first}", state.passed, self.total, self.things);
        if note != state.told {
            self.run.report.progress(Stage::Smoke, note.clone());
            state.told = note;
        }
    }
}
