//! Turns a bundle into exactly what this sandbox runs, by named transforms that know neither files nor clusters.
//!
//! | file | what |
//! |---|---|
//! | `pipeline.rs` | the transforms in order, and what each of them changed |
//! | `transforms/` | one file each; [`TRANSFORMS`] lists them |
//! | `context.rs` | what every transform is given, and the draft it works on |
//! | `component.rs` | which object belongs to which part of Flyte |
//! | `config.rs` | a lens into the YAML files inside a ConfigMap |
//! | `references.rs` | where a namespace can stand in a value |
//! | `pod_references.rs` | what pods read or run as, by name |
//! | `deviations.rs` | what a component of the input says otherwise than the built-in one |
//! | `changes.rs` | the difference between two sets of objects |
//! | `lock.rs` | which images are pinned |
//! | `verify.rs` | what holds after every render |
//! | `error.rs` | why manifests cannot be used |

mod changes;
mod component;
mod config;
mod context;
mod deviations;
mod error;
mod lock;
mod pipeline;
mod pod_references;
mod references;
mod transforms;
mod verify;

#[cfg(test)]
mod tests;

pub use changes::{Change, What};
pub use component::{Component, component_of};
pub use context::{Effect, Warning};
pub use deviations::Deviation;
pub use error::RenderError;
pub use lock::{Lock, LockError, Pin, nearest_release};
pub use pipeline::{Rendered, explain, render};
pub(crate) use pod_references::PodReference;
pub use transforms::{TRANSFORMS, Transform};

/// Changes with the configuration that a pod reads when it starts.
pub const CONFIG_CHECKSUM: &str = "sandbox.flyte/config-checksum";
