//! What the user wants: a [`Spec`], from defaults, a file, the environment and flags, with the origin of every value.

mod model;

pub use model::{Domain, Ports, Spec, Storage, WorkflowNamespace};
