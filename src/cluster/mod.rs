//! The k3d cluster: one node, made by `k3d` or as k3d would make it, watched and removed through Docker.
//!
//! | file | what |
//! |---|---|
//! | `engine.rs` | the two engines that create a node: k3d and the Docker API |
//! | `k3d.rs` | the `k3d` on the PATH: its version, and `k3d cluster create` |
//! | `dialect.rs` | the command lines of k3d 4 and 5 |
//! | `docker_engine.rs` | the node created through the Docker API, without k3d |
//! | `entrypoint.sh` | what such a node does before k3s starts |
//! | `docker_answers.rs`, `docker_answers.sh` | answers for a kubelet that asks for Docker |
//! | `k3s_args.rs` | arguments of `k3s server` |
//! | `labels.rs` | labels on containers and volumes |
//! | `node.rs` | the node's container: what state it is in, starting and removing all that belongs to it |
//! | `data.rs` | the data volume |
//! | `taken.rs` | which cluster a sandbox is on |
//! | `forwarder.rs`, `forward.sh` | the container that publishes the ports of a sandbox on a cluster of another name |
//! | `volumes.rs` | checks of the volumes that a node mounts |
//! | `snapshot.rs` | snapshots: copies of a data volume, from which other sandboxes begin |
//! | `snapshot_volumes.rs` | the volumes of snapshots: listing and removing |
//! | `expiry.rs` | the expiry time of a sandbox |
//! | `crash.rs` | detection of a node that crashes |
//! | `node_log.rs` | how a node went down, and the cause in its log |
//! | `kubeconfig.rs` | the kubeconfig |
//! | `ready.rs` | the wait until pods can run |
//! | `dns.rs` | the wait for CoreDNS |
//! | `node_hosts.rs` | the names of the nodes for CoreDNS |
//! | `reconcile.rs` | a cluster in any state, made into one that is ready |
//! | `error.rs` | errors of a cluster, and the failure that each becomes |

mod crash;
mod data;
mod dialect;
mod dns;
mod docker_answers;
mod docker_engine;
mod engine;
mod error;
mod expiry;
mod forwarder;
mod k3d;
mod k3s_args;
mod kubeconfig;
mod labels;
mod node;
mod node_hosts;
mod node_log;
mod ready;
mod reconcile;
mod snapshot;
mod snapshot_volumes;
mod taken;
mod volumes;

pub use crash::{node_gone, watch_node};
pub use data::{KeptData, kept_data, make_data_volume, unfilled};
pub use dialect::Dialect;
pub use dns::wait_for_dns;
pub use docker_engine::recipe;
pub use engine::Engine;
pub use error::{Error, K3dError};
pub use expiry::{expire, expiries, forget_expiry};
pub use forwarder::{node, publish_again, take};
pub use k3d::{K3d, Version};
pub use kubeconfig::{is_of, kubeconfig, kubeconfig_named, merge_kubeconfig};
pub use labels::OWNER_LABEL;
pub(crate) use labels::{CLUSTER_LABEL, claim_prefix, cluster_labels};
pub(crate) use node::{Belongings, belongings};
pub use node::{Data, NodeState, Removed, delete, freeze, owned, started, state, stop};
pub use node_log::{NodeDown, NodeEnd};
pub use ready::{Access, unreachable};
pub use reconcile::{Cluster, reconcile, resume};
pub use snapshot::{abandon_snapshot, discard_unfilled, fill_from_snapshot, is_filling, leave_data, save_snapshot};
pub use snapshot_volumes::{
    HalfSnapshot, Snapshot, discard_half_snapshots, half_snapshots, is_saving, remove_snapshot, snapshots,
};
pub use taken::{Taken, cluster_of, taken};
