//! The fields of an object that are not as they were applied.

use std::fmt;

use serde::Serialize;

use super::ObjectRef;

/// An object that somebody changed after it was applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Edit {
    /// The object.
    pub object: ObjectRef,
    /// The fields that were changed, removed or added, as the API writes them: `.spec.replicas`. Empty where the whole object
    /// was replaced.
    pub fields: Vec<String>,
}

impl fmt::Display for Edit {
    /// `deployment n/flyteadmin: .spec.replicas`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fields.as_slice() {
            [] => write!(f, "{}: replaced", self.object),
            fields => write!(f, "{}: {}", self.object, fields.join(", ")),
        }
    }
}
