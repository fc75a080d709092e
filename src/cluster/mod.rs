//! The k3d cluster: one node, made by `k3d` or as k3d would make it, watched and removed through Docker.
//!
//! | file | what |
//! |---|---|
//! | `engine.rs` | what makes the node: k3d, or Docker's own API in its place |
//! | `k3d.rs` | the `k3d` on the path, its version, running it |
//! | `dialect.rs` | the command lines of k3d 4 and 5 |
//! | `direct.rs` | the node made straight through the Docker API |
//! | `entrypoint.sh` | what such a node does before k3s starts |
//! | `arguments.rs` | what k3s is told, whoever starts it |
//! | `labels.rs` | labels on containers and volumes |
//! | `node.rs` | the node's container: what state it is in, starting and removing all that belongs to it |
//! | `expiry.rs` | when a sandbox's time is over |
//! | `crash.rs` | a node that does not stay up, and why |
//! | `kubeconfig.rs` | access to the cluster, as text |
//! | `ready.rs` | what is missing until pods can run |
//! | `dns.rs` | until names resolve in the cluster |
//! | `ensure.rs` | from whatever there is to a cluster that is ready |

mod arguments;
mod crash;
mod dialect;
mod direct;
mod dns;
mod engine;
mod ensure;
mod expiry;
mod k3d;
mod kubeconfig;
mod labels;
mod node;
mod ready;

#[cfg(fuzzing)]
pub use crash::describe as describe_crash;
pub use crash::{gone, watch_node};
pub use dialect::Dialect;
pub use dns::wait_for_dns;
pub use engine::Engine;
pub use ensure::{Cluster, ensure};
pub use expiry::{expire, expiries, forget_expiry};
pub use k3d::{K3d, Version};
pub use kubeconfig::{kubeconfig, merge_kubeconfig};
pub use labels::OWNER_LABEL;
pub(crate) use labels::{CLUSTER_LABEL, claim_prefix, cluster_labels};
pub(crate) use node::{Belongings, belongings};
pub use node::{NodeState, Removed, delete, owned, state};
