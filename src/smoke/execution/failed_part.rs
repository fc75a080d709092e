//! The part of Flyte that failed.

use std::fmt;

use crate::smoke::check_failure::CheckFailure;

/// The part of Flyte that failed, as a user reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailedPart {
    Admin,
    Propeller,
    Permission,
    Storage,
    Image,
    Pod,
    Dashboard,
}

impl fmt::Display for FailedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Propeller => "propeller",
            Self::Permission => "permission",
            Self::Storage => "storage",
            Self::Image => "image",
            Self::Pod => "pod",
            Self::Dashboard => "dashboard",
        })
    }
}

impl FailedPart {
    /// The failure of a check, prefixed with the part.
    pub(super) fn attribute(self, failure: CheckFailure) -> CheckFailure {
        CheckFailure { seen: format!("{self}: {}", failure.seen), ..failure }
    }

    /// The part that a message of Kubernetes, Minio or a kubelet points at, or `otherwise`.
    pub(super) fn from_message(words: &str, otherwise: Self) -> Self {
        const FORBIDDEN: &[&str] = &["is forbidden", "Forbidden", "Unauthorized"];
        const IMAGE: &[&str] = &["ImagePull", "ErrImage", "ImageInspectError", "InvalidImageName", "pull image"];
        const STORAGE: &[&str] =
            &["NoSuchBucket", "WorkflowClosure", "s3://", "storage", "minio", "AccessDenied", "RequestError"];
        let any = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
        match () {
            () if any(FORBIDDEN) => Self::Permission,
            () if any(IMAGE) => Self::Image,
            () if any(STORAGE) => Self::Storage,
            () => otherwise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FailedPart;

    #[test]
    fn messages_point_at_the_part_that_failed() {
        let table = [
            ("pods is forbidden: User \"flytepropeller-x\" cannot create resource", FailedPart::Permission),
            ("Back-off pulling image: ImagePullBackOff", FailedPart::Image),
            ("container task: InvalidImageName", FailedPart::Image),
            ("Unable to read WorkflowClosure from location s3://b/k", FailedPart::Storage),
            ("NoSuchBucket: The specified bucket does not exist", FailedPart::Storage),
            ("task exited with code 1", FailedPart::Pod),
        ];
        for (words, part) in table {
            assert_eq!(FailedPart::from_message(words, FailedPart::Pod), part, "{words}");
        }
    }
}
