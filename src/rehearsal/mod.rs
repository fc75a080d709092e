//! A sandbox that is played: the same pipeline against a cluster of one node that this program itself is, with real
//! sockets on the real ports and nothing of Flyte behind them. For trying manifests, a CI job or the tool in a second,
//! where there is no Docker, and for this project's own tests, which are played by the same code.
//!
//! | file | what |
//! |---|---|
//! | `config.rs` | what the process that plays and whoever starts it agree on |
//! | `node.rs` | that process from within: its sockets and its turns |
//! | `cluster.rs` | a cluster of one node: who answers what |
//! | `api/` | the Kubernetes API in memory |
//! | `controllers.rs` | what becomes of what was applied |
//! | `flyte/` | what a Flyte answers on its published ports |
//! | `faults.rs` | what goes wrong, when it is told to |
//! | `wish.rs` | what a user asks to go wrong |

mod api;
mod cluster;
mod config;
mod controllers;
mod faults;
mod flyte;
mod node;
mod wish;

pub use api::ApiServer;
pub use cluster::Cluster;
pub use config::{BANNER, COMMAND, LiveProcess, RehearsalConfig, config_file, is_recorded, log_file};
pub use faults::{Answer, Faults, PodFault, Request, Workflow};
pub use flyte::{Executions, Minio, Port, Projects, Responders, as_minio, json_of, not_found};
pub use node::play;
