//! One stream of [`Event`]s, and the views that are folds of it.
//!
//! | file | what |
//! |---|---|
//! | `event.rs` | the events |
//! | `reporter.rs` | the handle that stages speak through |

mod event;
mod reporter;

pub use event::{Change, Endpoint, Event, Outcome, SCHEMA_VERSION, Severity, Stage, Waiting};
pub use reporter::{Reporter, StageTimer};
