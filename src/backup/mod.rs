//! The format of a backup: one tar, compressed with zstd, with the content of databases and buckets.
//!
//! ```text
//! manifest.json  databases/0.sql …  objects/0.json objects/0 …  end.json
//! ```
//!
//! An object's bucket, key and headers are in the document before its content, so that no name in the archive is any
//! text of a user's, and nothing needs an extended header. `end.json` counts what came: an archive without it is cut.
//!
//! | file | what |
//! |---|---|
//! | `manifest.rs` | the documents of a backup, and its bounds |
//! | `write.rs` | a backup, written as its content comes |
//! | `read.rs` | a backup, read and held against its format |
//! | `fit.rs` | whether a backup fits the sandbox that it is to be loaded into |

mod fit;
mod manifest;
mod read;
mod write;

pub use fit::{check_fit, mismatch};
pub use manifest::{FORMAT, Manifest, ObjectHead, Totals};
pub use read::{Part, ReadError, read};
pub use write::Writer;
