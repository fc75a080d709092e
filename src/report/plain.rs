//! For a log: one line per thing that happened, with the time since the start.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use super::event::Event;
use super::story::{Story, Told, Verbosity};
use super::view::View;
use super::words::{Mark, Paint, seconds};
use crate::stage::Stage;

/// A stage's notes come at most this often.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// A stage that has said nothing for so long repeats its note: CI servers end jobs that are silent.
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
    /// When it last said one.
    said: Option<Duration>,
    /// When it last said anything.
    heard: Duration,
    told: String,
    /// What it would have said since.
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

    fn tell(&mut self, at: Duration, told: Told) -> io::Result<()> {
        match told {
            Told::Opening(text) => self.line(at, None, &text),
            Told::Started(stage) => {
                self.notes.insert(stage, Notes { heard: at, ..Notes::default() });
                self.line(at, Some(stage), "started")
            }
            Told::Note(stage, note) => {
                let notes = self.notes.entry(stage).or_default();
                notes.pending = (notes.told != note).then_some(note);
                self.catch_up(at)
            }
            Told::Said { stage, mark, text, hints } => {
                let text = self.marked(mark, &text);
                self.line(at, stage, &text)?;
                for hint in hints {
                    let hint = self.paint.hint(&hint);
                    self.line(at, stage, &format!("  {hint}"))?;
                }
                Ok(())
            }
            Told::Finished { stage, mark, took, summary } => {
                self.notes.remove(&stage);
                let text = self.marked(mark, &format!("{}  {summary}", seconds(took)));
                self.line(at, Some(stage), &text)
            }
            Told::Ended(finale) => {
                for line in finale.lines(self.paint) {
                    writeln!(self.to, "{line}")?;
                }
                Ok(())
            }
        }
    }

    /// Says what is due: pending notes, and the repeated note of a stage that has long been silent.
    fn catch_up(&mut self, at: Duration) -> io::Result<()> {
        let mut due = Vec::new();
        for (stage, notes) in &mut self.notes {
            let rested = notes.said.is_none_or(|said| at.saturating_sub(said) >= NOTE_EVERY);
            let note = match notes.pending.take_if(|_| rested) {
                Some(note) => {
                    notes.told.clone_from(&note);
                    notes.said = Some(at);
                    note
                }
                None if at.saturating_sub(notes.heard) >= REPEAT_AFTER && notes.told.is_empty() => {
                    "still running".to_owned()
                }
                None if at.saturating_sub(notes.heard) >= REPEAT_AFTER => format!("still: {}", notes.told),
                None => continue,
            };
            notes.heard = at;
            due.push((*stage, note));
        }
        due.into_iter().try_for_each(|(stage, note)| self.line(at, Some(stage), &note))
    }
}

impl<W: Write + Send> View for Plain<W> {
    fn on(&mut self, at: Duration, event: &Event) -> io::Result<()> {
        for told in self.story.tell(at, event) {
            self.tell(at, told)?;
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

    fn shown(events: &[(u64, Event)], verbosity: Verbosity) -> String {
        let mut out = Vec::new();
        show(&mut Plain::new(&mut out, false, verbosity), events);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_success() {
        insta::assert_snapshot!("success", shown(&success(), Verbosity::Normal));
        insta::assert_snapshot!("success_verbose", shown(&success(), Verbosity::Verbose));
    }

    #[test]
    fn a_failure_begins_with_the_error_and_ends_in_what_to_do_next() {
        let text = shown(&failure(), Verbosity::Normal);
        assert_eq!(text.lines().last(), Some("hint: `sandbox smoke` runs the checks again"));
        insta::assert_snapshot!("failure", text);
    }

    #[test]
    fn quiet_is_failures_and_the_end() {
        insta::assert_snapshot!("success_quiet", shown(&success(), Verbosity::Quiet));
        insta::assert_snapshot!("failure_quiet", shown(&failure(), Verbosity::Quiet));
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
