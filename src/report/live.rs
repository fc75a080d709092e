//! The view on a terminal: finished stages stay as lines, each active one is a moving line below them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use console::truncate_str;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::event::Event;
use super::story::{Line, Story, Verbosity};
use super::view::View;
use super::words::{Mark, Paint, seconds};
use crate::stage::Stage;

/// The interval of the spinner.
const FRAME: Duration = Duration::from_millis(100);
/// Columns before a note: sign, stage, time and the gaps between them.
const NOTE_COLUMN: usize = 22;

/// Moving lines on a terminal.
pub struct Live<W> {
    to: W,
    bars: MultiProgress,
    by_stage: BTreeMap<Stage, ProgressBar>,
    paint: Paint,
    story: Story,
    width: Box<dyn Fn() -> usize + Send>,
}

impl<W: Write + Send> Live<W> {
    /// Writes what stays to `to` and draws what moves on `target`, both the same terminal, coloured or not; `width` is
    /// asked for its columns before each note.
    pub fn new(
        to: W,
        target: ProgressDrawTarget,
        width: impl Fn() -> usize + Send + 'static,
        colour: bool,
        verbosity: Verbosity,
    ) -> Self {
        Self {
            to,
            bars: MultiProgress::with_draw_target(target),
            by_stage: BTreeMap::new(),
            paint: Paint(colour),
            story: Story::new(verbosity),
            width: Box::new(width),
        }
    }

    fn bar(&mut self, stage: Stage) -> io::Result<&ProgressBar> {
        if !self.by_stage.contains_key(&stage) {
            let spinner = if self.paint.0 { "{spinner:.cyan}" } else { "{spinner}" };
            let style = ProgressStyle::with_template(&format!("{spinner} {{prefix:9}}  {{took}}  {{wide_msg}}"))
                .map_err(io::Error::other)?
                .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
                .with_key("took", |state: &ProgressState, to: &mut dyn fmt::Write| {
                    let _ = write!(to, "{:>7}", seconds(state.elapsed()));
                });
            let before = self.by_stage.range(..stage).count();
            let bar = self.bars.insert(before, ProgressBar::new_spinner().with_style(style).with_prefix(stage.title()));
            bar.enable_steady_tick(FRAME);
            self.by_stage.insert(stage, bar);
        }
        Ok(&self.by_stage[&stage])
    }

    /// Writes lines that stay, above those that move.
    fn lines(&mut self, lines: &[String]) -> io::Result<()> {
        let to = &mut self.to;
        self.bars.suspend(|| {
            lines.iter().try_for_each(|line| writeln!(to, "{line}"))?;
            to.flush()
        })
    }

    fn marked(&self, mark: Mark, stage: Option<Stage>, took: &str, text: &str) -> String {
        let stage = stage.map_or("", Stage::title);
        format!("{} {stage:<9}  {took:>7}  {text}", self.paint.mark(mark))
    }

    fn draw(&mut self, line: Line) -> io::Result<()> {
        match line {
            Line::Opening(text) => self.lines(&[self.paint.dim(&text)]),
            Line::Started(stage) => self.bar(stage).map(|_| ()),
            Line::Note(stage, note) => {
                let room = (self.width)().saturating_sub(NOTE_COLUMN);
                let note = truncate_str(&note, room, "…").into_owned();
                self.bar(stage)?.set_message(note);
                Ok(())
            }
            Line::Item { stage, mark, text, hints } => {
                let hints = hints.iter().map(|hint| format!("{}{}", " ".repeat(NOTE_COLUMN), self.paint.hint(hint)));
                let lines: Vec<String> = [self.marked(mark, stage, "", &text)].into_iter().chain(hints).collect();
                self.lines(&lines)
            }
            Line::Finished { stage, mark, took, summary } => {
                self.drop_bar(stage);
                let line = self.marked(mark, Some(stage), &seconds(took), &summary);
                self.lines(&[line])
            }
            Line::End(finale) => self.lines(&finale.lines(self.paint)),
        }
    }

    fn drop_bar(&mut self, stage: Stage) {
        if let Some(bar) = self.by_stage.remove(&stage) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }
}

impl<W: Write + Send> View for Live<W> {
    fn on(&mut self, at: Duration, event: &Event) -> io::Result<()> {
        if matches!(event, Event::RunFinished { .. }) {
            self.end()?;
        }
        self.story.lines(at, event).into_iter().try_for_each(|line| self.draw(line))
    }

    fn end(&mut self) -> io::Result<()> {
        for stage in self.by_stage.keys().copied().collect::<Vec<_>>() {
            self.drop_bar(stage);
        }
        self.bars.clear()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use indicatif::ProgressDrawTarget;

    use super::super::samples::{failure, show, success};
    use super::{Event, Live, Stage, Verbosity, View};

    fn rendered(events: &[(u64, Event)], colour: bool) -> String {
        let mut out = Vec::new();
        show(&mut Live::new(&mut out, ProgressDrawTarget::hidden(), || 60, colour, Verbosity::Normal), events);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_stays_on_screen() {
        insta::assert_snapshot!("success", rendered(&success(), false));
        insta::assert_snapshot!("failure", rendered(&failure(), false));
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        for events in [success(), failure()] {
            let coloured = rendered(&events, true);
            assert_ne!(coloured, rendered(&events, false));
            assert_eq!(console::strip_ansi_codes(&coloured), rendered(&events, false));
        }
    }

    #[test]
    fn active_stages_stand_in_the_pipeline_s_order_with_notes_that_fit() {
        let mut out = Vec::new();
        let mut view = Live::new(&mut out, ProgressDrawTarget::hidden(), || 40, false, Verbosity::Normal);
        for stage in [Stage::Images, Stage::Cluster] {
            view.on(Duration::ZERO, &Event::StageStarted { stage }).expect("drawn");
            let note = "a note that is too long for this terminal".to_owned();
            view.on(Duration::ZERO, &Event::Progress { stage, note }).expect("drawn");
        }
        let notes = view.by_stage.values().map(|bar| (bar.prefix(), bar.message()));
        let note = "a note that is to…".to_owned();
        assert_eq!(notes.collect::<Vec<_>>(), [("cluster".to_owned(), note.clone()), ("images".to_owned(), note)]);
    }
}
