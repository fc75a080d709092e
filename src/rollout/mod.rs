//! When a workload is ready, and what it waits for until then.
//!
//! | file | what |
//! |---|---|
//! | `status.rs` | the reducer: a workload and its neighbours to a [`Status`] |
//! | `pods.rs` | which pods are the workload's newest, and what holds one back |
//! | `happenings.rs` | Kubernetes events about an object, and reading JSON |
//! | `picture.rs` | what the watches have seen so far, and what follows from it |
//! | `wait.rs` | watches until all are ready, one is stuck, or time is up |
//! | `explain.rs` | the failure of a wait: first cause, log tail, events |

mod explain;
mod happenings;
mod picture;
mod pods;
mod status;
mod wait;

pub(crate) use pods::status as pod_status;
pub use status::{Cause, Culprit, End, Neighbours, Status, status};
pub use wait::{ready_now, wait};
