//! Recorded runs: each run that may change a sandbox leaves its events in the state folder.
//!
//! | file | what |
//! |---|---|
//! | `recording.rs` | the view that writes a run's events as they come, within bounds |
//! | `bounds.rs` | what of a run is kept where room is bounded |
//! | `folder.rs` | the recordings of this machine: their names, and how many are kept |
//! | `recorded.rs` | a recording, read back |
//! | `summary.rs` | a recorded run in one line |

mod bounds;
mod folder;
mod recorded;
mod recording;
mod summary;

pub use bounds::Bounds;
pub use folder::{Entry, Folder};
pub use recorded::Recorded;
pub use recording::Recording;
pub use summary::Summary;
