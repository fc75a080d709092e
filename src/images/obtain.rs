//! Which images Docker has, and pulling those it has not.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use futures::{StreamExt, stream};

use super::error::{Error, PullCause, PullError};
use super::login::logins;
use super::required::RequiredImage;
use crate::docker::{self, Docker, Image, Login};
use crate::failure::innermost;
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
/// it has one, and nowhere else then. Without a mirror a registry that fails is followed by the image's successors.
///
/// # Errors
/// [`Error::Unavailable`] with every image that could not be pulled; [`Error::Docker`]; [`Error::Interrupted`].
pub async fn obtain(
    docker: &Docker,
    required: &[RequiredImage],
    mirrors: &Mirrors,
    run: &Run,
) -> Result<Vec<Image>, Error> {
    let references: Vec<ImageRef> = required.iter().map(|one| one.image.clone()).collect();
    let deadline = run.deadline.min(limits::IMAGES_PULL);
    let work = async {
        let found = resolve(docker, &references).await?;
        let absent: Vec<Wanted<'_>> = required
            .iter()
            .zip(&found)
            .filter(|(_, presence)| matches!(presence, Presence::Absent(_)))
            .map(|(required, _)| Wanted { required, mirrored: mirrors.name(&required.image) })
            .collect();
        let failed = if absent.is_empty() { Vec::new() } else { pull_all(docker, &absent, deadline, run).await? };
        let found = resolve(docker, &references).await?;
        tell_moved(&absent, &found, run);
        let images = found.into_iter().map(|presence| match presence {
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

/// Warns of what was pulled and is not what the lock knows by that name.
fn tell_moved(pulled: &[Wanted<'_>], found: &[Presence], run: &Run) {
    for Wanted { required, .. } in pulled {
        let image = found.iter().find_map(|presence| match presence {
            Presence::Present(image) if image.reference == required.image => Some(image),
            _ => None,
        });
        if let Some(digest) = image.and_then(|image| required.other_digest(&image.digests)) {
            let known = required.digest.as_deref().unwrap_or_default();
            run.report.warn(format!("the tag of {} has moved: it was {known}, and is {digest}", required.image));
        }
    }
}

/// An image that Docker has not.
struct Wanted<'a> {
    required: &'a RequiredImage,
    /// Its name in the mirror of its registry, where that has one.
    mirrored: Option<ImageRef>,
}

impl Wanted<'_> {
    /// What it is called where it is asked for, in the order of asking.
    fn called(&self) -> Vec<ImageRef> {
        let RequiredImage { image, successors, .. } = self.required;
        match &self.mirrored {
            Some(mirrored) => vec![mirrored.clone()],
            None => std::iter::once(image).chain(successors).cloned().collect(),
        }
    }
}

/// Pulls these images, and says which could not be pulled.
async fn pull_all(
    docker: &Docker,
    absent: &[Wanted<'_>],
    deadline: Deadline,
    run: &Run,
) -> Result<Vec<PullError>, docker::Error> {
    run.report.progress(Stage::Images, format!("pull {}", counted(absent.len())));
    let called: Vec<_> = absent.iter().filter_map(|wanted| wanted.called().into_iter().next()).collect();
    let (logins, own) = tokio::join!(logins(docker, &called, run), docker.architecture());
    let own = own?;
    let pulls =
        stream::iter(absent).map(|wanted| pull(docker, wanted, &logins, own, deadline, run)).buffer_unordered(PULLS);
    Ok(pulls.filter_map(async |pulled| pulled.err()).collect().await)
}

fn counted(images: usize) -> String {
    format!("{images} {}", if images == 1 { "image" } else { "images" })
}

/// Pulls an image from where it is called something, and gives it its own name. Where all of it fail, the first failure is told.
async fn pull(
    docker: &Docker,
    wanted: &Wanted<'_>,
    known: &BTreeMap<ImageRef, Login>,
    own: &str,
    deadline: Deadline,
    run: &Run,
) -> Result<(), PullError> {
    let Wanted { required, mirrored } = wanted;
    let (reference, platform) = (&required.image, required.foreign_platform(own));
    let mut first = None;
    for called in wanted.called() {
        let asked = first.as_ref().map(|_| logins(docker, std::slice::from_ref(&called), run));
        let login = match asked {
            None => known.get(&called).cloned(),
            Some(asked) => asked.await.remove(&called),
        };
        if called != *reference {
            run.report.progress(Stage::Images, format!("pull {reference} from {called}"));
        }
        let pulled = async {
            pull_as(docker, reference, &called, platform.as_deref(), login, deadline, run).await?;
            if called != *reference {
                docker.tag(&called, reference).await?;
            }
            Ok(())
        };
        let cause: PullCause = match pulled.await {
            Ok(()) => {
                if let Some(cause) = first {
                    let why = innermost(&cause);
                    run.report.warn(format!("{reference} could not be had ({why}); it came from {called}"));
                }
                return Ok(());
            }
            Err(cause) => cause,
        };
        let is_final = !cause.is_registrys();
        first.get_or_insert(cause);
        if is_final {
            break;
        }
    }
    match first {
        None => Ok(()),
        Some(cause) => Err(PullError { image: reference.clone(), mirrored: mirrored.clone(), cause }),
    }
}

/// Pulls what an image is called in some registry, and tells of it by the image's own name.
async fn pull_as(
    docker: &Docker,
    reference: &ImageRef,
    called: &ImageRef,
    platform: Option<&str>,
    login: Option<Login>,
    deadline: Deadline,
    run: &Run,
) -> Result<(), PullCause> {
    let mut told = 0;
    let pulled = docker.pull(called, platform, login, |bytes, total| {
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
