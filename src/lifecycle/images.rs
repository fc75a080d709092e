//! A sandbox's images, without the sandbox: pulled, made into one file, and taken out of it.

use std::path::Path;

use super::outcome::Done;
use crate::docker::{Docker, Image};
use crate::failure::Failure;
use crate::images::{self, Presence};
use crate::manifest::ImageRef;
use crate::plan::Plan;
use crate::report::{Outcome, Stage};
use crate::run::Run;
use crate::site::{Host, loaded};

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

/// The node's image and all that run in it.
fn all(plan: &Plan) -> Vec<ImageRef> {
    std::iter::once(&plan.cluster.node_image).chain(plan.all_images()).cloned().collect()
}

/// All images, and how many of them had to be pulled.
async fn obtain(docker: &Docker, plan: &Plan, run: &Run) -> Result<(Vec<Image>, usize), Failure> {
    let all = all(plan);
    let before = images::resolve(docker, &all).await?;
    let absent = before.iter().filter(|presence| matches!(presence, Presence::Absent(_))).count();
    Ok((images::obtain(docker, &all, &plan.spec.registry_mirrors, run).await?, absent))
}
