//! A workflow that really runs in a (project, domain): registered, executed by the propeller of its namespace, its log
//! readable by the link that admin gives.
//!
//! | file | what |
//! |---|---|
//! | `all.rs` | all wanted pairs side by side, and their removal |
//! | `pair.rs` | one pair's three checks, one after the other |
//! | `trial.rs` | what is registered and executed: names, and the exact JSON |
//! | `admin.rs` | requests to admin, and what its refusals mean |
//! | `progress.rs` | what an execution is doing, until it has ended |
//! | `traces.rs` | what Kubernetes has of it: FlyteWorkflow, pod, events |
//! | `log_link.rs` | the log, through the dashboard, by admin's link |
//! | `culprit.rs` | which part of a Flyte a failure belongs to |

mod admin;
mod all;
mod culprit;
mod log_link;
mod pair;
mod progress;
mod traces;
mod trial;

pub(super) use all::run;
