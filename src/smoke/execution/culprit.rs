//! Which part of a Flyte a failure belongs to.

use std::fmt;

use crate::smoke::miss::Miss;

/// The part that broke, as it is named to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Culprit {
    Admin,
    Propeller,
    Permission,
    Storage,
    Image,
    Pod,
    Dashboard,
}

impl fmt::Display for Culprit {
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

impl Culprit {
    /// The miss with its culprit before what was seen.
    pub(super) fn blame(self, miss: Miss) -> Miss {
        Miss { seen: format!("{self}: {}", miss.seen), ..miss }
    }

    /// Whom words blame that Kubernetes, Minio or a kubelet wrote; `otherwise` where they name nobody.
    pub(super) fn of_words(words: &str, otherwise: Self) -> Self {
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
    use super::Culprit;

    #[test]
    fn words_name_their_culprit() {
        let table = [
            ("pods is forbidden: User \"flytepropeller-x\" cannot create resource", Culprit::Permission),
            ("Back-off pulling image: ImagePullBackOff", Culprit::Image),
            ("container task: InvalidImageName", Culprit::Image),
            ("Unable to read WorkflowClosure from location s3://b/k", Culprit::Storage),
            ("NoSuchBucket: The specified bucket does not exist", Culprit::Storage),
            ("task exited with code 1", Culprit::Pod),
        ];
        for (words, culprit) in table {
            assert_eq!(Culprit::of_words(words, Culprit::Pod), culprit, "{words}");
        }
    }
}
