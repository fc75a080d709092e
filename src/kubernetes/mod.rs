//! The Kubernetes API: server-side apply, the inventory of what was applied, and pruning.
//!
//! | file | what |
//! |---|---|
//! | `client.rs` | a client from a kubeconfig, never from the user's own surroundings |
//! | `kinds.rs` | where a kind lives in the API, and whether it is namespaced |
//! | `error.rs` | errors of the API by kind, and what each means: try again, or never |
//! | `wording.rs` | errors that the API tells by its message alone |
//! | `retry.rs` | one request with a limit, and requests that are repeated until they are taken |
//! | `normalise.rs` | what the API of Kubernetes before 1.22 needs to take an apply |
//! | `apply.rs` | objects to the API, and what that changed |
//! | `presence.rs` | what is in the cluster, and how that differs from what was applied |
//! | `edits.rs` | fields that somebody else changed, removed or added since they were applied |
//! | `fields.rs` | fields as the API records who owns them |
//! | `additions.rs` | fields that somebody added, and the patch that takes them away |
//! | `request.rs` | one object: apply until taken or refused, replace, wait for a CRD |
//! | `election.rs` | the locks of a leader election: let go where nobody is left to do so |
//! | `restart.rs` | a Deployment's pods made anew |
//! | `port_forward.rs` | ports of this machine that lead to pods, while they are needed |
//! | `exec.rs` | commands in a container |
//! | `feed.rs` | the input of such a command |
//! | `attach.rs` | a command in a container that somebody types into and reads along with |
//! | `selection.rs` | the pods that a user names |
//! | `logs.rs` | the logs of pods: their end, and what comes |
//! | `out_of_memory.rs` | containers that were killed for lack of memory |
//! | `delete.rs` | pods deleted by label |
//! | `sweep.rs` | what users and workflows put into namespaces, deleted |
//! | `inventory.rs` | what was applied, kept in the cluster, and pruning of what is no longer |

mod additions;
mod apply;
mod attach;
mod client;
mod delete;
mod edits;
mod election;
mod error;
mod exec;
mod feed;
mod fields;
mod inventory;
mod kinds;
mod logs;
mod normalise;
mod out_of_memory;
mod port_forward;
mod presence;
mod request;
mod restart;
mod retry;
mod selection;
mod sweep;
mod wording;

pub use apply::apply;
pub(crate) use apply::existing;
pub use attach::{Input, RunningContainer, attach, running_container};
pub(crate) use client::connected;
pub use client::{KubeconfigError, client, streaming_client};
pub(crate) use delete::delete_pods;
pub(crate) use election::Locks;
pub(crate) use error::with_clock;
pub use error::{ApiError, Outlook};
pub use exec::{Container, ExecError, containers};
pub(crate) use inventory::NAME as INVENTORY;
pub use inventory::{Inventory, find, find_within, mark_proven, prune, save};
pub(crate) use inventory::{forget, withdraw};
pub(crate) use kinds::api_resource;
pub use kinds::{Resource, resolve};
pub use logs::{LogLine, follow, logs};
pub use normalise::normalise;
pub use out_of_memory::{OutOfMemory, out_of_memory};
pub use port_forward::{Forwarded, forward};
pub use presence::{Drift, drift};
pub(crate) use request::was_ours;
pub(crate) use restart::restart;
pub(crate) use retry::{ask, retry};
pub use selection::PodSelection;
pub(crate) use sweep::Sweep;

/// Requests under way at a time; more only queue inside a one-node API server.
const AT_ONCE: usize = 8;
