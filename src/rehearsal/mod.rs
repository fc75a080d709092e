//! Rehearsals: a simulated cluster of one node, with real sockets on the real ports and no Flyte behind them. The pipeline
//! is the same. For trying manifests, a CI job or the tool in a second without Docker, and for this project's own tests.
//!
//! | file | what |
//! |---|---|
//! | `config.rs` | configuration, lock and log of a rehearsal's process: files in the sandbox's state folder |
//! | `node.rs` | the rehearsal's process: its sockets and its reconciliation loop |
//! | `cluster.rs` | a simulated cluster of one node: its API, its controllers, and Flyte's ports |
//! | `api/` | a Kubernetes API in memory: objects, server-side apply with field ownership, watches, access reviews, logs, discovery, and faults on demand |
//! | `controllers.rs` | simulated controllers, scheduler and kubelet |
//! | `flyte/` | a simulated Flyte: responses on its published ports, and its objects in Kubernetes |
//! | `faults.rs` | faults to inject into a rehearsal |
//! | `fault_flag.rs` | the value of `--rehearse`: `pod=flyteadmin,reason=CrashLoopBackOff` |

mod api;
mod cluster;
mod config;
mod controllers;
mod fault_flag;
mod faults;
mod flyte;
mod node;

pub use api::ApiServer;
pub use cluster::Cluster;
pub use config::{BANNER, COMMAND, LiveProcess, RehearsalConfig, config_file, is_recorded, log_file};
pub use faults::{Answer, Faults, PodFault, Request, Workflow};
pub use flyte::{Executions, Minio, Port, Projects, Responders, as_minio, json_of, not_found};
pub use node::serve;
