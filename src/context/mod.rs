//! A cluster that is there already: somebody else's, with namespaces that are given and rights in them alone.
//!
//! | file | what |
//! |---|---|
//! | `place.rs` | which cluster, where in it, and how that is remembered |
//! | `access.rs` | the user's kubeconfig, read and never written, for one named context |
//! | `rights.rs` | what whoever runs `up` must be allowed: a pure table from the objects |
//! | `admin.rs` | what a cluster admin applies before: a pure function of the spec and that table |
//! | `look.rs` | what is missing there, all of it at once, before anything is touched |

mod access;
mod admin;
mod look;
mod place;
mod rights;

pub use access::Access;
pub use admin::{Subject, manifests};
pub use look::{Seen, look};
pub use place::Place;
pub use rights::{Right, rights};
