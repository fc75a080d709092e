//! Stand-ins for the world outside.
//!
//! | file | what |
//! |---|---|
//! | `apiserver.rs` | a Kubernetes API in memory |
//! | `merge.rs` | what a server-side apply does to an object |
//! | `docker.rs` | a Docker daemon in memory |
//! | `flyte.rs` | what a Flyte answers on its published ports |
//! | `execution.rs` | what a Flyte does with a workflow |

pub(crate) mod apiserver;
pub(crate) mod docker;
pub(crate) mod execution;
pub(crate) mod flyte;
mod merge;
