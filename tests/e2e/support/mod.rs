//! What the tests stand on.
//!
//! | file | what |
//! |---|---|
//! | `ground.rs` | what this machine has, and what is played |
//! | `cluster.rs` | the Kubernetes API of a sandbox, for those who meddle with it |
//! | `docker.rs` | the Docker CLI, and what is there |
//! | `images.rs` | images for stand-ins, made from this program |
//! | `sandbox.rs` | one sandbox to drive, and the guard that leaves nothing of it |
//! | `ran.rs` | what a run of the binary ended with |
//! | `schema.rs` | whether events are as the schema says |

pub(crate) mod cluster;
pub(crate) mod docker;
pub(crate) mod ground;
pub(crate) mod images;
pub(crate) mod ran;
pub(crate) mod sandbox;
mod schema;
