//! Stand-ins, so that the binary can be driven where neither k3d nor any image is to be had: the test program itself,
//! under the name of what it plays.
//!
//! | file | what |
//! |---|---|
//! | `k3d.rs` | `k3d version` and `k3d cluster create`, in both dialects, through the Docker CLI |
//! | `node.rs` | the node's container: the Kubernetes API and Flyte's three ports |
//! | `controllers.rs` | what becomes of what was applied |
//! | `faults.rs` | what the node does wrong, when it is told to |
//! | `access.rs` | access reviews, answered from the Roles that were applied |
//! | `flyte.rs` | what Flyte answers on the node's ports, once what answers is up |
//! | `containerd.rs` | `ctr images import` and `crictl images`, with a file for a store |
//! | `apiserver.rs`, `merge.rs`, `responders.rs`, `execution.rs`, `projects.rs` | shared with the integration tests |

mod access;
#[expect(dead_code, reason = "the integration tests use all of it")]
#[path = "../../it/support/apiserver.rs"]
mod apiserver;
mod containerd;
mod controllers;
#[expect(dead_code, reason = "the integration tests let executions go wrong in more ways")]
#[path = "../../it/support/execution.rs"]
mod execution;
mod faults;
mod flyte;
mod k3d;
#[path = "../../it/support/merge.rs"]
mod merge;
mod node;
#[expect(dead_code, reason = "the integration tests look into it")]
#[path = "../../it/support/projects.rs"]
mod projects;
#[path = "../../it/support/responders.rs"]
mod responders;

use std::process::ExitCode;

pub(crate) use faults::{Answer, Faults, PodFault, Workflow};
pub(crate) use k3d::{Failing, Noise, Part};

/// The program of the node's container.
pub(crate) const NODE: &str = "standin-node";
/// What else the node's container has.
pub(crate) const TOOLS: [&str; 3] = ["ctr", "crictl", "sh"];
/// Made when the stand-in's containerd answers.
const CONTAINERD_UP: &str = "/run/standin-containerd";
/// Flannel's file, which is there when pods can have a network.
const FLANNEL: &str = "/run/flannel/subnet.env";

/// Plays the part of this name, if it is one.
pub(crate) fn play(name: &str) -> Option<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match name {
        "k3d" => Some(k3d::main(&args)),
        NODE => Some(node::main(&args)),
        "ctr" | "crictl" => Some(containerd::main(name, &args)),
        "sh" => Some(if std::path::Path::new(FLANNEL).exists() { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        _ => None,
    }
}

/// A line as k3s and k3d log it.
fn log(level: &str, message: &str) {
    eprintln!("time=\"2021-06-01T00:00:00Z\" level={level} msg=\"{message}\"");
}
