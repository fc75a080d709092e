//! An attached cluster: an existing cluster, in which the user has permissions in some namespaces only.
//!
//! | file | what |
//! |---|---|
//! | `cluster_location.rs` | the location of a sandbox on an attached cluster, and its record in the state folder |
//! | `access.rs` | access to an attached cluster by one context of the user's kubeconfig, which is read and never written |
//! | `rights.rs` | permissions of the user who runs `up`: a pure table from the objects |
//! | `admin.rs` | manifests that a cluster admin applies before `up`: a pure function of the spec and of the permissions that `up` needs |
//! | `prerequisites.rs` | preflight of an attached cluster: missing namespaces, permissions and kinds, all at once |

mod access;
mod admin;
mod cluster_location;
mod prerequisites;
mod rights;

pub use access::ClusterAccess;
pub use admin::{RbacSubject, manifests};
pub use cluster_location::ClusterLocation;
pub use prerequisites::{ClusterCheck, check};
pub use rights::{Right, rights};
