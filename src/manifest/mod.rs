//! Kubernetes objects as data, and the bundle they come in.
//!
//! | file | what |
//! |---|---|
//! | `object.rs` | one object, its identity, and lenses into it |
//! | `bundle.rs` | a set of objects from our `manifests/` or from a user's file, directory or pipe |
//! | `edit.rs` | the fields of an object that are not as they were applied |
//! | `image.rs` | image references |
//! | `quantity.rs` | amounts of resources, as the API reads them |
//! | `served.rs` | the kinds that Kubernetes serves itself, by its minor version |

mod bundle;
mod edit;
mod image;
mod object;
mod quantity;
mod served;

pub use bundle::{Bundle, BundleError, Overridden, Source};
pub use edit::Edit;
pub use image::{ImageRef, ImageRefError, goes_back};
pub use object::{Collection, Object, ObjectError, ObjectRef};
pub use quantity::Quantity;
pub(crate) use served::{is_own_group, served_kinds, unserved};
