//! The Kubernetes API.
//!
//! | file | what |
//! |---|---|
//! | `client.rs` | a client from kubeconfig text, never from the user's own surroundings |

mod client;

pub use client::client;
