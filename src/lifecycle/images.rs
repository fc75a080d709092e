//! A sandbox's images, without the sandbox: pulled, made into one file, and taken out of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::outcome::Done;
use crate::docker::{Docker, Image};
use crate::failure::{Failure, Reason};
use crate::images::{self, Imported, Presence};
use crate::manifest::ImageRef;
use crate::plan::Plan;
use crate::report::{Outcome, Stage};
use crate::run::Run;
use crate::site::{Host, Site, loaded, required};

/// Between two looks at an image that is watched. Docker tells nothing of what BuildKit builds.
const POLL: Duration = Duration::from_millis(500);

/// Sees to it that Docker has every image of the plan.
///
/// # Errors
/// Docker does not answer, or an image is not to be had.
pub async fn pull(plan: &Plan, host: &Host, run: &Run) -> Result<Done, Failure> {
    run.stage(Stage::Images, async {
        let docker = host.docker().await?;
        let (images, pulled) = obtain(&docker, plan, run).await?;
        let (outcome, summary) = match pulled {
            0 => (Outcome::Unchanged, format!("all {} images were here", images.len())),
            new => (Outcome::Passed, format!("{new} images pulled; {} were here", images.len() - new)),
        };
        Ok((Done { outcome, summary: summary.clone() }, outcome, summary))
    })
    .await
}

/// Writes every image of the plan to one file; what Docker has not is pulled.
///
/// # Errors
/// Docker does not answer, an image is not to be had, or the file cannot be written.
pub async fn bundle(plan: &Plan, host: &Host, path: &Path, run: &Run) -> Result<Done, Failure> {
    if plan.node_images.is_empty() {
        let kubernetes = &plan.spec.kubernetes;
        run.report.warn(format!(
            "what Kubernetes {kubernetes} itself starts from is not known, and not in the bundle: its node has to pull it"
        ));
    }
    run.stage(Stage::Images, async {
        let docker = host.docker().await?;
        let (images, _) = obtain(&docker, plan, run).await?;
        let bundle = images::bundle(&docker, &images, path, run).await?;
        let summary = format!("{} images in {}, {} MB", bundle.images, path.display(), bundle.bytes / 1_000_000);
        Ok((Done { outcome: Outcome::Passed, summary: summary.clone() }, Outcome::Passed, summary))
    })
    .await
}

/// Sees to it that Docker has every image of a bundle.
///
/// # Errors
/// Docker does not answer, or the bundle is no good.
pub async fn load(path: &Path, host: &Host, run: &Run) -> Result<Done, Failure> {
    run.stage(Stage::Images, async {
        let docker = host.docker().await?;
        let (outcome, summary) = loaded(&images::unbundle(&docker, path, run).await?);
        Ok((Done { outcome, summary: summary.clone() }, outcome, summary))
    })
    .await
}

/// Sees to it that the running node has these images of Docker, or those of archives that `docker save` wrote.
///
/// # Errors
/// No node runs, Docker has no such image, or it does not reach the node.
pub async fn import(
    name: &str,
    images: &[ImageRef],
    files: &[PathBuf],
    host: &Host,
    run: &Run,
) -> Result<Done, Failure> {
    run.stage(Stage::Images, async {
        let (docker, node) = Site::resolve(name, None, host)?.node().await?;
        let mut found = Vec::new();
        for presence in images::resolve(&docker, images).await? {
            match presence {
                Presence::Present(image) => found.push(image),
                Presence::Absent(image) => {
                    return Err(Failure::new(Reason::ImageUnknown, "Docker has no such image")
                        .on(format!("image {image}"))
                        .hint(format!("`docker build -t {image} .` makes it, `docker pull {image}` fetches it")));
                }
            }
        }
        let mut imported = images::import(&docker, &node, &found, host.state.path(), run).await?;
        for file in files {
            let (of_file, done) = images::import_file(&docker, &node, file, run).await?;
            found.extend(of_file);
            imported = Imported { images: imported.images + done.images, bytes: imported.bytes + done.bytes };
        }
        let always = found.iter().filter(|image| is_always_pulled(&image.reference));
        always.for_each(|image| {
            let (image, other) = (&image.reference, image.reference.repository());
            run.report.warn(format!(
                "Kubernetes pulls {image} anew for each pod, for its tag is `latest`; `docker tag {image} {other}:dev` gives it another"
            ));
        });
        let named: Vec<_> = found.iter().map(|image| format!("container_image=\"{}\"", image.reference)).collect();
        let named = format!("a task names it by {}", named.join(", "));
        let (outcome, summary) = match imported.images {
            0 => (Outcome::Unchanged, format!("all in the node; {named}")),
            new => (Outcome::Passed, format!("{new} into the node, {} MB; {named}", imported.bytes / 1_000_000)),
        };
        Ok((Done { outcome, summary: summary.clone() }, outcome, summary))
    })
    .await
}

/// Whether a kubelet pulls an image for each pod that does not say otherwise.
fn is_always_pulled(image: &ImageRef) -> bool {
    !image.as_str().contains('@') && image.tag().is_none_or(|tag| tag == "latest")
}

/// Ends when Docker has another image under one of these names than it has now.
///
/// # Errors
/// Docker does not answer.
pub async fn rebuilt(images: &[ImageRef], host: &Host) -> Result<(), Failure> {
    let docker = host.docker().await?;
    let before = ids(&docker, images).await?;
    loop {
        tokio::time::sleep(POLL).await;
        let now = ids(&docker, images).await?;
        // One that is being built anew has no name for a moment.
        if now != before && now.iter().all(Option::is_some) {
            return Ok(());
        }
    }
}

async fn ids(docker: &Docker, images: &[ImageRef]) -> Result<Vec<Option<String>>, Failure> {
    let found = images::resolve(docker, images).await?.into_iter();
    Ok(found
        .map(|presence| match presence {
            Presence::Present(image) => Some(image.id),
            Presence::Absent(_) => None,
        })
        .collect())
}

/// The node's image and all that run in it.
fn all(plan: &Plan) -> Vec<ImageRef> {
    std::iter::once(&plan.cluster.node_image).chain(plan.all_images()).cloned().collect()
}

/// All images, and how many of them had to be pulled.
async fn obtain(docker: &Docker, plan: &Plan, run: &Run) -> Result<(Vec<Image>, usize), Failure> {
    let all = all(plan);
    let before = images::resolve(docker, &all).await?;
    let absent = before.iter().filter(|presence| matches!(presence, Presence::Absent(_))).count();
    Ok((images::obtain(docker, &required(&all)?, &plan.spec.registry_mirrors, run).await?, absent))
}
