//! Stand-ins for the world outside.
//!
//! | file | what |
//! |---|---|
//! | `apiserver.rs` | a Kubernetes API in memory |
//! | `docker.rs` | a Docker daemon in memory |
//! | `flyte.rs` | what a Flyte answers on its published ports |
//! | `merge.rs` | what a server-side apply does to an object |

pub(crate) mod apiserver;
pub(crate) mod docker;
pub(crate) mod flyte;
mod merge;
