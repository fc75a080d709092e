//! Why a run fails: one catalogue, from which the exit code, the user's text, the JSON and the documentation come.
//!
//! | file | what |
//! |---|---|
//! | `catalogue.rs` | every reason: id, stage, exit code, what it means, what to do, whether trying again may help |
//! | `recognise.rs` | the reasons behind the words of Docker, k3d, k3s, the kubelet, the API and Flyte's components |
//! | `page.rs` | the catalogue as a page of documentation |

mod catalogue;
mod page;
mod recognise;

pub use catalogue::{Entry, Reason};
pub use page::page;
pub use recognise::{PATTERNS, Pattern, Speaker, recognise};
