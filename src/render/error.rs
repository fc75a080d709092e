//! Why a bundle cannot be rendered.

use crate::failure::{Failure, Reason};
use crate::manifest::{BundleError, ObjectRef};
use crate::yaml::YamlError;

/// Why a bundle cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Something without which there is no Flyte is not in the bundle.
    #[error("{origin} is not a Flyte: no {}", missing.join(", no "))]
    NotFlyte {
        /// What was read.
        origin: String,
        /// Such as `Deployment flyteadmin`.
        missing: Vec<String>,
        /// What stands there instead, such as `Deployment nginx`.
        found: Vec<String>,
        /// Of them, what has all of Flyte in one program, such as `Deployment flyte-binary`.
        single: Option<String>,
    },
    /// A configuration file inside a ConfigMap is not what Flyte could read.
    #[error("`{file}` in {object} is not a YAML mapping")]
    Payload {
        /// The ConfigMap.
        object: Box<ObjectRef>,
        /// Its key.
        file: String,
        /// Where and what.
        #[source]
        error: YamlError,
    },
    /// A part of a known object is not where every Flyte has it.
    #[error("{object} has no {what}")]
    Shape {
        /// Which.
        object: Box<ObjectRef>,
        /// Such as `ConfigMap volume`.
        what: &'static str,
    },
    /// What holds after every render would not hold.
    #[error("{object}: `{path}` {why}")]
    Invariant {
        /// Which.
        object: Box<ObjectRef>,
        /// Keys joined by dots.
        path: String,
        /// Such as ``still names the namespace `flyte` ``.
        why: String,
    },
    /// Something would speak to a host outside the sandbox.
    #[error("{object} {why}")]
    Outside {
        /// Which.
        object: Box<ObjectRef>,
        /// What it would do, as a sentence without a subject.
        why: String,
        /// What to do.
        hint: String,
    },
    /// The manifests in this binary are broken.
    #[error("the built-in manifests cannot be read")]
    BuiltIn(#[source] Box<BundleError>),
    /// The image lock in this binary is broken.
    #[error("the built-in image lock cannot be read")]
    Lock(#[from] super::LockError),
}

impl From<BundleError> for RenderError {
    fn from(error: BundleError) -> Self {
        Self::BuiltIn(Box::new(error))
    }
}

impl From<RenderError> for Failure {
    fn from(error: RenderError) -> Self {
        let reason = match error {
            RenderError::BuiltIn(_) | RenderError::Lock(_) => Reason::Internal,
            _ => Reason::Manifests,
        };
        let failure = Self::new(reason, "cannot render the manifests").caused_by(error.clone());
        match &error {
            RenderError::NotFlyte { found, single, .. } if !found.is_empty() => {
                let found = format!("found instead: {}", found.join(", "));
                let single = single.as_ref().map(|single| {
                    format!(
                        "{single} is all of Flyte in one program; a sandbox takes what upstream's chart `flyte` writes"
                    )
                });
                failure.evidence(std::iter::once(found).chain(single))
            }
            RenderError::Outside { object, hint, .. } => failure.on(object).hint(hint.clone()),
            RenderError::Payload { object, .. }
            | RenderError::Shape { object, .. }
            | RenderError::Invariant { object, .. } => failure.on(object),
            _ => failure,
        }
    }
}
