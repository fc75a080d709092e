//! The object store as its administrator sees it: a bucket, a user and a policy for each project, made while it runs.
//!
//! Minio RELEASE.2020-12-16 has no other way that suits: its STS refuses the root keys and gives keys that end with a
//! session token, for which neither this propeller nor this flytekit has a place; service accounts are for users, not for
//! root; and IAM files that somebody puts beside the data are read once in five minutes, and never forgotten.
//!
//! | file | what |
//! |---|---|
//! | `client.rs` | signed requests, again until the store answers |
//! | `sign.rs` | AWS Signature Version 4 in headers: the admin API takes no presigned URLs |
//! | `seal.rs` | a body encrypted with the administrator's secret key, which a user's own key must be |
//! | `tenant.rs` | what a project has in the store, and what it takes to give and take it |

mod client;
mod seal;
mod sign;
mod tenant;

pub use client::Store;
pub use tenant::Tenant;
