//! Stand-ins for the world outside.
//!
//! | file | what |
//! |---|---|
//! | `docker.rs` | a Docker daemon in memory |

pub(crate) mod docker;
