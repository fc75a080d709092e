//! What of a run is kept where room is bounded.

use std::io;
use std::time::Duration;

use serde_json::Value;

use crate::report::{Event, Stage};

/// The most bytes of all events, as JSON; a recording has a head besides, and a warning of what is left out.
const MOST: usize = 99_000;
/// Bytes of a line besides its event: the time, and that it is a rehearsal.
const LINE: usize = 48;
/// Bytes after which notes of what moves are left out.
const NOTES: usize = 60_000;
/// Bytes after which everything is left out but how stages and the run end.
const ENDS: usize = 80_000;
/// The most characters of a text and the most items of a list in an event, and where that is too much for what room is
/// left.
const SIZES: [(usize, usize); 3] = [(2_000, 40), (500, 10), (100, 3)];
/// Time between two counts of one transfer.
const COUNT: Duration = Duration::from_secs(1);
/// Time between two looks at a rollout in which as many are ready; the more wait, the longer.
const LOOK: Duration = Duration::from_millis(400);

/// What of a run is kept: some 100 KB of events, whatever is said.
#[derive(Debug, Default)]
pub struct Bounds {
    kept: usize,
    /// Events that are not kept, besides notes of what moves.
    left_out: usize,
    counted: Option<Duration>,
    /// When the newest look at the rollout was, and how many were ready.
    rollout: Option<(Duration, usize)>,
    /// Whether the newest event was one of the rollout.
    was_rollout: bool,
}

impl Bounds {
    /// What is to be kept of an event: the event, its texts and lists cut, or nothing. Before the last one a warning says
    /// how many were left out, besides notes of what moves.
    ///
    /// # Errors
    /// None that could be met: an event is JSON.
    pub fn admit(&mut self, at: Duration, event: &Event) -> io::Result<Vec<Event>> {
        let mut kept = Vec::new();
        if matches!(event, Event::RunFinished { .. }) && self.left_out > 0 {
            let message = format!("{} events are left out here: a run is kept in {} KB", self.left_out, MOST / 1000);
            kept.push(Event::Warning { message });
        }
        let is_note = matches!(
            event,
            Event::Progress { .. }
                | Event::ImageProgress { .. }
                | Event::RolloutProgress { .. }
                | Event::CheckWaiting { .. }
        );
        let has_room = self.has_room_for(at, event);
        self.was_rollout = matches!(event, Event::RolloutProgress { .. });
        let fits = if has_room { self.cut(event)? } else { None };
        self.left_out += usize::from(fits.is_none() && !is_note);
        kept.extend(fits);
        Ok(kept)
    }

    /// The event with its texts and lists cut until there is room for it; absent where there is none.
    fn cut(&mut self, event: &Event) -> io::Result<Option<Event>> {
        let value = serde_json::to_value(event)?;
        for size in SIZES {
            let kept = fit(value.clone(), size);
            let bytes = kept.to_string().len() + LINE;
            if self.kept + bytes <= MOST {
                self.kept += bytes;
                return Ok(Some(serde_json::from_value(kept)?));
            }
        }
        Ok(None)
    }

    fn has_room_for(&mut self, at: Duration, event: &Event) -> bool {
        let moves = match event {
            Event::ImageProgress { bytes, total, .. } => {
                let is_last = Some(*bytes) == *total;
                if !is_last && self.counted.is_some_and(|last| at.saturating_sub(last) < COUNT) {
                    return false;
                }
                self.counted = Some(at);
                true
            }
            Event::RolloutProgress { ready, waiting, .. } => {
                let look = LOOK * (1 + u32::try_from(waiting.len()).unwrap_or(u32::MAX) / 10);
                let is_same = self.rollout.is_some_and(|(_, before)| before == *ready);
                let is_soon = self.rollout.is_some_and(|(last, _)| at.saturating_sub(last) < look);
                if is_same && is_soon && !waiting.is_empty() {
                    return false;
                }
                self.rollout = Some((at, *ready));
                true
            }
            // It says in words what the event before it said.
            Event::Progress { stage: Stage::Rollout, .. } if self.was_rollout => return false,
            Event::Progress { .. } | Event::CheckWaiting { .. } => true,
            _ => false,
        };
        let ends = matches!(
            event,
            Event::StageStarted { .. } | Event::StageFinished { .. } | Event::Ready { .. } | Event::RunFinished { .. }
        );
        ends || self.kept < if moves { NOTES } else { ENDS }
    }
}

/// A value with no text and no list that is longer than a page needs.
fn fit(value: Value, size: (usize, usize)) -> Value {
    let (length, items) = size;
    match value {
        Value::String(text) => match text.char_indices().nth(length) {
            Some((end, _)) => Value::String(format!("{}…", &text[..end])),
            None => Value::String(text),
        },
        Value::Array(all) => {
            let left = all.len().saturating_sub(items);
            // The newest lines of a log come last.
            Value::Array(all.into_iter().skip(left).map(|item| fit(item, size)).collect())
        }
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, fit(value, size))).collect()),
        other => other,
    }
}
