//! Proof that what runs is a Flyte, and that it may do no more than it must.
//!
//! Every check is asked at once and again until it passes or the budget ends; the catalogue is the matrix. Where it is
//! wanted, a workflow is then run in every project and domain.
//!
//! | file | what |
//! |---|---|
//! | `catalogue.rs` | the checks: id, title, what a pass proves |
//! | `run.rs` | all checks at once with retries; then workflows, where they are wanted |
//! | `verdict.rs` | what checks ended with, and the failure with the first cause |
//! | `board.rs` | what is still missing, told as it changes |
//! | `miss.rs` | why a check has not passed yet |
//! | `target.rs` | what is checked, and the two ways to reach it |
//! | `http.rs` | requests to the published ports |
//! | `apiserver.rs` | requests through the Kubernetes API, pod and service proxies among them |
//! | `admin.rs`, `console.rs`, `dashboard.rs`, `datacatalog.rs` | checks of one component each |
//! | `s3.rs` | checks of Minio: health, browser, a signed round trip |
//! | `propeller.rs` | checks of the propellers: workers and leadership |
//! | `propeller_log.rs` | what a propeller's log says about a propeller that does not work |
//! | `access.rs` | who must be allowed what and who must not: a pure table from the spec |
//! | `roles.rs` | what Roles grant, where nobody may be asked about |
//! | `review.rs` | asks the API server about that table |
//! | `execution/` | a workflow that really runs, in one project and domain or in all |
//! | `cluster_wide.rs` | that nothing of ours is granted cluster-wide |

mod access;
mod admin;
mod apiserver;
mod board;
mod catalogue;
mod cluster_wide;
mod console;
mod dashboard;
mod datacatalog;
mod execution;
mod http;
mod miss;
mod propeller;
mod propeller_log;
mod review;
mod roles;
mod run;
mod s3;
mod target;
mod verdict;

pub use access::{Access, table as access_table};
pub use catalogue::{CATALOGUE, Check, EXECUTION, Id};
pub use run::run;
pub use target::{Executions, Target};
pub use verdict::Verdict;
