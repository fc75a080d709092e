//! What would stand in the way, before anything is touched: all of it in one go.
//!
//! | file | what |
//! |---|---|
//! | `finding.rs` | a finding, and when findings stop a run |
//! | `run.rs` | looks at everything at once |
//! | `ports.rs` | ports of the host: free, or held by whom |
//! | `holder.rs` | which process listens on a port |
//! | `images.rs` | images for another processor, and a proxy that Docker does not know |
//! | `host.rs` | Docker, k3d, memory, disk: judged from what was seen |

mod finding;
mod holder;
mod host;
mod images;
mod ports;
mod run;

pub use finding::{Finding, blockers, summary};
pub use images::{Wanted, images};
pub use run::{rehearsal, run};
