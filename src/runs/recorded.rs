//! A recording, read back.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use humantime::parse_rfc3339;
use serde::Deserialize;

use crate::report::{Event, Told, View};

/// The version of the format. What changes how an older program would read a recording raises it.
pub(super) const FORMAT: u64 = 1;

/// The most bytes that are read of a file.
const MOST: u64 = 150_000;

/// A recording, read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// When the run began.
    pub began: SystemTime,
    /// What happened, with the time since then.
    pub events: Vec<(Duration, Event)>,
    /// Lines that this version cannot read: those of a later one, or one that was cut off.
    pub unread: usize,
}

#[derive(Deserialize)]
struct Head {
    recording: u64,
    began: String,
}

impl Recorded {
    /// Reads a recording.
    ///
    /// # Errors
    /// The file system's own; the file is no recording, or of a later format.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
        Self::parse(&String::from_utf8_lossy(&bytes)).map_err(io::Error::other)
    }

    /// Reads the text of a recording.
    ///
    /// # Errors
    /// It is none, or of a later format.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let head = lines.next().and_then(|line| serde_json::from_str::<Head>(line).ok());
        let head = head.ok_or("it is no recording of a run")?;
        if head.recording > FORMAT {
            return Err(format!("its format is {}, and this version reads {FORMAT}", head.recording));
        }
        let began = parse_rfc3339(&head.began).map_err(|error| format!("it says no time: {error}"))?;
        let (mut events, mut unread) = (Vec::new(), 0);
        for line in lines {
            match serde_json::from_str::<Told>(line) {
                Ok(told) => events.push((told.at(), told.event)),
                Err(_) => unread += 1,
            }
        }
        Ok(Self { began, events, unread })
    }

    /// Whether it is of a run on this sandbox.
    #[must_use]
    pub fn is_of(&self, name: &str) -> bool {
        self.events.iter().any(|(_, event)| matches!(event, Event::RunStarted { sandbox, .. } if sandbox == name))
    }

    /// Shows the events to a view.
    ///
    /// # Errors
    /// The view's.
    pub fn replay(&self, view: &mut dyn View) -> io::Result<()> {
        self.events.iter().try_for_each(|(at, event)| view.on(*at, event))?;
        view.end()
    }
}
