//! What a failure leaves to read: everything there is to know about a sandbox, in one folder, before it is undone.
//!
//! Every source is asked at once and for a short time; one that cannot be had is noted, with why. What comes is written as
//! it comes, until the folder is full, and nothing gets into it but through the [`mask`].
//!
//! | file | what |
//! |---|---|
//! | `collect.rs` | from a sandbox in any state to a folder |
//! | `source.rs` | what a source gives, and asking one with a limit |
//! | `docker.rs` | what Docker knows: the node's log, events, descriptions |
//! | `kubernetes.rs` | what Kubernetes knows: events, pods, their logs |
//! | `sink.rs` | the way of all findings into the folder: masked, bounded, listed |
//! | `run_log.rs` | what this program knows: the failure, the run, the plan |
//! | `folder.rs` | the folder: where it is, who may read it, how much goes in, which are kept |
//! | `index.rs` | its first page, from the first cause on |
//! | `story.rs` | its page: the run, with what was found |
//! | `mask.rs` | secrets out of text and data |
//! | `masked.rs` | the view that hands a run's events on without their secrets |
//! | `archive.rs` | the folder as one file |

mod archive;
mod collect;
mod docker;
mod folder;
mod index;
mod kubernetes;
pub mod mask;
mod masked;
mod run_log;
mod sink;
mod source;
mod story;

pub use archive::archive;
pub use collect::{AttachedCluster, EvidenceRequest, collect};
pub use folder::latest;
pub use masked::Masked;
