//! A workflow run in one project and domain, or in all. It is registered, its namespace's propeller executes it, and its
//! log opens by admin's link.
//!
//! | file | what |
//! |---|---|
//! | `side_by_side.rs` | workflows in several projects and domains side by side, and their removal |
//! | `pair.rs` | the three workflow checks of one project and domain, each of which needs the one before it |
//! | `smoke_workflow.rs` | the workflow of the smoke test: names, and the exact JSON |
//! | `admin.rs` | requests to flyteadmin, and the meaning of its refusals |
//! | `wait.rs` | the wait for an execution to succeed, with its state on the way |
//! | `objects.rs` | Kubernetes objects of an execution: FlyteWorkflow, pod, events |
//! | `log_link.rs` | the task's log in the dashboard, by admin's link |
//! | `first_calls.rs` | flyteadmin's first calls, of which no two may meet |
//! | `failed_part.rs` | the part of Flyte that failed |

mod admin;
mod failed_part;
mod first_calls;
mod log_link;
mod objects;
mod pair;
mod side_by_side;
mod smoke_workflow;
mod wait;

pub(super) use side_by_side::run;
