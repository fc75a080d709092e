//! Which images Docker has, and pulling those it has not.

use futures::future::try_join_all;
use futures::{StreamExt, stream};

use crate::docker::{Docker, Image};
use crate::failure::{Failure, Reason};
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
/// [`Reason::Docker`].
pub async fn resolve(docker: &Docker, references: &[ImageRef]) -> Result<Vec<Presence>, Failure> {
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
/// Names every image that could not be pulled, with the reason that is all of theirs, or [`Reason::ImagesMissing`] where
/// they have different ones; [`Reason::Docker`]; [`Reason::Interrupted`].
pub async fn obtain(
    docker: &Docker,
    references: &[ImageRef],
    mirrors: &Mirrors,
    run: &Run,
) -> Result<Vec<Image>, Failure> {
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
        let pulls = stream::iter(&absent)
            .map(|reference| pull(docker, reference, mirrors, deadline, run))
            .buffer_unordered(PULLS);
        let failed: Vec<Failure> = pulls.filter_map(async |pulled| pulled.err()).collect().await;
        let images = resolve(docker, references).await?.into_iter().map(|presence| match presence {
            Presence::Present(image) => Ok(image),
            Presence::Absent(reference) => Err(reference),
        });
        let (present, missing): (Vec<_>, Vec<_>) = images.partition(Result::is_ok);
        let missing: Vec<ImageRef> = missing.into_iter().filter_map(Result::err).collect();
        if missing.is_empty() {
            return Ok(present.into_iter().filter_map(Result::ok).collect());
        }
        Err(unavailable(&missing, &failed, mirrors))
    };
    run.unless_cancelled(work).await
}

async fn pull(
    docker: &Docker,
    reference: &ImageRef,
    mirrors: &Mirrors,
    deadline: Deadline,
    run: &Run,
) -> Result<(), Failure> {
    let Some(mirrored) = mirrors.name(reference) else {
        return pull_as(docker, reference, reference, deadline, run).await;
    };
    run.report.progress(Stage::Images, format!("pull {reference} from {mirrored}"));
    let pulled = pull_as(docker, reference, &mirrored, deadline, run).await;
    pulled.map_err(|failure| {
        let causes = failure.causes.iter().map(|cause| format!("{mirrored}: {cause}")).collect();
        Failure { causes, ..failure }
    })?;
    Ok(docker.tag(&mirrored, reference).await?)
}

/// Pulls what an image is called in some registry, and tells of it by the image's own name.
async fn pull_as(
    docker: &Docker,
    reference: &ImageRef,
    called: &ImageRef,
    deadline: Deadline,
    run: &Run,
) -> Result<(), Failure> {
    let mut told = 0;
    let pulled = docker.pull(called, |bytes, total| {
        if bytes >= told + STEP {
            told = bytes;
            let (image, step) = (reference.to_string(), "pull".to_owned());
            run.report.emit(Event::ImageProgress { image, step, bytes, total });
        }
    });
    match deadline.limit(pulled).await {
        Some(pulled) => pulled.map_err(|error| Failure::from(error).on(format!("image {reference}"))),
        None => Err(Failure::new(Reason::PullTimeout, "cannot pull an image")
            .on(format!("image {reference}"))
            .because(deadline.expired_message())),
    }
}

/// The reason that all failed pulls share, if they share one.
fn common(failed: &[Failure]) -> Reason {
    match failed.split_first() {
        Some((first, others)) if others.iter().all(|other| other.reason == first.reason) => match first.reason {
            Reason::Docker => Reason::ImagesMissing,
            reason => reason,
        },
        _ => Reason::ImagesMissing,
    }
}

fn unavailable(missing: &[ImageRef], failed: &[Failure], mirrors: &Mirrors) -> Failure {
    let names: Vec<&str> = missing.iter().map(ImageRef::as_str).collect();
    let what = match names.as_slice() {
        [_] => "1 image was not found locally and could not be pulled".to_owned(),
        names => format!("{} images were not found locally and could not be pulled", names.len()),
    };
    let failure = Failure::new(common(failed), what).on(names.join(", "));
    let why = failed.iter().map(|failure| {
        let image = failure.object.as_deref().unwrap_or_default();
        format!("{image}: {}", failure.causes.join(": "))
    });
    let last = failed.last().and_then(|failure| failure.causes.last().cloned());
    let failure = last.into_iter().fold(failure, |failure, cause| failure.because(cause));
    let failure = failure.evidence(why);
    let failure = match failure.reason {
        Reason::ImagesMissing => failure,
        reason => failure.hint(reason.entry().remedy),
    };
    let asked = mirrors.name(&missing[0]).unwrap_or_else(|| missing[0].clone());
    failure
        .hint(format!("with a network: `docker pull {asked}` shows what is in the way"))
        .hint("without one: `sandbox images bundle FILE` on a machine that has them, `sandbox up --bundle FILE` here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_all_failed_pulls_have_is_the_failures() {
        let missing = ["a:1", "b:2"].map(|text| text.parse::<ImageRef>().expect(text));
        for (reasons, common) in [
            (vec![Reason::ImageUnknown, Reason::ImageUnknown], Reason::ImageUnknown),
            (vec![Reason::ImageUnknown, Reason::RegistryDenied], Reason::ImagesMissing),
            (vec![Reason::Docker, Reason::Docker], Reason::ImagesMissing),
            (vec![], Reason::ImagesMissing),
        ] {
            let failed: Vec<Failure> = reasons.iter().map(|reason| Failure::new(*reason, "no").because("w")).collect();
            let failure = unavailable(&missing, &failed, &Mirrors::default());
            assert_eq!(failure.reason, common, "{reasons:?}");
            let remedy = common.entry().remedy;
            assert!(common == Reason::ImagesMissing || failure.hints.contains(&remedy.to_owned()), "{failure:?}");
        }
    }

    #[test]
    fn one_failure_names_every_missing_image() {
        let missing = ["a:1", "b/c:2"].map(|text| text.parse::<ImageRef>().expect(text));
        let failed = Failure::new(Reason::Docker, "cannot pull an image").on("image a:1").because("no route to host");
        let failure = unavailable(&missing, &[failed], &Mirrors::default());
        assert_eq!(failure.reason, Reason::ImagesMissing);
        assert_eq!(failure.object.as_deref(), Some("a:1, b/c:2"));
        assert_eq!(failure.evidence, ["image a:1: no route to host"]);
        assert_eq!(failure.causes, ["no route to host"]);
    }
}
