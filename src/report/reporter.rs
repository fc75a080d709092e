//! The handle that stages speak through.

use std::time::Instant;

use tokio::sync::mpsc;

use super::event::{Event, Outcome};
use crate::stage::Stage;

/// Cheap to clone; every clone speaks into the same stream.
#[derive(Debug, Clone)]
pub struct Reporter(mpsc::UnboundedSender<Event>);

impl Reporter {
    /// A reporter and the stream it feeds.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Says something. Nobody listening is not an error: the work goes on.
    pub fn emit(&self, event: Event) {
        let _ = self.0.send(event);
    }

    /// Replaces the stage's note on a live display.
    pub fn progress(&self, stage: Stage, note: impl Into<String>) {
        self.emit(Event::Progress { stage, note: note.into() });
    }

    /// Tells the user something that stops nothing.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(Event::Warning { message: message.into() });
    }

    /// Says that a stage began; the timer says that it ended.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> StageTimer {
        self.emit(Event::StageStarted { stage });
        StageTimer { report: self.clone(), stage, started: Instant::now() }
    }
}

/// A stage under way.
#[derive(Debug)]
pub struct StageTimer {
    report: Reporter,
    stage: Stage,
    started: Instant,
}

impl StageTimer {
    /// Says how the stage ended.
    pub fn finish(self, outcome: Outcome, summary: impl Into<String>) {
        self.report.emit(Event::StageFinished {
            stage: self.stage,
            outcome,
            summary: summary.into(),
            millis: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }
}
