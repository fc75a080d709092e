//! One stream of [`Event`]s, and the views that are folds of it.
//!
//! | file | what |
//! |---|---|
//! | `event.rs` | the events |
//! | `reporter.rs` | the handle that stages speak through |
//! | `stall.rs` | warnings for a stage that reports nothing new for a while |
//! | `view.rs` | what a view is, and the loop that shows every event to all of them |
//! | `story.rs` | events as things to tell a person, by verbosity: the fold both human views share |
//! | `finale.rs` | the last lines: where to go, or what failed, why, and what to do next |
//! | `words.rs` | durations, sizes, one-line texts, marks and their colours |
//! | `human.rs` | which of the two a person is shown |
//! | `live.rs` | for a terminal: a moving line per active stage |
//! | `plain.rs` | for a log: one line per thing that happened |
//! | `json.rs` | for a program: NDJSON, and its JSON Schema |
//! | `junit.rs` | for a CI server: stages and probes as test cases |
//! | `samples.rs` | two runs that the views' tests show |

mod event;
mod finale;
mod human;
mod json;
mod junit;
mod live;
mod plain;
mod reporter;
#[cfg(test)]
mod samples;
mod stall;
mod story;
mod view;
mod words;

pub use event::{Change, Endpoint, Event, Outcome, SCHEMA_VERSION, Severity, Waiting};
pub use human::human;
pub use json::{Json, event_schema};
pub use junit::Junit;
pub use live::Live;
pub use plain::Plain;
pub use reporter::{Reporter, StageTimer};
pub use story::Verbosity;
pub use view::{View, drive};

pub use crate::stage::Stage;
