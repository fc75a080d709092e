//! Stand-ins, so that the binary can be driven where neither k3d nor any image is to be had: the test program itself,
//! under the name of what it plays.
//!
//! | file | what |
//! |---|---|
//! | `k3d.rs` | `k3d version` and `k3d cluster create`, in both dialects, through the Docker CLI |
//! | `node.rs` | the node's container: the Kubernetes API and Flyte's three ports, as a rehearsal plays them |
//! | `faults.rs` | what the node does wrong, when it is told to |
//! | `containerd.rs` | `ctr images import`, `ctr images ls` and `crictl images`, with a file for a store |
//! | `kubectl.rs` | `kubectl get --raw`, in the node |
//! | `forwarder.rs` | the forwarder of a virtual machine's ports, as Lima has it |

mod containerd;
mod faults;
mod forwarder;
mod k3d;
mod kubectl;
mod node;

use std::process::ExitCode;

pub(crate) use faults::Faults;
pub(crate) use forwarder::Forwarding;
pub(crate) use k3d::{Failing, Noise, Part};

/// The program of the node's container.
pub(crate) const NODE: &str = "standin-node";
/// What else the node's container has.
pub(crate) const TOOLS: [&str; 4] = ["ctr", "crictl", "kubectl", "sh"];
/// The forwarder of a virtual machine's ports, by the name that Lima's has.
pub(crate) const FORWARDER: &str = "limactl";
/// Its other end, within the machine.
pub(crate) const FAR_END: &str = "standin-end";
/// What a look at a virtual machine from a container asks for, among others.
const INOTIFY: &str = "/proc/sys/fs/inotify/max_user_instances";
/// What it sees there.
const MACHINE: &str = "overlay 61255492 10485760 50769732 18% /\ninotify 512\nemulators register status";
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
        "kubectl" => Some(kubectl::main(&args)),
        FORWARDER => Some(forwarder::here(&args)),
        FAR_END => Some(forwarder::there(&args)),
        "sh" => Some(shell(&args)),
        _ => None,
    }
}

/// `-c SCRIPT node GATEWAY ARGS` starts the node, as the engine docker does; another script looks at the machine, and any
/// other asks for the node's network.
fn shell(args: &[String]) -> ExitCode {
    match args {
        [_, _, _, _gateway, args @ ..] => node::main(args),
        [_, script] if script.contains(INOTIFY) => {
            println!("{MACHINE}");
            ExitCode::SUCCESS
        }
        _ if std::path::Path::new(FLANNEL).exists() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// A line as k3s and k3d log it.
fn log(level: &str, message: &str) {
    eprintln!("time=\"2021-06-01T00:00:00Z\" level={level} msg=\"{message}\"");
}
