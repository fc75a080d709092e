//! The Docker Engine API. No other module names the client crate.
//!
//! | file | what |
//! |---|---|
//! | `endpoint.rs` | which daemon: `DOCKER_HOST`, contexts, sockets |
//! | `client.rs` | the connection to a Docker daemon, and its version and settings |
//! | `container.rs` | containers: list, inspect, logs, files, start, removal |
//! | `error.rs` | a request that the daemon did not fulfil |
//! | `evidence.rs` | inspections, log tails and events as the daemon gives them |
//! | `exec.rs` | a command inside a container, with or without input |
//! | `image.rs` | images: inspect, save, load, pull |
//! | `kept.rs` | how much of an answer is kept |
//! | `login.rs` | logins to registries, as `docker login` keeps them |
//! | `node_container.rs` | a privileged container that runs containers itself |
//! | `one_shot.rs` | a container that runs one command on some volumes, and is removed |
//! | `port_container.rs` | a container whose published ports lead on to another container |
//! | `provider.rs` | the product that runs the daemon: Docker Desktop, Colima, … |
//! | `pull.rs` | a pull's progress, layer by layer |
//! | `storage.rs` | volumes and networks |
//! | `usage.rs` | what a container uses of the machine |

mod client;
mod container;
mod endpoint;
mod error;
mod evidence;
mod exec;
mod image;
mod kept;
mod login;
mod node_container;
mod one_shot;
mod port_container;
mod provider;
mod pull;
mod storage;
mod usage;

pub use client::{About, Docker};
pub(crate) use container::LOOPBACK;
pub use container::{Container, ContainerState, Inspected, Protocol, PublishedPort};
pub use endpoint::{Endpoint, Origin};
pub use error::{Cause, Error, Kind, Request};
pub use exec::Output;
pub use image::Image;
pub use login::{CredentialHelper, Login, LoginSource};
pub use node_container::NodeContainer;
pub use one_shot::OneShot;
pub use port_container::PortContainer;
pub use provider::Provider;
pub use pull::{PullEvent, PullState};
pub use storage::{Network, Volume};
