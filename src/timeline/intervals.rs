//! What took how long: stages, what they waited for, images and workloads.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::report::{Change, Event, Outcome, Stage, Waiting};

/// What an interval is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A stage of the run.
    Stage,
    /// What a stage said that it does or waits for.
    Note,
    /// Bytes of images on their way.
    Image,
    /// A workload, and what it waited for.
    Workload,
    /// A workflow of the smoke checks, and its phases.
    Workflow,
}

impl Kind {
    /// Its name, in the plural.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Stage => "stages",
            Self::Note => "notes",
            Self::Image => "images",
            Self::Workload => "workloads",
            Self::Workflow => "workflows",
        }
    }
}

/// Something that began and ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// What it is of.
    pub kind: Kind,
    /// Whose it is, such as `rollout` or `deployment/flyteadmin`.
    pub name: String,
    /// What happened in it.
    pub what: String,
    /// When it began, since the start of the run.
    pub from: Duration,
    /// When it ended.
    pub to: Duration,
    /// How it ended; absent for a part of something.
    pub outcome: Option<Outcome>,
}

/// The intervals of a run, in the order in which they began. What has not ended ends with the run.
#[must_use]
pub fn intervals(events: &[(Duration, Event)]) -> Vec<Interval> {
    let end = events.last().map(|(at, _)| *at).unwrap_or_default();
    let mut open = Open::default();
    for (at, event) in events {
        open.take(*at, event);
    }
    open.close(end);
    let mut all = open.closed;
    all.sort_by_key(|one| (one.from, one.kind));
    all
}

#[derive(Default)]
struct Open {
    stages: BTreeMap<String, Duration>,
    notes: BTreeMap<String, (Duration, String)>,
    images: BTreeMap<(String, String), (Duration, Duration)>,
    workloads: BTreeMap<String, (Duration, String)>,
    /// Workloads that were applied, and not looked at yet.
    applied: BTreeMap<String, Duration>,
    workflows: BTreeMap<String, (Duration, String)>,
    closed: Vec<Interval>,
}

impl Open {
    fn take(&mut self, at: Duration, event: &Event) {
        match event {
            Event::StageStarted { stage } => drop(self.stages.insert(stage.title().to_owned(), at)),
            Event::StageFinished { stage, outcome, summary, .. } => {
                let name = stage.title().to_owned();
                self.end_note(&name, at);
                let from = self.stages.remove(&name).unwrap_or(at);
                self.push(Kind::Stage, name, summary.clone(), from, at, Some(*outcome));
                if *stage == Stage::Rollout {
                    self.end_workloads(&[], at);
                }
            }
            Event::Progress { stage, note } => {
                let name = stage.title().to_owned();
                if self.notes.get(&name).is_none_or(|(_, before)| before != note) {
                    self.end_note(&name, at);
                    self.notes.insert(name, (at, note.clone()));
                }
            }
            Event::ImageProgress { image, step, .. } => {
                self.images.entry((image.clone(), step.clone())).or_insert((at, at)).1 = at;
            }
            Event::Applied { object, change: Change::Created | Change::Changed } => {
                if let Some(workload) = workload(object) {
                    self.applied.insert(workload, at);
                }
            }
            Event::RolloutProgress { waiting, .. } => {
                self.end_note(Stage::Rollout.title(), at);
                self.end_applied(waiting, at);
                self.end_workloads(waiting, at);
            }
            Event::CheckWaiting { check, note } if check.contains('/') => {
                self.end_workflow(check, at);
                self.workflows.insert(check.clone(), (at, note.clone()));
            }
            // Of the checks about a workflow, the one about its execution: `A5 x/d-dev`.
            Event::Probe { id, .. } => {
                if let Some((_, place)) = id.split_once(' ') {
                    self.end_workflow(place, at);
                }
            }
            _ => {}
        }
    }

    /// What was applied and does not wait has become ready before anybody looked.
    fn end_applied(&mut self, waiting: &[Waiting], at: Duration) {
        let waits = |workload: &str| waiting.iter().any(|one| one.object == workload);
        for (workload, from) in std::mem::take(&mut self.applied) {
            match waits(&workload) {
                true => drop(self.applied.insert(workload, from)),
                false => {
                    self.push(Kind::Workload, workload, "ready when it was first looked at".to_owned(), from, at, None)
                }
            }
        }
    }

    /// Ends what no longer waits, or waits for something else, and begins that.
    fn end_workloads(&mut self, waiting: &[Waiting], at: Duration) {
        let now: BTreeMap<&str, &str> = waiting.iter().map(|one| (one.object.as_str(), one.reason.as_str())).collect();
        let ended: Vec<String> = self
            .workloads
            .iter()
            .filter(|(object, (_, reason))| now.get(object.as_str()) != Some(&reason.as_str()))
            .map(|(object, _)| object.clone())
            .collect();
        for object in ended {
            if let Some((from, reason)) = self.workloads.remove(&object) {
                self.push(Kind::Workload, object, reason, from, at, None);
            }
        }
        for (object, reason) in now {
            let applied = self.applied.remove(object);
            self.workloads.entry(object.to_owned()).or_insert_with(|| (applied.unwrap_or(at), reason.to_owned()));
        }
    }

    fn end_workflow(&mut self, place: &str, at: Duration) {
        if let Some((from, note)) = self.workflows.remove(place) {
            self.push(Kind::Workflow, place.to_owned(), note, from, at, None);
        }
    }

    fn end_note(&mut self, stage: &str, at: Duration) {
        if let Some((from, note)) = self.notes.remove(stage) {
            self.push(Kind::Note, stage.to_owned(), note, from, at, None);
        }
    }

    fn close(&mut self, end: Duration) {
        for stage in self.notes.keys().cloned().collect::<Vec<_>>() {
            self.end_note(&stage, end);
        }
        self.end_workloads(&[], end);
        for place in self.workflows.keys().cloned().collect::<Vec<_>>() {
            self.end_workflow(&place, end);
        }
        for (name, from) in std::mem::take(&mut self.stages) {
            self.push(Kind::Stage, name, "did not end".to_owned(), from, end, Some(Outcome::Stopped));
        }
        for ((image, step), (from, to)) in std::mem::take(&mut self.images) {
            self.push(Kind::Image, image, step, from, to, None);
        }
    }

    fn push(&mut self, kind: Kind, name: String, what: String, from: Duration, to: Duration, outcome: Option<Outcome>) {
        self.closed.push(Interval { kind, name, what, from, to, outcome });
    }
}

/// `deployment/flyteadmin` of `deployment 103020-flytepoc-dev/flyteadmin`; absent for what has no pods.
#[must_use]
pub fn workload(object: &str) -> Option<String> {
    let (kind, name) = object.split_once(' ')?;
    let name = name.rsplit('/').next()?;
    ["deployment", "statefulset", "daemonset", "job"].contains(&kind).then(|| format!("{kind}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(at: u64) -> Duration {
        Duration::from_millis(at)
    }

    #[test]
    fn a_workload_waits_for_one_thing_after_another_and_what_did_not_end_ends_with_the_run() {
        let waits = |reason: &str| Event::RolloutProgress {
            ready: 0,
            total: 1,
            waiting: vec![Waiting { object: "deployment/minio".to_owned(), reason: reason.to_owned() }],
        };
        let events = [
            (ms(0), Event::StageStarted { stage: Stage::Rollout }),
            (ms(1), Event::Applied { object: "deployment n/minio".to_owned(), change: Change::Created }),
            (ms(2), waits("its pod starts")),
            (ms(2), waits("its pod starts")),
            (ms(5), waits("runs, not ready yet")),
            (ms(6), Event::Progress { stage: Stage::Rollout, note: "DNS".to_owned() }),
            (ms(9), Event::Warning { message: "slow".to_owned() }),
        ];
        let seen: Vec<_> = intervals(&events)
            .into_iter()
            .map(|one| (one.name, one.what, one.from.as_millis(), one.to.as_millis()))
            .collect();
        let of = |name: &str, what: &str, from, to| (name.to_owned(), what.to_owned(), from, to);
        assert_eq!(
            seen,
            [
                of("rollout", "did not end", 0, 9),
                of("deployment/minio", "its pod starts", 1, 5),
                of("deployment/minio", "runs, not ready yet", 5, 9),
                of("rollout", "DNS", 6, 9),
            ]
        );
        assert_eq!(intervals(&[]), []);
    }
}
