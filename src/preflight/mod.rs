//! Preflight checks: every problem at once, before anything is changed.
//!
//! | file | what |
//! |---|---|
//! | `data.rs` | findings about kept data of an earlier sandbox |
//! | `finding.rs` | findings of preflight, and the failure for blockers |
//! | `run.rs` | the preflight checks of a node and of a rehearsal |
//! | `ports.rs` | findings about host ports: free, or the process or container that uses them |
//! | `holder.rs` | the process that uses a port |
//! | `machine.rs` | the machine that Docker runs on: disk, inotify, emulators |
//! | `images.rs` | findings about images: their processor architecture, and a proxy for pulls |
//! | `host.rs` | findings about Docker, k3d, memory, disk and inotify |

mod data;
mod finding;
mod holder;
mod host;
mod images;
mod machine;
mod ports;
mod run;

pub use data::kept_data;
pub use finding::{Finding, blockers, summary};
pub use images::{images, look_for_images};
pub use run::{Seen, findings, forwarder_lets_go, look, raw_containers, rehearsal};
