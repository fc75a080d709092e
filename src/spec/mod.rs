//! What the user wants: a [`Spec`], from defaults, a file, the environment and flags, with the origin of every value.
//!
//! | file | what |
//! |---|---|
//! | `model.rs` | the complete, valid spec |
//! | `credentials.rs` | secrets that are not shown, and the key that they are derived from |
//! | `grants.rs` | who may do what in the object store |
//! | `mirrors.rs` | registries that are asked in place of others |
//! | `layer.rs` | a partial one, each value with its origin; later layers win |
//! | `file.rs` | a layer from YAML text, with positions |
//! | `resolve.rs` | layers to spec |
//! | `check.rs` | the values of the layers against their rules: all problems at once |
//! | `rules.rs` | what a single value must be |
//! | `scope.rs` | the kind of cluster that is asked for, and the part of it that is the sandbox's |

mod check;
mod credentials;
mod file;
mod grants;
mod layer;
mod mirrors;
mod model;
mod resolve;
mod rules;
mod scope;
#[cfg(test)]
mod tests;

pub(crate) use check::NAME_LIMIT;
pub use credentials::{Keys, MachineKey, Secret, UPSTREAM};
pub use file::{PROFILES, built_in, parse, profile, schema};
pub use grants::{CATALOG_FOLDER, Grant, StoreUser};
pub use layer::{Layer, Origin, Provenance, Sourced};
pub use mirrors::Mirrors;
pub use model::{
    COMPONENTS, CredentialSource, Domain, EngineKind, Ports, Resources, Spec, Storage, Tasks, WorkflowNamespace,
};
pub use resolve::{Resolved, engine, is_name, name, resolve};
pub use rules::closest;
pub use scope::{DATA_FOLDER, NodeEngine, Scope, SiteKind};

use std::fmt;

/// One thing wrong with what the user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the value stands.
    pub origin: Origin,
    /// What is wrong with it.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}
