//! Smoke checks: the sandbox is a working Flyte, with no more permissions than it needs.
//!
//! All checks of the catalogue run at once, each until it passes or the budget ends. With `--full` a workflow then runs in
//! every project and domain.
//!
//! | file | what |
//! |---|---|
//! | `catalogue.rs` | the catalogue of smoke checks: id, title, what a pass proves |
//! | `run.rs` | the smoke stage: all checks at once with retries, then workflows |
//! | `check_report.rs` | reports of finished checks, and one failure for those that failed |
//! | `progress.rs` | the progress line of the checks: how many have passed, and what the next one waits for |
//! | `check_failure.rs` | the result of one attempt at a check, and of several together |
//! | `answers.rs` | the endpoints, asked once for a status |
//! | `arrival.rs` | published ports that do not arrive on this machine |
//! | `target.rs` | the sandbox under test, and how checks reach it |
//! | `http.rs` | HTTP requests to the published ports |
//! | `apiserver.rs` | requests through the Kubernetes API, pod and service proxies among them |
//! | `admin.rs`, `console.rs`, `dashboard.rs`, `datacatalog.rs`, `registry.rs` | checks of one component each |
//! | `s3.rs` | checks of Minio: health, browser, a signed round trip |
//! | `propeller.rs` | checks of the propellers: workers and leadership |
//! | `propeller_log.rs` | known faults of a propeller, by its log |
//! | `restarts.rs` | components that restart while they are checked |
//! | `access.rs` | access rules: which ServiceAccount is allowed what, as a pure table from the spec |
//! | `roles.rs` | RBAC evaluation of Roles and RoleBindings, where the API server refuses access reviews |
//! | `review.rs` | R1 and R2: SubjectAccessReviews of the access rules |
//! | `execution/` | a workflow run in one project and domain, or in all |
//! | `cluster_wide.rs` | R3: no ClusterRole or ClusterRoleBinding of the sandbox, or for its ServiceAccounts |

mod access;
mod admin;
mod answers;
mod apiserver;
mod arrival;
mod catalogue;
mod check_failure;
mod check_report;
mod cluster_wide;
mod console;
mod dashboard;
mod datacatalog;
mod execution;
mod http;
mod progress;
mod propeller;
mod propeller_log;
mod registry;
mod restarts;
mod review;
mod roles;
mod run;
mod s3;
mod target;

pub use access::{AccessRule, access_rules};
pub use answers::{Answer, answers};
pub use catalogue::{CATALOGUE, Check, EXECUTION, Id};
pub use check_report::CheckReport;
pub use run::run;
pub use target::{Executions, Target};
