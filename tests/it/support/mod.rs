//! Stand-ins for the world outside.
//!
//! | file | what |
//! |---|---|
//! | `apiserver.rs` | a Kubernetes API in memory |
//! | `merge.rs` | what a server-side apply does to an object |

pub(crate) mod apiserver;
mod merge;
