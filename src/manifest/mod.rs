//! Kubernetes objects as data, and the bundle they come in.
//!
//! | file | what |
//! |---|---|
//! | `object.rs` | one object, its identity, and lenses into it |
//! | `bundle.rs` | a set of objects from our `manifests/` or from a user's file, directory or pipe |
//! | `image.rs` | image references |

mod bundle;
mod image;
mod object;

pub use bundle::{Bundle, BundleError, Source};
pub use image::{ImageRef, ImageRefError};
pub use object::{Collection, Object, ObjectError, ObjectRef};
