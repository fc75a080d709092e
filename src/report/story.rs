//! The lines of a run for a person, by verbosity: the fold that both human views share.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::{Change, Endpoint, Event, Outcome, Severity, Waiting};
use super::finale::Finale;
use super::words::{Mark, bytes, one_line, seconds};
use crate::stage::Stage;

/// The verbosity of a human view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Failures and the end.
    Quiet,
    /// Stages, notes, warnings.
    #[default]
    Normal,
    /// Every object, finding and probe too.
    Verbose,
}

/// A line for a person.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The command and the sandbox.
    Opening(String),
    /// The start of a stage.
    Started(Stage),
    /// The note of a running stage.
    Note(Stage, String),
    /// A result, warning or finding, which stays on screen.
    Item { stage: Option<Stage>, mark: Mark, text: String, hints: Vec<String> },
    /// The end of a stage.
    Finished { stage: Stage, mark: Mark, took: Duration, summary: String },
    /// The end of the run.
    End(Box<Finale>),
}

/// The state of a run, from its events so far.
#[derive(Debug)]
pub(super) struct Story {
    verbosity: Verbosity,
    active: BTreeMap<Stage, Duration>,
    times: Vec<(Stage, Duration)>,
    transfers: BTreeMap<String, Transfer>,
    endpoints: Vec<Endpoint>,
    kubectl: Option<String>,
}

#[derive(Debug)]
struct Transfer {
    step: String,
    bytes: u64,
    total: Option<u64>,
}

impl Story {
    pub(super) fn new(verbosity: Verbosity) -> Self {
        Self {
            verbosity,
            active: BTreeMap::new(),
            times: Vec::new(),
            transfers: BTreeMap::new(),
            endpoints: Vec::new(),
            kubectl: None,
        }
    }

    /// The lines for an event, in order.
    pub(super) fn lines(&mut self, at: Duration, event: &Event) -> Vec<Line> {
        let mut lines = self.fold(at, event);
        if self.verbosity == Verbosity::Quiet {
            lines.retain(|line| matches!(line, Line::End(_) | Line::Item { mark: Mark::Bad, .. }));
        }
        lines
    }

    fn fold(&mut self, at: Duration, event: &Event) -> Vec<Line> {
        match event {
            Event::RunStarted { command, sandbox, version, .. } => {
                vec![Line::Opening(format!("sandbox {command}: {sandbox} (version {version})"))]
            }
            Event::Rehearsal { message } => {
                vec![Line::Item { stage: None, mark: Mark::Look, text: one_line(message), hints: Vec::new() }]
            }
            // For those who read the run elsewhere.
            Event::Facts { .. } | Event::CheckWaiting { .. } | Event::Log { .. } => Vec::new(),
            Event::StageStarted { stage } => {
                self.active.insert(*stage, at);
                vec![Line::Started(*stage)]
            }
            Event::Progress { stage, note } => vec![Line::Note(*stage, one_line(note))],
            Event::ImageProgress { image, step, bytes, total } => {
                let transfer = Transfer { step: step.clone(), bytes: *bytes, total: *total };
                self.transfers.insert(image.clone(), transfer);
                vec![Line::Note(Stage::Images, self.transfer_note(step))]
            }
            Event::RolloutProgress { ready, total, waiting } => {
                vec![Line::Note(Stage::Rollout, rollout_note(*ready, *total, waiting))]
            }
            Event::Finding { check, severity, message, hints } => {
                self.item(Stage::Preflight, severity_mark(*severity), format!("{check}: {message}"), hints)
            }
            Event::Limit { name, millis, wait } => {
                let time = humantime::format_duration(Duration::from_millis(*millis));
                let text = format!("limit {name}: {time}: {wait}");
                vec![Line::Item { stage: None, mark: Mark::Same, text, hints: Vec::new() }]
            }
            Event::Applied { object, change } => {
                let (mark, word) = match change {
                    Change::Created => (Mark::Good, "created"),
                    Change::Changed => (Mark::Good, "changed"),
                    Change::Unchanged => (Mark::Same, "unchanged"),
                    Change::Pruned => (Mark::Good, "pruned"),
                };
                self.item(Stage::Apply, mark, format!("{object} {word}"), &[])
            }
            Event::Probe { id, title, outcome, detail, millis } => {
                let took = seconds(Duration::from_millis(*millis));
                self.item(Stage::Smoke, outcome_mark(*outcome), format!("{id} {title}: {detail} ({took})"), &[])
            }
            Event::Warning { message } => {
                vec![Line::Item { stage: None, mark: Mark::Look, text: one_line(message), hints: Vec::new() }]
            }
            Event::StageFinished { stage, outcome, summary, millis } => {
                self.active.remove(stage);
                let took = Duration::from_millis(*millis);
                self.times.push((*stage, took));
                vec![Line::Finished { stage: *stage, mark: outcome_mark(*outcome), took, summary: one_line(summary) }]
            }
            Event::Ready { endpoints, kubectl } => {
                self.endpoints.clone_from(endpoints);
                self.kubectl = Some(kubectl.clone());
                Vec::new()
            }
            Event::RunFinished { outcome, summary, exit_code, failure, millis } => {
                let mut lines = self.stopped(at);
                lines.push(Line::End(Box::new(Finale {
                    outcome: *outcome,
                    summary: one_line(summary),
                    exit_code: *exit_code,
                    failure: failure.clone(),
                    took: Duration::from_millis(*millis),
                    times: std::mem::take(&mut self.times),
                    endpoints: std::mem::take(&mut self.endpoints),
                    kubectl: self.kubectl.take(),
                    brief: self.verbosity == Verbosity::Quiet,
                })));
                lines
            }
        }
    }

    /// A line that stays on screen; a success only if verbose.
    fn item(&self, stage: Stage, mark: Mark, text: String, hints: &[String]) -> Vec<Line> {
        if matches!(mark, Mark::Good | Mark::Same) && self.verbosity < Verbosity::Verbose {
            return Vec::new();
        }
        let hints = hints.iter().map(|hint| one_line(hint)).collect();
        vec![Line::Item { stage: Some(stage), mark, text: one_line(&text), hints }]
    }

    /// The end lines of stages that did not finish.
    fn stopped(&mut self, at: Duration) -> Vec<Line> {
        let stop = |(stage, since): (Stage, Duration)| Line::Finished {
            stage,
            mark: Mark::Stopped,
            took: at.saturating_sub(since),
            summary: "stopped".to_owned(),
        };
        std::mem::take(&mut self.active).into_iter().map(stop).collect()
    }

    /// All transfers of a step as one line.
    fn transfer_note(&self, step: &str) -> String {
        let of_step: Vec<_> = self.transfers.iter().filter(|(_, transfer)| transfer.step == step).collect();
        let under_way =
            of_step.iter().filter(|(_, transfer)| transfer.total.is_none_or(|total| transfer.bytes < total));
        let what = match under_way.collect::<Vec<_>>().as_slice() {
            [(image, _)] => one_line(image),
            [] => format!("{} images", of_step.len()),
            some => format!("{} of {} images", some.len(), of_step.len()),
        };
        let done = of_step.iter().map(|(_, transfer)| transfer.bytes).sum();
        let total: Option<u64> = of_step.iter().map(|(_, transfer)| transfer.total).sum();
        match total {
            Some(total) => format!("{step} {what}, {} of {}", bytes(done), bytes(total)),
            None => format!("{step} {what}, {}", bytes(done)),
        }
    }
}

fn rollout_note(ready: usize, total: usize, waiting: &[Waiting]) -> String {
    let note = format!("{ready} of {total} ready");
    match waiting {
        [] => note,
        [only] => one_line(&format!("{note}; {}: {}", only.object, only.reason)),
        [first, others @ ..] => one_line(&format!("{note}; {}: {} (+{})", first.object, first.reason, others.len())),
    }
}

const fn severity_mark(severity: Severity) -> Mark {
    match severity {
        Severity::Fine => Mark::Good,
        Severity::Warning => Mark::Look,
        Severity::Blocker => Mark::Bad,
    }
}

const fn outcome_mark(outcome: Outcome) -> Mark {
    match outcome {
        Outcome::Passed => Mark::Good,
        Outcome::Failed => Mark::Bad,
        Outcome::Unchanged | Outcome::Skipped => Mark::Same,
        Outcome::Stopped => Mark::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Event, Line, Stage, Story, Verbosity, Waiting, rollout_note};

    fn image(image: &str, bytes: u64, total: Option<u64>) -> Event {
        Event::ImageProgress { image: image.to_owned(), step: "pull".to_owned(), bytes, total }
    }

    #[test]
    fn transfers_are_told_as_one() {
        let mut story = Story::new(Verbosity::Normal);
        let table = [
            (image("minio", 10_000_000, Some(40_000_000)), "pull minio, 10 MB of 40 MB"),
            (image("postgres", 5_000_000, None), "pull 2 of 2 images, 15 MB"),
            (image("postgres", 20_000_000, Some(20_000_000)), "pull minio, 30 MB of 60 MB"),
            (image("minio", 40_000_000, Some(40_000_000)), "pull 2 images, 60 MB of 60 MB"),
        ];
        for (event, expected) in table {
            assert_eq!(story.lines(Duration::ZERO, &event), [Line::Note(Stage::Images, expected.to_owned())]);
        }
    }

    #[test]
    fn rollout_names_the_first_that_waits() {
        let waiting = |object: &str| Waiting { object: object.to_owned(), reason: "pulling".to_owned() };
        assert_eq!(rollout_note(3, 3, &[]), "3 of 3 ready");
        assert_eq!(rollout_note(2, 3, &[waiting("a")]), "2 of 3 ready; a: pulling");
        assert_eq!(rollout_note(0, 3, &[waiting("a"), waiting("b"), waiting("c")]), "0 of 3 ready; a: pulling (+2)");
    }
}
