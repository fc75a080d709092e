//! The handle through which stages emit events, and the history that explains a failure.

use std::collections::VecDeque;
use std::mem::discriminant;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use super::event::{Event, Outcome};
use crate::stage::Stage;

/// The number of events to keep, the newest.
const EVENTS: usize = 4000;
/// The number of lines of other programs to keep, the newest.
const LINES: usize = 4000;

/// The handle through which stages emit events. Clones are cheap and share one stream and one history.
#[derive(Debug, Clone)]
pub struct Reporter {
    events: mpsc::UnboundedSender<Event>,
    memory: Arc<Mutex<Memory>>,
    began: (Instant, SystemTime),
}

/// Events and output of other programs, with the time since the start of the run.
#[derive(Debug, Default)]
struct Memory {
    events: VecDeque<(Duration, Event)>,
    output: VecDeque<(Duration, String)>,
}

impl Reporter {
    /// A reporter and the stream it feeds.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        (Self { events, memory: Arc::default(), began: (Instant::now(), SystemTime::now()) }, receiver)
    }

    /// Emits an event. Without a receiver it is lost, and the work goes on.
    pub fn emit(&self, event: Event) {
        self.memory().remember(self.began.0.elapsed(), &event);
        let _ = self.events.send(event);
    }

    /// Replaces the stage's note on a live display.
    pub fn progress(&self, stage: Stage, note: impl Into<String>) {
        self.emit(Event::Progress { stage, note: note.into() });
    }

    /// Emits a warning.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(Event::Warning { message: message.into() });
    }

    /// Keeps a line of another program's output.
    pub fn record_output(&self, line: impl Into<String>) {
        let at = self.began.0.elapsed();
        push(&mut self.memory().output, LINES, (at, line.into()));
    }

    /// The events so far, oldest first. Repeated notes are kept once, and of a transfer only the newest count; of very many
    /// events the newest.
    #[must_use]
    pub fn history(&self) -> Vec<(Duration, Event)> {
        self.memory().events.iter().cloned().collect()
    }

    /// The output of other programs, oldest first; of very many lines the newest.
    #[must_use]
    pub fn output_log(&self) -> Vec<(Duration, String)> {
        self.memory().output.iter().cloned().collect()
    }

    /// The start of the run.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        self.began.1
    }

    /// Emits the start of a stage; the timer emits its end.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> StageTimer {
        self.emit(Event::StageStarted { stage });
        StageTimer { report: self.clone(), stage, started: Instant::now(), is_finished: false }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn remember(&mut self, at: Duration, event: &Event) {
        let comes_again = same_subject(event, event);
        let before =
            if comes_again { self.events.iter().rposition(|(_, earlier)| same_subject(earlier, event)) } else { None };
        match (event, before) {
            (Event::ImageProgress { .. }, Some(before)) => drop(self.events.remove(before)),
            (Event::Progress { .. } | Event::RolloutProgress { .. }, Some(before))
                if self.events[before].1 == *event =>
            {
                return;
            }
            _ => {}
        }
        push(&mut self.events, EVENTS, (at, event.clone()));
    }
}

/// True if the later of two events replaces the earlier.
fn same_subject(one: &Event, other: &Event) -> bool {
    match (one, other) {
        (Event::Progress { stage: one, .. }, Event::Progress { stage: other, .. }) => one == other,
        (
            Event::ImageProgress { image: one, step: of_one, .. },
            Event::ImageProgress { image: other, step: of_other, .. },
        ) => (one, of_one) == (other, of_other),
        (Event::RolloutProgress { .. }, _) => discriminant(one) == discriminant(other),
        _ => false,
    }
}

fn push<T>(ring: &mut VecDeque<T>, limit: usize, new: T) {
    if ring.len() == limit {
        ring.pop_front();
    }
    ring.push_back(new);
}

/// A running stage.
/// One that is dropped reports that the stage was stopped.
#[derive(Debug)]
pub struct StageTimer {
    report: Reporter,
    stage: Stage,
    started: Instant,
    is_finished: bool,
}

impl StageTimer {
    /// Emits the end of the stage.
    pub fn finish(mut self, outcome: Outcome, summary: impl Into<String>) {
        self.report_end(outcome, summary.into());
    }

    fn report_end(&mut self, outcome: Outcome, summary: String) {
        self.is_finished = true;
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.report.emit(Event::StageFinished { stage: self.stage, outcome, summary, millis });
    }
}

impl Drop for StageTimer {
    fn drop(&mut self) {
        if !self.is_finished {
            self.report_end(Outcome::Stopped, "stopped".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulled(image: &str, bytes: u64) -> Event {
        Event::ImageProgress { image: image.to_owned(), step: "pull".to_owned(), bytes, total: None }
    }

    #[test]
    fn what_is_said_again_is_remembered_once_and_nothing_else_is_lost() {
        let (report, _events) = Reporter::channel();
        report.warn("a");
        report.progress(Stage::Cluster, "one");
        report.emit(pulled("x", 1));
        report.progress(Stage::Images, "one");
        report.progress(Stage::Cluster, "one");
        report.emit(pulled("x", 2));
        report.emit(pulled("y", 1));
        report.progress(Stage::Cluster, "two");
        report.warn("a");
        let note = |stage, note: &str| Event::Progress { stage, note: note.to_owned() };
        let warning = Event::Warning { message: "a".to_owned() };
        let events: Vec<_> = report.history().into_iter().map(|(_, event)| event).collect();
        assert_eq!(
            events,
            [
                warning.clone(),
                note(Stage::Cluster, "one"),
                note(Stage::Images, "one"),
                pulled("x", 2),
                pulled("y", 1),
                note(Stage::Cluster, "two"),
                warning
            ]
        );
    }

    #[test]
    fn a_stage_that_is_dropped_ends() {
        let (report, _events) = Reporter::channel();
        drop(report.stage(Stage::Rollout));
        report.stage(Stage::Smoke).finish(Outcome::Passed, "all");
        let ends = report.history().into_iter().filter_map(|(_, event)| match event {
            Event::StageFinished { stage, outcome, .. } => Some((stage, outcome)),
            _ => None,
        });
        let expected = [(Stage::Rollout, Outcome::Stopped), (Stage::Smoke, Outcome::Passed)];
        assert_eq!(ends.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn memory_has_an_end() {
        let (report, _events) = Reporter::channel();
        for number in 0..EVENTS + 3 {
            report.warn(number.to_string());
            report.record_output(number.to_string());
        }
        let (events, output) = (report.history(), report.output_log());
        assert_eq!((events.len(), output.len()), (EVENTS, LINES));
        assert_eq!(events[0].1, Event::Warning { message: "3".to_owned() });
        assert_eq!(output[0].1, "3");
    }
}
