//! The view that writes a run's events as they come, within bounds.

use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use humantime::format_rfc3339_millis;
use serde_json::json;

use super::bounds::Bounds;
use super::folder::Folder;
use super::recorded::FORMAT;
use crate::report::{Event, Json, View};

/// A recording under way. What cannot be written is left out: it is in no run's way.
pub struct Recording {
    to: Option<Json<File>>,
    bounds: Bounds,
}

impl Recording {
    /// Begins the recording of a run.
    ///
    /// # Errors
    /// The file system's own.
    pub fn begin(folder: &Folder, began: SystemTime) -> io::Result<Self> {
        let mut file = folder.create(began)?;
        writeln!(file, "{}", json!({"recording": FORMAT, "began": format_rfc3339_millis(began).to_string()}))?;
        Ok(Self { to: Some(Json::new(file)), bounds: Bounds::default() })
    }
}

impl View for Recording {
    fn on(&mut self, at: Duration, event: &Event) -> io::Result<()> {
        let Some(to) = &mut self.to else { return Ok(()) };
        let kept = self.bounds.admit(at, event)?;
        if kept.iter().any(|event| to.on(at, event).is_err()) {
            self.to = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Folder, Recorded};
    use super::*;
    use crate::failure::{Failure, Reason};
    use crate::report::{Outcome, Stage};

    fn recorded(events: &[(u64, Event)]) -> (Recorded, u64) {
        let state = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(state.path());
        let mut recording = Recording::begin(&folder, SystemTime::UNIX_EPOCH).expect("begun");
        for (at, event) in events {
            recording.on(Duration::from_millis(*at), event).expect("never in a run's way");
        }
        let path = folder.find(None).expect("there").path;
        (Recorded::read(&path).expect("a recording"), std::fs::metadata(path).expect("there").len())
    }

    fn ended(failure: Failure) -> Event {
        let exit_code = failure.exit_code();
        let summary = failure.what.clone();
        Event::RunFinished { outcome: Outcome::Failed, summary, exit_code, failure: Some(failure), millis: 7 }
    }

    #[test]
    fn what_was_said_is_read_back() {
        let failure = Failure::new(Reason::WorkflowFailed, "a workflow").on("x/d-dev").evidence(["no such host"]);
        let ways = crate::report::Endpoint {
            name: "minio".to_owned(),
            url: "http://127.0.0.1:1/".to_owned(),
            credentials: Some("`sandbox credentials` prints the keys".to_owned()),
        };
        let events = [
            (0, Event::StageStarted { stage: Stage::Plan }),
            (5, Event::Ready { endpoints: vec![ways.clone()], kubectl: String::new() }),
            (7, ended(failure)),
        ];
        let (recorded, _) = recorded(&events);
        assert_eq!((recorded.events.len(), recorded.unread), (3, 0));
        assert_eq!(recorded.events[0], (Duration::ZERO, events[0].1.clone()));
        assert_eq!(recorded.events[1].1, Event::Ready { endpoints: vec![ways], kubectl: String::new() });
        let Event::RunFinished { failure: Some(failure), .. } = &recorded.events[2].1 else { panic!("no end") };
        assert_eq!(
            (failure.reason, failure.evidence.as_slice()),
            (Reason::WorkflowFailed, &["no such host".to_owned()][..])
        );
        assert_eq!(failure.hints.len(), 0, "those of the reason are not its own");
    }

    #[test]
    fn whatever_is_said_it_stays_small_and_has_its_end() {
        let mut events = vec![(0, Event::StageStarted { stage: Stage::Rollout })];
        for at in 1..5000 {
            events.push((at, Event::Progress { stage: Stage::Rollout, note: format!("{at} {}", "x".repeat(3000)) }));
            events.push((at, Event::Warning { message: "y".repeat(3000) }));
        }
        events.push((5000, ended(Failure::new(Reason::TimedOut, "up").evidence(vec!["z".repeat(9000); 900]))));
        let (recorded, bytes) = recorded(&events);
        assert!(bytes <= 100_000, "{bytes}");
        assert!(matches!(recorded.events.last(), Some((_, Event::RunFinished { .. }))), "{}", recorded.events.len());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_ends_the_recording_and_not_the_run() {
        let full = File::options().write(true).open("/dev/full").expect("there");
        let mut recording = Recording { to: Some(Json::new(full)), bounds: Bounds::default() };
        let event = Event::StageStarted { stage: Stage::Plan };
        recording.on(Duration::ZERO, &event).expect("never in a run's way");
        assert!(recording.to.is_none());
        recording.on(Duration::ZERO, &event).expect("nor later");
    }
}
