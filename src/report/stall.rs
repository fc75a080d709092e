//! Warnings of stalled stages: those that have reported nothing new for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::Event;
use crate::stage::Stage;

/// The time without news after which a stage is stalled; the next warning comes after twice as long, and so on.
const QUIET: Duration = Duration::from_secs(30);

/// A running stage.
struct Open {
    /// Every note so far: one that comes back is no change.
    notes: BTreeSet<String>,
    /// The newest note.
    last: Option<String>,
    changed: Duration,
    patience: Duration,
}

impl Open {
    fn new(at: Duration) -> Self {
        Self { notes: BTreeSet::new(), last: None, changed: at, patience: QUIET }
    }

    fn change(&mut self, at: Duration) {
        (self.changed, self.patience) = (at, QUIET);
    }

    fn due(&self) -> Duration {
        self.changed + self.patience
    }
}

/// The stages under way, and how long each has reported nothing new. Times are since the start of the run.
#[derive(Default)]
pub(super) struct Stalls(BTreeMap<Stage, Open>);

impl Stalls {
    pub(super) fn observe(&mut self, event: &Event, at: Duration) {
        match event {
            Event::StageStarted { stage } => {
                self.0.insert(*stage, Open::new(at));
            }
            Event::StageFinished { stage, .. } => {
                self.0.remove(stage);
            }
            Event::Progress { stage, note } => {
                let Some(open) = self.0.get_mut(stage) else { return };
                open.last = Some(note.clone());
                if open.notes.insert(note.clone()) {
                    open.change(at);
                }
            }
            event => {
                for stage in moved(event) {
                    if let Some(open) = self.0.get_mut(stage) {
                        open.change(at);
                    }
                }
            }
        }
    }

    /// A warning for each stage that has reported nothing new for 30 s, and again for 60 s, 120 s and so on.
    pub(super) fn warnings(&mut self, at: Duration) -> Vec<Event> {
        let due = self.0.iter_mut().filter(|(_, open)| open.due() <= at);
        let warnings = due.map(|(stage, open)| {
            open.patience *= 2;
            let quiet = humantime::format_duration(Duration::from_secs((at - open.changed).as_secs()));
            let waits = open.last.as_ref().map(|note| format!(", at: {note}")).unwrap_or_default();
            Event::Warning { message: format!("{}: nothing new for {quiet}{waits}", stage.title()) }
        });
        warnings.collect()
    }
}

/// The stages that an event is a step of.
fn moved(event: &Event) -> &'static [Stage] {
    match event {
        Event::Finding { .. } => &[Stage::Preflight],
        Event::ImageProgress { .. } => &[Stage::Images],
        Event::Applied { .. } => &[Stage::Apply, Stage::Rollout],
        Event::RolloutProgress { .. } => &[Stage::Rollout],
        Event::Probe { .. } => &[Stage::Smoke],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Outcome;

    /// The warnings until second `end`, for events at these seconds.
    fn warnings(end: u64, events: &[(u64, Event)]) -> Vec<(u64, String)> {
        let mut stalls = Stalls::default();
        let mut warnings = Vec::new();
        for second in 0..=end {
            let at = Duration::from_secs(second);
            events.iter().filter(|(when, _)| *when == second).for_each(|(_, event)| stalls.observe(event, at));
            warnings.extend(stalls.warnings(at).into_iter().map(|event| match event {
                Event::Warning { message } => (second, message),
                other => panic!("{other:?}"),
            }));
        }
        warnings
    }

    fn started(stage: Stage) -> Event {
        Event::StageStarted { stage }
    }

    fn note(stage: Stage, note: &str) -> Event {
        Event::Progress { stage, note: note.to_owned() }
    }

    #[test]
    fn a_silent_stage_is_told_of_with_what_it_waits_for_at_doubling_intervals() {
        let events = [(0, started(Stage::Cluster)), (0, note(Stage::Cluster, "node: waiting for it to register"))];
        assert_eq!(
            warnings(125, &events),
            [
                (30, "cluster: nothing new for 30s, at: node: waiting for it to register".to_owned()),
                (60, "cluster: nothing new for 1m, at: node: waiting for it to register".to_owned()),
                (120, "cluster: nothing new for 2m, at: node: waiting for it to register".to_owned()),
            ]
        );
    }

    #[test]
    fn a_note_that_comes_back_is_no_change_and_a_new_one_is() {
        let again = (0..40).step_by(10).flat_map(|second| {
            ["a: not yet; trying again", "b: not yet; trying again"].map(|text| (second, note(Stage::Apply, text)))
        });
        let new = (0..4).map(|number| (40 + 20 * number, note(Stage::Apply, &format!("{number} of 4"))));
        let events: Vec<_> = [(0, started(Stage::Apply))].into_iter().chain(again).chain(new).collect();
        let expected = [(30, "apply: nothing new for 30s, at: b: not yet; trying again".to_owned())];
        assert_eq!(warnings(120, &events), expected);
    }

    #[test]
    fn each_stage_has_its_own_silence_and_an_end_ends_it() {
        let pulled =
            |bytes| Event::ImageProgress { image: "i".to_owned(), step: "pull".to_owned(), bytes, total: None };
        let bytes = (0..4).map(|number| (10 * number, pulled(number)));
        let ended = Event::StageFinished {
            stage: Stage::Images,
            outcome: Outcome::Passed,
            summary: "done".to_owned(),
            millis: 1,
        };
        let stages = [(0, started(Stage::Images)), (0, started(Stage::Cluster))];
        let events: Vec<_> = stages.into_iter().chain(bytes).chain([(40, ended)]).collect();
        assert_eq!(warnings(50, &events), [(30, "cluster: nothing new for 30s".to_owned())]);
    }
}
