//! A stage that says nothing new for a while is told of: a wait must not be silent, and one that repeats itself is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::event::Event;
use crate::stage::Stage;

/// How long a stage may say nothing new until that is told; again after twice as long, and so on.
const QUIET: Duration = Duration::from_secs(30);

/// A stage under way.
struct Open {
    /// Every note so far: one that comes back is no change.
    notes: BTreeSet<String>,
    /// The newest note: what it waits for.
    last: Option<String>,
    changed: Instant,
    patience: Duration,
}

impl Open {
    fn new(now: Instant) -> Self {
        Self { notes: BTreeSet::new(), last: None, changed: now, patience: QUIET }
    }

    fn change(&mut self, now: Instant) {
        (self.changed, self.patience) = (now, QUIET);
    }

    fn due(&self) -> Instant {
        self.changed + self.patience
    }
}

/// The stages under way, and how long each has said nothing new.
#[derive(Default)]
struct Stalls(BTreeMap<Stage, Open>);

impl Stalls {
    fn hear(&mut self, event: &Event, now: Instant) {
        match event {
            Event::StageStarted { stage } => {
                self.0.insert(*stage, Open::new(now));
            }
            Event::StageFinished { stage, .. } => {
                self.0.remove(stage);
            }
            Event::Progress { stage, note } => {
                let Some(open) = self.0.get_mut(stage) else { return };
                open.last = Some(note.clone());
                if open.notes.insert(note.clone()) {
                    open.change(now);
                }
            }
            event => {
                for stage in moved(event) {
                    if let Some(open) = self.0.get_mut(stage) {
                        open.change(now);
                    }
                }
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.0.values().map(Open::due).min()
    }

    /// What is to be told now.
    fn tell(&mut self, now: Instant) -> Vec<Event> {
        let due = self.0.iter_mut().filter(|(_, open)| open.due() <= now);
        let told = due.map(|(stage, open)| {
            open.patience *= 2;
            let quiet = humantime::format_duration(Duration::from_secs((now - open.changed).as_secs()));
            let waits = open.last.as_ref().map(|note| format!(", at: {note}")).unwrap_or_default();
            Event::Warning { message: format!("{}: nothing new for {quiet}{waits}", stage.title()) }
        });
        told.collect()
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

/// The same events, with a warning among them whenever a stage has said nothing new for 30 s, 60 s, 120 s and so on.
/// Ends with them.
#[must_use]
pub fn with_stalls(mut events: UnboundedReceiver<Event>) -> UnboundedReceiver<Event> {
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        let mut stalls = Stalls::default();
        loop {
            let due = stalls.next_due();
            let heard = tokio::select! {
                biased;
                heard = events.recv() => heard,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    stalls.tell(Instant::now()).into_iter().for_each(|event| drop(sender.send(event)));
                    continue;
                }
            };
            let Some(event) = heard else { return };
            stalls.hear(&event, Instant::now());
            // Whoever listens may have gone; the run goes on.
            let _ = sender.send(event);
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, Reporter};

    const SECOND: Duration = Duration::from_secs(1);

    async fn warnings(speak: impl AsyncFnOnce(&Reporter)) -> Vec<String> {
        let (report, events) = Reporter::channel();
        let mut events = with_stalls(events);
        speak(&report).await;
        drop(report);
        let mut told = Vec::new();
        while let Some(event) = events.recv().await {
            if let Event::Warning { message } = event {
                told.push(message);
            }
        }
        told
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stage_is_told_of_with_what_it_waits_for_at_doubling_intervals() {
        let told = warnings(async |report| {
            let _timer = report.stage(Stage::Cluster);
            report.progress(Stage::Cluster, "node: waiting for it to register");
            tokio::time::sleep(125 * SECOND).await;
        });
        assert_eq!(
            told.await,
            [
                "cluster: nothing new for 30s, at: node: waiting for it to register",
                "cluster: nothing new for 1m, at: node: waiting for it to register",
                "cluster: nothing new for 2m, at: node: waiting for it to register",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_note_that_comes_back_is_no_change_and_a_new_one_is() {
        let told = warnings(async |report| {
            let _timer = report.stage(Stage::Apply);
            for _ in 0..4 {
                report.progress(Stage::Apply, "a: not yet; trying again");
                report.progress(Stage::Apply, "b: not yet; trying again");
                tokio::time::sleep(10 * SECOND).await;
            }
            for number in 0..4 {
                report.progress(Stage::Apply, format!("{number} of 4"));
                tokio::time::sleep(20 * SECOND).await;
            }
        });
        assert_eq!(told.await, ["apply: nothing new for 30s, at: b: not yet; trying again"]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_stage_has_its_own_silence_and_an_end_ends_it() {
        let told = warnings(async |report| {
            let images = report.stage(Stage::Images);
            let _cluster = report.stage(Stage::Cluster);
            for bytes in 0..4 {
                let (image, step) = ("i".to_owned(), "pull".to_owned());
                report.emit(Event::ImageProgress { image, step, bytes, total: None });
                tokio::time::sleep(10 * SECOND).await;
            }
            images.finish(Outcome::Passed, "done");
            tokio::time::sleep(10 * SECOND).await;
        });
        assert_eq!(told.await, ["cluster: nothing new for 30s"]);
    }
}
