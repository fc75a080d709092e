//! The Docker Engine API. No other module names the client crate.
//!
//! | file | what |
//! |---|---|
//! | `endpoint.rs` | which daemon: `DOCKER_HOST`, contexts, sockets |
//! | `client.rs` | the connection, and what the daemon says about itself |
//! | `container.rs` | containers: list, inspect, logs, files, start, removal |
//! | `evidence.rs` | descriptions as they are, the end of a log, what happened |
//! | `exec.rs` | a command inside a container, with or without input |
//! | `image.rs` | images: inspect, save, load, pull |
//! | `machine.rs` | a container that is a machine of its own |
//! | `pull.rs` | a pull's progress, layer by layer |
//! | `storage.rs` | volumes and networks |
//! | `tar.rs` | the one file in an archive |

mod client;
mod container;
mod endpoint;
mod evidence;
mod exec;
mod image;
mod machine;
mod pull;
mod storage;
mod tar;

pub use client::{About, Docker};
pub use container::{Container, ContainerState, Inspected, PublishedPort};
pub use endpoint::{Endpoint, Origin};
pub use exec::Output;
pub use image::Image;
pub use machine::Machine;
pub use pull::{PullEvent, PullState};
pub use storage::{Network, Volume};
