//! One stream of [`Event`]s, and the views that are folds of it.
//!
//! | file | what |
//! |---|---|
//! | `event.rs` | the events of a run: the only interface between the stages and the views |
//! | `reporter.rs` | the handle through which stages emit events, and the history that explains a failure |
//! | `stall.rs` | warnings of stalled stages: those that have reported nothing new for a while |
//! | `view.rs` | views, and the loop that passes every event to all of them |
//! | `story.rs` | the lines of a run for a person, by verbosity: the fold that both human views share |
//! | `finale.rs` | the last lines of a run: its endpoints, or the error, its causes and the next steps |
//! | `words.rs` | durations, sizes, one-line texts, marks and their colours |
//! | `human.rs` | the view for a person: moving lines on a terminal, plain lines anywhere else |
//! | `live.rs` | the view on a terminal: finished stages stay as lines, each active one is a moving line below them |
//! | `plain.rs` | the view in a log: one line per event, with the time since the start |
//! | `json.rs` | the view for a program: NDJSON, and its JSON Schema |
//! | `log_lines.rs` | lines of several logs in one text |
//! | `junit.rs` | the view for a CI server: stages and probes as JUnit test cases |
//! | `samples.rs` | two sample runs, and the loop that plays them with fixed times |

mod event;
mod finale;
mod human;
mod json;
mod junit;
mod live;
mod log_lines;
mod plain;
mod reporter;
#[cfg(test)]
mod samples;
mod stall;
mod story;
mod view;
mod words;

pub use event::{About, Change, Endpoint, Event, Fact, Outcome, SCHEMA_VERSION, Severity, Waiting};
pub use human::human;
pub use json::{Json, Told, event_schema};
pub use junit::Junit;
pub use live::Live;
pub use log_lines::LogLines;
pub use plain::Plain;
pub use reporter::{Reporter, StageTimer};
pub use story::Verbosity;
pub use view::{View, drive};
pub(crate) use words::{bytes, plain, span};

pub use crate::stage::Stage;
