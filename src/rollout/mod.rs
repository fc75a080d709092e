//! When a workload is ready, and what it waits for until then.
//!
//! | file | what |
//! |---|---|
//! | `model.rs` | the status of a workload as data |
//! | `status.rs` | the reducer: a workload and its neighbours to a [`Status`] |
//! | `pods.rs` | which pods are the workload's newest, and what holds one back |
//! | `events.rs` | Kubernetes events about an object, and reading JSON |
//! | `cache.rs` | what the watches have seen so far, and what follows from it |
//! | `wait.rs` | watches until all are ready, one is stuck, or time is up |
//! | `images.rs` | the images that pods run |
//! | `restarts.rs` | restarts of containers: how often, and what the last one died of |
//! | `last_words.rs` | which line of a log tells why a container ended |
//! | `execution_pods.rs` | what holds back the pods of an execution |
//! | `sockets.rs` | the ports that a container listens on |
//! | `explain.rs` | the failure of a wait: first cause, log tail, events |

mod cache;
mod events;
mod execution_pods;
mod explain;
mod images;
mod last_words;
mod model;
mod pods;
mod restarts;
mod sockets;
mod status;
mod wait;

pub use execution_pods::ExecutionPods;
pub use images::{RunningImage, images_within};
pub use model::{Blocker, ContainerRef, LastExit, Neighbours, Status};
pub(crate) use pods::status as pod_status;
pub use restarts::{ContainerLife, LastEnd, container_lives, died_since, lives_within};
pub use status::status;
pub use wait::{first_cause, ready_now, wait};
