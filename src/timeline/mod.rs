//! What took how long in a run, from its events.
//!
//! | file | what |
//! |---|---|
//! | `intervals.rs` | stages, what they waited for, images, workloads and workflows |
//! | `critical_path.rs` | the chain of stages that made the run as long as it was |
//! | `trace.rs` | a run for Chrome's and Perfetto's viewers of traces |
//! | `comparison.rs` | what got slower from one run to another |

mod comparison;
mod critical_path;
mod intervals;
mod trace;

pub use comparison::{Change, compare};
pub use critical_path::{Step, critical_path};
pub use intervals::{Interval, Kind, intervals, workload};
pub use trace::trace;
