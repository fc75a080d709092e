//! Errors of images on their way, and the failure that each becomes.

use std::io;
use std::path::PathBuf;

use tokio::task::JoinError;

use super::unpack::UnpackError;
use crate::docker;
use crate::failure::{Failure, Reason};
use crate::manifest::ImageRef;
use crate::reason::{Speaker, recognise};
use crate::run::Interrupted;

/// Images that did not come to where they are to go.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request that the daemon did not fulfil.
    #[error(transparent)]
    Docker(#[from] docker::Error),
    /// The user's interrupt.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The run's deadline passed; in words.
    #[error("images did not arrive in time")]
    TimedOut(String),
    /// Images that Docker has not, and that could not be pulled.
    #[error("{}", unavailable(.missing.len()))]
    Unavailable {
        /// All of them, never none.
        missing: Vec<ImageRef>,
        /// The pulls that failed.
        failed: Vec<PullError>,
        /// The name by which the first of them was asked for.
        asked: ImageRef,
    },
    /// Images that the node has not after their import.
    #[error("images did not reach the node")]
    NotImported {
        /// All of them.
        images: Vec<ImageRef>,
        /// What the importer complained of.
        complaint: Option<String>,
    },
    /// The limit of an import passed.
    #[error("gave up importing images")]
    ImportTimedOut {
        /// The images, in words.
        images: String,
        /// The limit that passed, in words.
        limit: String,
    },
    /// The limit of the wait for containerd passed.
    #[error("the node's containerd does not answer")]
    ContainerdSilent {
        /// The node's container.
        node: String,
        /// The limit that passed, in words.
        limit: String,
        /// What came of the last attempt.
        why: String,
    },
    /// An image without a tag, which Docker would load without its name.
    #[error("cannot bundle an image that is named by its digest")]
    Pinned(ImageRef),
    /// A file, or what is to be written to it, cannot be written.
    #[error("cannot write the bundle")]
    Unwritable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The archive that Docker saved is not what was asked for.
    #[error("what Docker saved cannot be used")]
    SavedUnusable {
        /// The file that was to be written.
        path: String,
        /// What is wrong with the archive.
        why: String,
    },
    /// A file that was to be imported is none that `docker save` wrote.
    #[error("this is no archive of images that `docker save` wrote")]
    NoArchive {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The bundle cannot be opened.
    #[error("cannot read the bundle")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The bundle is not one, or not whole.
    #[error("this is no bundle of images that can be used")]
    Invalid {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: UnpackError,
    },
    /// Images that Docker has not although it took them.
    #[error("Docker has not the images that it was given")]
    NotLoaded(Vec<ImageRef>),
    /// A lock file cannot be made.
    #[error("cannot lock the store of images")]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A thread that works on images ended early.
    #[error("work on images ended early")]
    Thread(#[from] JoinError),
}

/// An image that could not be pulled.
#[derive(Debug, thiserror::Error)]
#[error("cannot pull an image")]
pub struct PullError {
    /// The image.
    pub image: ImageRef,
    /// Its name in a mirror, where it was asked for there.
    pub mirrored: Option<ImageRef>,
    /// Why.
    pub cause: PullCause,
}

/// Why an image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullCause {
    /// Docker, or the registry through it, refused.
    #[error(transparent)]
    Docker(#[from] docker::Error),
    /// The limit of all pulls passed; in words.
    #[error("{0}")]
    TimedOut(String),
}

impl PullCause {
    /// Whether another registry may have what this one did not give; a full disk or a Docker that is gone is the same
    /// everywhere.
    pub(super) fn is_registrys(&self) -> bool {
        match self {
            Self::Docker(error) => {
                let words = error.cause.to_string();
                !error.is_lost() && recognise(Speaker::Registry, &words) != Some(Reason::DiskFull)
            }
            Self::TimedOut(_) => false,
        }
    }
}

fn unavailable(count: usize) -> String {
    let (images, were) = if count == 1 { ("image", "was") } else { ("images", "were") };
    format!("{count} {images} {were} not found locally and could not be pulled")
}

fn names(images: &[ImageRef]) -> String {
    images.iter().map(ImageRef::as_str).collect::<Vec<_>>().join(", ")
}

impl From<PullError> for Failure {
    fn from(error: PullError) -> Self {
        let what = error.to_string();
        let failure = match error.cause {
            PullCause::Docker(cause) => Self::from(cause),
            PullCause::TimedOut(limit) => Self::new(Reason::PullTimeout, what).because(limit),
        };
        let failure = failure.on(format!("image {}", error.image));
        let Some(mirrored) = error.mirrored else { return failure };
        let causes = failure.causes.iter().map(|cause| format!("{mirrored}: {cause}")).collect();
        Self { causes, ..failure }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let what = error.to_string();
        let new = |reason| Self::new(reason, what.clone());
        match error {
            Error::Docker(error) => error.into(),
            Error::Interrupted(error) => error.into(),
            Error::TimedOut(limit) => new(Reason::PullTimeout).because(limit),
            Error::Unavailable { missing, failed, asked } => {
                not_pulled(what, &missing, failed.into_iter().map(Self::from).collect(), &asked)
            }
            Error::NotImported { images, complaint } => {
                let failure = new(Reason::ImageImport).on(names(&images));
                let complaint = complaint.unwrap_or_else(|| "the import said that it succeeded".to_owned());
                failure.because(complaint).recognised(Speaker::K3s)
            }
            Error::ImportTimedOut { images, limit } => new(Reason::ImageImport).on(images).because(limit),
            Error::ContainerdSilent { node, limit, why } => {
                new(Reason::ImageImport).on(format!("container {node}")).because(limit).because(why)
            }
            Error::Pinned(image) => new(Reason::Usage)
                .on(format!("image {image}"))
                .because("Docker loads an archive's images by tag, and would not know it by this name")
                .hint("name it by a tag: `--image COMPONENT=REF`"),
            Error::Unwritable { path, source } => new(Reason::BundleUnwritable).on(path).caused_by(source),
            Error::SavedUnusable { path, why } => new(Reason::Docker).on(path).because(why),
            Error::NoArchive { path, why } => new(Reason::Usage).on(path).because(why),
            Error::Unreadable { path, source } => new(Reason::Usage).on(path.display()).caused_by(source),
            Error::Invalid { path, source } => new(Reason::BundleInvalid).on(path).caused_by(source),
            Error::NotLoaded(images) => new(Reason::Docker).on(names(&images)),
            Error::Lock { path, source } => new(Reason::StateUnwritable).on(path.display()).caused_by(source),
            Error::Thread(error) => new(Reason::Internal).caused_by(error),
        }
    }
}

/// One failure for all missing images, with the reason that all failed pulls share, if they share one.
fn not_pulled(what: String, missing: &[ImageRef], failed: Vec<Failure>, asked: &ImageRef) -> Failure {
    let failure = Failure::new(common(&failed), what).on(names(missing));
    let why = failed.iter().map(|failure| {
        let image = failure.object.as_deref().unwrap_or_default();
        format!("{image}: {}", failure.causes.join(": "))
    });
    let last = failed.last().and_then(|failure| failure.causes.last().cloned());
    let failure = last.into_iter().fold(failure, |failure, cause| failure.because(cause));
    let failure = failure.evidence(why);
    let failure = match failure.reason {
        Reason::ImagesMissing => failure,
        // Its remedy by the name of the registry that was asked.
        reason => failure.hint(reason.entry().remedy.replace("REGISTRY", &asked.registry())),
    };
    failure
        .hint(format!("with a network: `docker pull {asked}` shows the problem"))
        .hint("without one: `sandbox images bundle FILE` on a machine that has them, `sandbox up --bundle FILE` here")
}

fn common(failed: &[Failure]) -> Reason {
    match failed.split_first() {
        Some((first, others)) if others.iter().all(|other| other.reason == first.reason) => match first.reason {
            Reason::Docker => Reason::ImagesMissing,
            reason => reason,
        },
        _ => Reason::ImagesMissing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str) -> ImageRef {
        name.parse().expect(name)
    }

    fn not_pulled(words: &[&str]) -> Failure {
        let failed = words.iter().map(|words| {
            let cause = docker::Cause::Refused { status: 404, message: (*words).to_owned() };
            let request = docker::Request::Pull("a:1".to_owned());
            PullError { image: image("a:1"), mirrored: None, cause: docker::Error { request, cause }.into() }
        });
        let missing = vec![image("a:1"), image("b/c:2")];
        Error::Unavailable { missing, failed: failed.collect(), asked: image("a:1") }.into()
    }

    #[test]
    fn a_reason_that_all_failed_pulls_have_is_the_failures() {
        for (words, common) in [
            (&["manifest unknown", "name unknown"][..], Reason::ImageUnknown),
            (&["manifest unknown", "pull access denied"], Reason::ImagesMissing),
            (&["never seen before", "never seen before"], Reason::ImagesMissing),
            (&[], Reason::ImagesMissing),
        ] {
            let failure = not_pulled(words);
            assert_eq!(failure.reason, common, "{words:?}");
            let remedy = common.entry().remedy;
            assert!(common == Reason::ImagesMissing || failure.hints.contains(&remedy.to_owned()), "{failure:?}");
        }
    }

    #[test]
    fn a_remedy_names_the_registry_that_was_asked() {
        for (words, remedy) in [
            ("x509: certificate signed by unknown authority", "`/etc/docker/certs.d/docker.io/ca.crt`"),
            ("pull access denied", "`docker login docker.io`"),
        ] {
            let hints = not_pulled(&[words]).hints;
            assert!(hints[0].contains(remedy), "{hints:?}");
        }
    }

    #[test]
    fn one_failure_names_every_missing_image() {
        let failure = not_pulled(&["no route to host"]);
        assert_eq!(failure.what, "2 images were not found locally and could not be pulled");
        assert_eq!(failure.object.as_deref(), Some("a:1, b/c:2"));
        assert_eq!(failure.evidence, ["image a:1: no route to host (status 404)"]);
        assert_eq!(failure.causes, ["no route to host (status 404)"]);
    }

    #[test]
    fn a_pull_from_a_mirror_names_it() {
        let cause = PullCause::TimedOut("timed out after 1m".to_owned());
        let failure = Failure::from(PullError { image: image("a:1"), mirrored: Some(image("m.example/a:1")), cause });
        assert_eq!((failure.reason, failure.object.as_deref()), (Reason::PullTimeout, Some("image a:1")));
        assert_eq!(failure.causes, ["m.example/a:1: timed out after 1m"]);
    }
}
