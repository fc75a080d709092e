//! What the tests stand on.
//!
//! | file | what |
//! |---|---|
//! | `ground.rs` | what this machine has, and what is played |
//! | `cluster.rs` | the Kubernetes API of a sandbox, for those who meddle with it |
//! | `conformance.rs` | what a Kubernetes API and its double must answer alike; shared with the integration tests |
//! | `ports.rs` | ports that no other test takes; shared with the integration tests |
//! | `docker.rs` | the Docker CLI, and what is there |
//! | `browser.rs` | a browser without internet, looking at the console and at pages of runs |
//! | `devtools.rs` | the protocol that such a browser is told by what to do |
//! | `flytekit.rs` | flytekit in a virtual environment, and an image made of it |
//! | `images.rs` | images for stand-ins, made from this program |
//! | `desk.rs` | a folder to run the binary in, without Docker |
//! | `sandbox.rs` | one sandbox to drive, and the guard that leaves nothing of it |
//! | `daemon.rs` | a Docker daemon that goes wrong: between the binary and the real one |
//! | `vm.rs` | a Docker daemon in a virtual machine, played by namespaces and a forwarder of ports |
//! | `registry.rs` | a registry that goes wrong: before the real one where its image is here |
//! | `running.rs` | a run of the binary under way |
//! | `ran.rs` | what a run of the binary ended with |
//! | `schema.rs` | whether events are as the schema says |

pub(crate) mod browser;
pub(crate) mod cluster;
#[path = "../../it/support/conformance.rs"]
pub(crate) mod conformance;
pub(crate) mod daemon;
pub(crate) mod desk;
mod devtools;
pub(crate) mod docker;
pub(crate) mod flytekit;
pub(crate) mod ground;
pub(crate) mod images;
#[path = "../../it/support/ports.rs"]
pub(crate) mod ports;
pub(crate) mod ran;
pub(crate) mod registry;
pub(crate) mod running;
pub(crate) mod sandbox;
mod schema;
pub(crate) mod tls;
pub(crate) mod vm;
