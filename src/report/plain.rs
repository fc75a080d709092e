//! The view in a log: one line per event, with the time since the start.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use super::event::Event;
use super::story::{Line, Story, Verbosity};
use super::view::View;
use super::words::{Mark, Paint, seconds};
use crate::stage::Stage;

/// The shortest time between two notes of a stage.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// The silence after which a stage repeats its note: CI servers cancel silent jobs.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// Lines for a log.
pub struct Plain<W> {
    to: W,
    paint: Paint,
    story: Story,
    notes: BTreeMap<Stage, Notes>,
}

/// The notes of a stage under way.
#[derive(Default)]
struct Notes {
    /// The time of the last note.
    noted_at: Option<Duration>,
    /// The time of the last line.
    written_at: Duration,
    last_note: String,
    /// A note that waits to be written.
    pending: Option<String>,
}

impl<W: Write + Send> Plain<W> {
    /// Writes to `to`, coloured or not.
    pub fn new(to: W, colour: bool, verbosity: Verbosity) -> Self {
        Self { to, paint: Paint(colour), story: Story::new(verbosity), notes: BTreeMap::new() }
    }

    fn line(&mut self, at: Duration, stage: Option<Stage>, text: &str) -> io::Result<()> {
        let time = self.paint.dim(&format!("[{:6.1}s]", at.as_secs_f64()));
        match stage {
            Some(stage) => writeln!(self.to, "{time} {:<9}  {text}", stage.title()),
            None => writeln!(self.to, "{time} {text}"),
        }
    }

    fn marked(&self, mark: Mark, text: &str) -> String {
        format!("{} {text}", self.paint.mark(mark))
    }

    fn write(&mut self, at: Duration, line: Line) -> io::Result<()> {
        match line {
            Line::Opening(text) => self.line(at, None, &text),
            Line::Started(stage) => {
                self.notes.insert(stage, Notes { written_at: at, ..Notes::default() });
                self.line(at, Some(stage), "started")
            }
            Line::Note(stage, note) => {
                let notes = self.notes.entry(stage).or_default();
                notes.pending = (notes.last_note != note).then_some(note);
                self.catch_up(at)
            }
            Line::Item { stage, mark, text, hints } => {
                let text = self.marked(mark, &text);
                self.line(at, stage, &text)?;
                for hint in hints {
                    let hint = self.paint.hint(&hint);
                    self.line(at, stage, &format!("  {hint}"))?;
                }
                Ok(())
            }
            Line::Finished { stage, mark, took, summary } => {
                self.notes.remove(&stage);
                let text = self.marked(mark, &format!("{}  {summary}", seconds(took)));
                self.line(at, Some(stage), &text)
            }
            Line::End(finale) => {
                for line in finale.lines(self.paint) {
                    writeln!(self.to, "{line}")?;
                }
                Ok(())
            }
        }
    }

    /// Writes due lines: pending notes, and the repeated note of a silent stage.
    fn catch_up(&mut self, at: Duration) -> io::Result<()> {
        let mut due = Vec::new();
        for (stage, notes) in &mut self.notes {
            let rested = notes.noted_at.is_none_or(|then| at.saturating_sub(then) >= NOTE_EVERY);
            let note = match notes.pending.take_if(|_| rested) {
                Some(note) => {
                    notes.last_note.clone_from(&note);
                    notes.noted_at = Some(at);
                    note
                }
                None if at.saturating_sub(notes.written_at) >= REPEAT_AFTER && notes.last_note.is_empty() => {
                    "still running".to_owned()
                }
                None if at.saturating_sub(notes.written_at) >= REPEAT_AFTER => format!("still: {}", notes.last_note),
                None => continue,
            };
            notes.written_at = at;
            due.push((*stage, note));
        }
        due.into_iter().try_for_each(|(stage, note)| self.line(at, Some(stage), &note))
    }
}

impl<W: Write + Send> View for Plain<W> {
    fn on(&mut self, at: Duration, event: &Event) -> io::Result<()> {
        for line in self.story.lines(at, event) {
            self.write(at, line)?;
        }
        self.to.flush()
    }

    fn tick(&mut self, at: Duration) -> io::Result<()> {
        self.catch_up(at)?;
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::samples::{failure, show, success};
    use super::{Event, Plain, Stage, Verbosity, View};

    fn rendered(events: &[(u64, Event)], verbosity: Verbosity) -> String {
        let mut out = Vec::new();
        show(&mut Plain::new(&mut out, false, verbosity), events);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_success() {
        insta::assert_snapshot!("success", rendered(&success(), Verbosity::Normal));
        insta::assert_snapshot!("success_verbose", rendered(&success(), Verbosity::Verbose));
    }

    #[test]
    fn a_failure_begins_with_the_error_and_ends_in_what_to_do_next() {
        let text = rendered(&failure(), Verbosity::Normal);
        assert_eq!(text.lines().last(), Some("hint: `sandbox smoke` runs the checks again"));
        insta::assert_snapshot!("failure", text);
    }

    #[test]
    fn quiet_is_failures_and_the_end() {
        insta::assert_snapshot!("success_quiet", rendered(&success(), Verbosity::Quiet));
        insta::assert_snapshot!("failure_quiet", rendered(&failure(), Verbosity::Quiet));
    }

    #[test]
    fn a_held_back_note_is_said_when_it_is_due_and_repeated_when_nothing_follows() {
        let mut out = Vec::new();
        let mut view = Plain::new(&mut out, false, Verbosity::Normal);
        let note = |note: &str| Event::Progress { stage: Stage::Cluster, note: note.to_owned() };
        let seconds = Duration::from_secs;
        view.on(seconds(0), &note("first")).expect("written");
        view.on(seconds(1), &note("second")).expect("written");
        view.on(seconds(2), &note("third")).expect("written");
        for at in 3..40 {
            view.tick(seconds(at)).expect("written");
        }
        assert_eq!(
            String::from_utf8_lossy(&out),
            "[   0.0s] cluster    first\n[   5.0s] cluster    third\n[  35.0s] cluster    still: third\n"
        );
    }
}
