//! Images into the node, and the store that keeps them there.
//!
//! | file | what |
//! |---|---|
//! | `required.rs` | an image that a sandbox needs, and where it comes from |
//! | `obtain.rs` | which images Docker has, and pulling those it has not |
//! | `foreign.rs` | a program for another processor, run once |
//! | `login.rs` | the logins of registries that images are pulled from |
//! | `node.rs` | which images the node has, and importing those it has not |
//! | `arrivals.rs` | which of them are there, while more are on their way |
//! | `bundle.rs` | all images of a sandbox as one file, and out of it into Docker |
//! | `import.rs` | a user's own images into a node, without the layers that it has |
//! | `layout.rs` | what a bundle is: an OCI image layout in one archive |
//! | `pack.rs` | what `docker save` writes, made into a bundle |
//! | `unpack.rs` | a bundle, checked, and made into what `docker load` reads |
//! | `error.rs` | errors of images on their way, and the failure that each becomes |
//! | `progress.rs` | bytes counted, until the run is to end |
//! | `claim.rs` | claims of stores on the daemon, where all runs see them |
//! | `store.rs` | volumes that keep a node's images from one cluster to the next |

mod arrivals;
mod bundle;
mod claim;
mod error;
mod foreign;
mod import;
mod layout;
mod login;
mod node;
mod obtain;
mod pack;
mod progress;
mod required;
mod store;
mod unpack;

pub use arrivals::Arrivals;
pub use bundle::{Bundle, Unbundled, bundle, unbundle};
pub(crate) use claim::CLOCKS;
pub use error::{Error, PullCause, PullError};
pub use foreign::{Trial, try_foreign};
pub use import::{Imported, import, import_file};
pub use node::{Batch, Loaded, Unpack, known, load, remove};
pub use obtain::{Presence, obtain, resolve};
pub use required::RequiredImage;
pub use store::{Claim, claim, in_use, prune, store_key, stores};
pub use unpack::UnpackError;
