//! When a workload is ready, and what it waits for until then.
//!
//! | file | what |
//! |---|---|
//! | `status.rs` | the reducer: a workload and its surroundings to a [`Status`] |
//! | `pods.rs` | which pods are the workload's newest, and what holds one back |
//! | `happenings.rs` | Kubernetes events about an object |
//! | `wait.rs` | watches until all are ready, one is stuck, or time is up |
//! | `picture.rs` | what the watches have seen so far |
//! | `explain.rs` | the failure of a wait: first cause, log tail, events |
