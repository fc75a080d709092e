//! Which images Docker has, and pulling those it has not.

use futures::future::try_join_all;
use futures::{StreamExt, stream};

use super::error::{Error, PullCause, PullError};
use super::login::logins;
use crate::docker::{self, Docker, Image, Login};
use crate::limits;
use crate::manifest::ImageRef;
use crate::report::{Event, Stage};
use crate::run::{Deadline, Run};
use crate::spec::Mirrors;

/// Pulls at a time; Docker itself downloads three layers of each at a time.
const PULLS: usize = 3;
/// Bytes between two events of one pull.
const STEP: u64 = 4 << 20;

/// Whether Docker has an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It has.
    Present(Image),
    /// It has not.
    Absent(ImageRef),
}

/// Looks which of these images Docker has, in the given order.
///
/// # Errors
/// As Docker's.
pub async fn resolve(docker: &Docker, references: &[ImageRef]) -> Result<Vec<Presence>, docker::Error> {
    let looked = references.iter().map(|reference| async move {
        let found = docker.image(reference).await?;
        Ok(found.map_or_else(|| Presence::Absent(reference.clone()), Presence::Present))
    });
    try_join_all(looked).await
}

/// All of these images, in the given order; those that Docker has not are pulled, from the mirror of their registry where
/// it has one, and nowhere else then.
///
/// # Errors
/// [`Error::Unavailable`] with every image that could not be pulled; [`Error::Docker`]; [`Error::Interrupted`].
pub async fn obtain(
    docker: &Docker,
    references: &[ImageRef],
    mirrors: &Mirrors,
    run: &Run,
) -> Result<Vec<Image>, Error> {
    let deadline = run.deadline.min(limits::IMAGES_PULL);
    let work = async {
        let found = resolve(docker, references).await?;
        let absent: Vec<ImageRef> = found
            .iter()
            .filter_map(|presence| match presence {
                Presence::Absent(reference) => Some(reference.clone()),
                Presence::Present(_) => None,
            })
            .collect();
        if !absent.is_empty() {
            run.report.progress(Stage::Images, format!("pull {} of {} images", absent.len(), references.len()));
        }
        let called = |reference: &ImageRef| mirrors.name(reference).unwrap_or_else(|| reference.clone());
        let logins = logins(docker, &absent.iter().map(called).collect::<Vec<_>>(), run).await;
        let pulls = stream::iter(&absent)
            .map(|reference| {
                let login = logins.get(&called(reference)).cloned();
                pull(docker, reference, mirrors, login, deadline, run)
            })
            .buffer_unordered(PULLS);
        let failed: Vec<PullError> = pulls.filter_map(async |pulled| pulled.err()).collect().await;
        let images = resolve(docker, references).await?.into_iter().map(|presence| match presence {
            Presence::Present(image) => Ok(image),
            Presence::Absent(reference) => Err(reference),
        });
        let (present, missing): (Vec<_>, Vec<_>) = images.partition(Result::is_ok);
        let missing: Vec<ImageRef> = missing.into_iter().filter_map(Result::err).collect();
        let Some(first) = missing.first() else {
            return Ok(present.into_iter().filter_map(Result::ok).collect());
        };
        let asked = mirrors.name(first).unwrap_or_else(|| first.clone());
        Err(Error::Unavailable { missing, failed, asked })
    };
    run.unless_cancelled(work).await
}

async fn pull(
    docker: &Docker,
    reference: &ImageRef,
    mirrors: &Mirrors,
    login: Option<Login>,
    deadline: Deadline,
    run: &Run,
) -> Result<(), PullError> {
    let mirrored = mirrors.name(reference);
    if let Some(mirrored) = &mirrored {
        run.report.progress(Stage::Images, format!("pull {reference} from {mirrored}"));
    }
    let pulled = async {
        pull_as(docker, reference, mirrored.as_ref().unwrap_or(reference), login, deadline, run).await?;
        match &mirrored {
            Some(mirrored) => Ok(docker.tag(mirrored, reference).await?),
            None => Ok(()),
        }
    };
    pulled.await.map_err(|cause| PullError { image: reference.clone(), mirrored: mirrored.clone(), cause })
}

/// Pulls what an image is called in some registry, and tells of it by the image's own name.
async fn pull_as(
    docker: &Docker,
    reference: &ImageRef,
    called: &ImageRef,
    login: Option<Login>,
    deadline: Deadline,
    run: &Run,
) -> Result<(), PullCause> {
    let mut told = 0;
    let pulled = docker.pull(called, login, |bytes, total| {
        if bytes >= told + STEP {
            told = bytes;
            let (image, step) = (reference.to_string(), "pull".to_owned());
            run.report.emit(Event::ImageProgress { image, step, bytes, total });
        }
    });
    match deadline.limit(pulled).await {
        Some(pulled) => Ok(pulled?),
        None => Err(PullCause::TimedOut(deadline.expired_message())),
    }
}
