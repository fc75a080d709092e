//! Stand-ins for the world outside.
//!
//! | file | what |
//! |---|---|
//! | `apiserver.rs` | a Kubernetes API in memory |
//! | `merge.rs` | what a server-side apply does to an object |
//! | `docker.rs` | a Docker daemon in memory |
//! | `execution.rs` | what a Flyte does with a workflow |
//! | `flyte.rs` | a Flyte that is up, and can be broken |
//! | `minio.rs` | a Minio as its administrator sees it |
//! | `projects.rs` | what admin does with projects |
//! | `responders.rs` | what a Flyte answers on its published ports |
//! | `stage.rs` | one smoke stage, played to its end |

#[expect(dead_code, reason = "the end-to-end tests' stand-in of a node uses the rest")]
pub(crate) mod apiserver;
pub(crate) mod docker;
pub(crate) mod execution;
pub(crate) mod flyte;
mod merge;
pub(crate) mod minio;
pub(crate) mod projects;
mod responders;
pub(crate) mod stage;
