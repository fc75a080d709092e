//! For a terminal: finished stages stay as lines, each active one is a moving line below them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use console::truncate_str;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::event::{Event, Stage};
use super::story::{Story, Told, Verbosity};
use super::view::View;
use super::words::{Mark, Paint, seconds};

/// Of the spinner.
const FRAME: Duration = Duration::from_millis(100);
/// Columns before a note: sign, stage, time and the gaps between them.
const NOTE_COLUMN: usize = 22;

/// Moving lines on a terminal.
pub struct Live {
    bars: MultiProgress,
    by_stage: BTreeMap<Stage, ProgressBar>,
    paint: Paint,
    story: Story,
    width: Box<dyn Fn() -> usize + Send>,
}

impl Live {
    /// Draws on `target`, coloured or not; `width` is asked for the terminal's columns before each note.
    pub fn new(
        target: ProgressDrawTarget,
        width: impl Fn() -> usize + Send + 'static,
        colour: bool,
        verbosity: Verbosity,
    ) -> Self {
        Self {
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

    fn line(&self, mark: Mark, stage: Option<Stage>, took: &str, text: &str) -> io::Result<()> {
        let stage = stage.map_or("", Stage::title);
        self.bars.println(format!("{} {stage:<9}  {took:>7}  {text}", self.paint.mark(mark)))
    }

    fn tell(&mut self, told: Told) -> io::Result<()> {
        match told {
            Told::Opening(text) => self.bars.println(self.paint.dim(&text)),
            Told::Started(stage) => self.bar(stage).map(|_| ()),
            Told::Note(stage, note) => {
                let room = (self.width)().saturating_sub(NOTE_COLUMN);
                let note = truncate_str(&note, room, "…").into_owned();
                self.bar(stage)?.set_message(note);
                Ok(())
            }
            Told::Said { stage, mark, text, hints } => {
                self.line(mark, stage, "", &text)?;
                hints.iter().try_for_each(|hint| {
                    self.bars.println(format!("{}{}", " ".repeat(NOTE_COLUMN), self.paint.hint(hint)))
                })
            }
            Told::Finished { stage, mark, took, summary } => {
                self.drop_bar(stage);
                self.line(mark, Some(stage), &seconds(took), &summary)
            }
            Told::Ended(finale) => finale.lines(self.paint).iter().try_for_each(|line| self.bars.println(line)),
        }
    }

    fn drop_bar(&mut self, stage: Stage) {
        if let Some(bar) = self.by_stage.remove(&stage) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }
}

impl View for Live {
    fn on(&mut self, at: Duration, event: &Event) -> io::Result<()> {
        if matches!(event, Event::RunFinished { .. }) {
            self.end()?;
        }
        self.story.tell(at, event).into_iter().try_for_each(|told| self.tell(told))
    }

    fn end(&mut self) -> io::Result<()> {
        for stage in self.by_stage.keys().copied().collect::<Vec<_>>() {
            self.drop_bar(stage);
        }
        self.bars.clear()
    }
}
