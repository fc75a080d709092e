//! Images into the node, and the store that keeps them there.
//!
//! | file | what |
//! |---|---|
//! | `obtain.rs` | which images Docker has, and pulling those it has not |
//! | `node.rs` | which images the node has, and importing those it has not |
//! | `store.rs` | volumes that keep a node's images from one cluster to the next |

mod node;
mod obtain;
mod store;

pub use node::{Loaded, load};
pub use obtain::{Presence, obtain, resolve};
pub use store::{Claim, claim, in_use, prune, store_key, stores};
