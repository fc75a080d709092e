//! A program for another processor, run once: that an emulator is there does not say that it runs Go's programs.

use super::error::Error;
use crate::docker::{Docker, Image, OneShot};
use crate::failure::{Failure, Reason};
use crate::limits::FOREIGN_PROGRAM;
use crate::reason::Speaker;
use crate::run::{Deadline, Run};

/// A container that runs a program of an image, once.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The container's name.
    pub container: &'a str,
    /// Its labels.
    pub labels: &'a [(&'static str, &'a str)],
    /// The image, which Docker has.
    pub image: &'a Image,
    /// The program and its arguments.
    pub command: &'a [&'static str],
}

/// Runs a program of an image that is made for another processor than Docker's, if it is.
///
/// # Errors
/// [`Reason::ImagePlatform`] where it does not run, with how its users get a better emulator; Docker's own.
pub async fn try_foreign(docker: &Docker, trial: Trial<'_>, run: &Run) -> Result<(), Failure> {
    let Trial { container, labels, image, command } = trial;
    let own = docker.architecture().await?;
    if image.architecture.is_empty() || own.is_empty() || image.architecture == own {
        return Ok(());
    }
    let one_shot = OneShot {
        name: container.to_owned(),
        image: image.reference.clone(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        mounts: Vec::new(),
        privileged: false,
    };
    let ran = async {
        docker.create_one_shot(&one_shot).await?;
        let ran = docker.run_to_end(container).await;
        // `down` removes one that stays.
        let _ = docker.remove_container(container).await;
        Ok::<_, Error>(ran.map_err(|error| error.cause.to_string()))
    };
    let within = Deadline::fixed(FOREIGN_PROGRAM);
    let Some(ran) = within.limit(run.unless_cancelled(ran)).await else { return Err(slow(image, within)) };
    let Err(words) = ran? else { return Ok(()) };
    let failed = |reason| Failure::new(reason, "a program for another processor does not run in Docker");
    let failure = failed(Reason::ImagePlatform)
        .on(format!("image {}", image.reference))
        .because(format!("`{}` ended with: {words}", command.join(" ")));
    // What has nothing to do with the processor is told as what it is.
    let known = failed(Reason::ImagePlatform).because(words).recognised(Speaker::Component).reason;
    let failure = Failure { reason: known, ..failure };
    let failure = failure.hint(format!("`--image COMPONENT=REF` names an image for {own}"));
    let provider = docker.about().await.unwrap_or_default().provider;
    Err(provider
        .rosetta()
        .into_iter()
        .fold(failure, |failure, rosetta| failure.hint(format!("Rosetta runs what QEMU does not: {rosetta}"))))
}

fn slow(image: &Image, limit: Deadline) -> Failure {
    Failure::new(Reason::ImagePlatform, "a program for another processor does not end in Docker")
        .on(format!("image {}", image.reference))
        .because(limit.expired_message())
}
