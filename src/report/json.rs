//! The view for a program: NDJSON, and its JSON Schema.

use std::io::{self, Write};
use std::time::Duration;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::Event;
use super::view::View;

/// A line of the NDJSON stream of `--output json`: an event, and when it happened.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "sandbox event")]
struct Line<'a> {
    /// Milliseconds since the start of the run.
    at_ms: u64,
    /// True for a rehearsal, in which nothing of Flyte runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rehearsal: bool,
    #[serde(flatten)]
    event: &'a Event,
}

/// A line of the stream, read back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Told {
    at_ms: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

impl Told {
    /// The time since the start of the run.
    #[must_use]
    pub const fn at(&self) -> Duration {
        Duration::from_millis(self.at_ms)
    }
}

/// One JSON object per line and event.
pub struct Json<W> {
    to: W,
    rehearsal: bool,
}

impl<W: Write + Send> Json<W> {
    /// Writes to `to`, and flushes after every line.
    pub fn new(to: W) -> Self {
        Self { to, rehearsal: false }
    }
}

impl<W: Write + Send> View for Json<W> {
    fn on(&mut self, at: Duration, event: &Event) -> io::Result<()> {
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.rehearsal |= matches!(event, Event::Rehearsal { .. });
        let mut line = serde_json::to_vec(&Line { at_ms, rehearsal: self.rehearsal, event })?;
        line.push(b'\n');
        self.to.write_all(&line)?;
        self.to.flush()
    }
}

/// The JSON Schema of a line of the stream.
#[must_use]
pub fn event_schema() -> Value {
    // What is written, not what could be read: empty fields are left out.
    SchemaSettings::default().for_serialize().into_generator().into_root_schema_for::<Line<'_>>().to_value()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Event, Stage};
    use super::{Json, View, event_schema};

    #[test]
    fn a_line_is_the_event_and_its_time() {
        let mut out = Vec::new();
        let event = Event::Progress { stage: Stage::Smoke, note: "a\nb".to_owned() };
        Json::new(&mut out).on(Duration::from_millis(1500), &event).expect("a Vec takes everything");
        let expected = r#"{"at_ms":1500,"event":"progress","stage":"smoke","note":"a\nb"}"#.to_owned() + "\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn the_schema_in_the_repository_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/sandbox/schema/event.schema.json");
        let fresh = serde_json::to_string_pretty(&event_schema()).expect("a schema is JSON") + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &fresh).expect("the schema can be written");
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == fresh, "{path} is stale: run this test with UPDATE_SCHEMA=1");
    }
}
