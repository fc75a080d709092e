//! Flyte as the rest of the program sees it: names, labels, ports, its custom resource, admin's HTTP API.
//!
//! All of it is data. Who renders, checks, removes or plays a Flyte takes the names from here.
//!
//! | file | what |
//! |---|---|
//! | `labels.rs` | labels on objects, and on the pods of executions |
//! | `names.rs` | names of Deployments, ServiceAccounts, locks and Services |
//! | `election.rs` | leader elections: which object is the lock, and who holds it |
//! | `workflow.rs` | the custom resource FlyteWorkflow |
//! | `admin.rs` | flyteadmin's HTTP API: requests and answers, whichever way they travel |
//! | `task_resources.rs` | what tasks get that name no resources, by project and domain |
//! | `launch.rs` | an execution of a launch plan: requests about it, and what is new in the answers |

pub mod admin;
pub mod election;
pub mod labels;
pub mod launch;
pub mod names;
pub mod task_resources;
pub mod workflow;
