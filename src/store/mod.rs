//! The administration of Minio: a bucket, a user and a policy for each project, created while Minio runs.
//!
//! Minio RELEASE.2020-12-16 has no other way that suits: its STS refuses the root keys and gives keys that end with a
//! session token, which neither this propeller nor this flytekit takes; service accounts are for users, not for
//! root; and IAM files beside the data are read every five minutes only, and stay in memory.
//!
//! | file | what |
//! |---|---|
//! | `client.rs` | signed requests to Minio, with retries until it answers |
//! | `sign.rs` | AWS Signature Version 4, in headers and in URLs |
//! | `objects.rs` | objects, listed, read and written one by one |
//! | `seal.rs` | encryption of request bodies with the root secret key, as Minio's admin API requires it for secrets |
//! | `tenant.rs` | the storage of a project in Minio: its bucket, user, group and policy |
//! | `empty.rs` | buckets, emptied |
//! | `usage.rs` | the size of a bucket: the number of its objects, and their bytes |

mod client;
mod empty;
mod objects;
mod seal;
mod sign;
mod tenant;
mod usage;

pub use client::BucketAdmin;
pub use objects::{Download, Page, Upload};
pub use sign::presigned;
pub use tenant::Tenant;
pub use usage::Usage;
