//! The images of a sandbox in Docker: into the daemon, and from there into the node.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::cluster::cluster_labels;
use crate::docker::{Docker, Image};
use crate::failure::{Failure, Reason};
use crate::images::{self, Arrivals, Batch, Presence, RequiredImage, Trial, Unbundled, Unpack};
use crate::manifest::ImageRef;
use crate::plan::Plan;
use crate::release::Release;
use crate::render::{Component, Lock, Pin};
use crate::report::{Outcome, Stage};
use crate::run::Run;

/// Loads from a bundle the images of the plan that Docker lacks; one that is not needed is not opened.
pub(super) async fn load_bundle(plan: &Plan, docker: &Docker, path: &Path, run: &Run) -> Result<(), Failure> {
    let all: Vec<_> = std::iter::once(&plan.cluster.node_image).chain(plan.all_images()).cloned().collect();
    let found = images::resolve(docker, &all).await?;
    if !found.iter().any(|presence| matches!(presence, Presence::Absent(_))) {
        return Ok(());
    }
    run.stage(Stage::Images, async {
        let (outcome, summary) = loaded(&images::unbundle(docker, path, run).await?);
        Ok(((), outcome, summary))
    })
    .await
}

/// What the lock knows of these images.
///
/// # Errors
/// The lock in this binary cannot be read.
pub fn required<'a>(images: impl IntoIterator<Item = &'a ImageRef>) -> Result<Vec<RequiredImage>, Failure> {
    let locks = locks()?;
    let known = |image: &ImageRef| match locks.iter().find_map(|lock| lock.pin_of(image)) {
        Some(Pin { architectures, successors, digest, .. }) => RequiredImage {
            image: image.clone(),
            architectures: architectures.clone(),
            successors: successors.clone(),
            digest: digest.clone(),
        },
        None => image.clone().into(),
    };
    Ok(images.into_iter().map(known).collect())
}

/// The image locks of all releases.
fn locks() -> Result<Vec<Lock>, Failure> {
    Release::all()
        .map(Lock::embedded)
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::new(Reason::Internal, "cannot read the built-in image lock").caused_by(error))
}

/// The outcome of loading a bundle.
#[must_use]
pub fn loaded(done: &Unbundled) -> (Outcome, String) {
    match done {
        Unbundled { present, loaded: 0 } => (Outcome::Unchanged, format!("{present} images, all in Docker")),
        Unbundled { present, loaded } => {
            (Outcome::Passed, format!("{loaded} images into Docker; {present} were there"))
        }
    }
}

/// The image that the node is made from. Where it is not here nothing can begin, so all images are pulled first: what is
/// missing is told in one go, and k3d never pulls, which it does without a word and without an end.
pub(super) async fn obtain_node_image(plan: &Plan, docker: &Docker, run: &Run) -> Result<(), Failure> {
    let node_image = &plan.cluster.node_image;
    if docker.image(node_image).await?.is_some() {
        return Ok(());
    }
    let all = required(std::iter::once(node_image).chain(&plan.images))?;
    run.stage(Stage::Images, async {
        let images = images::obtain(docker, &all, &plan.spec.registry_mirrors, run).await?;
        Ok(((), Outcome::Passed, format!("{} images here", images.len())))
    })
    .await
}

/// Those of these images, each with the digest that a pod runs, whose name is another image's in Docker by now. One that
/// Docker has not is what it was.
pub(super) async fn outdated(
    docker: &Docker,
    node: &str,
    running: BTreeSet<(ImageRef, String)>,
) -> Result<BTreeSet<(ImageRef, String)>, Failure> {
    let names: BTreeSet<_> = running.iter().map(|(image, _)| image.clone()).collect();
    let found = images::resolve(docker, &names.into_iter().collect::<Vec<_>>()).await?;
    let ids: BTreeMap<_, _> = found
        .into_iter()
        .filter_map(|presence| match presence {
            Presence::Present(image) => Some((image.reference, image.id)),
            Presence::Absent(_) => None,
        })
        .collect();
    let differs = |(image, digest): &(ImageRef, String)| ids.get(image).is_some_and(|id| id != digest);
    let suspects: BTreeSet<_> = running.into_iter().filter(differs).collect();
    if suspects.is_empty() {
        return Ok(suspects);
    }
    let known = images::known(docker, node).await?;
    let is_outdated = |(image, digest): &(ImageRef, String)| {
        let digests = known.get(&image.canonical());
        !ids.get(image).is_some_and(|id| is_same(digests, id, digest))
    };
    Ok(suspects.into_iter().filter(is_outdated).collect())
}

/// Whether Docker's id and a pod's digest are of the one image that the node knows by `digests`: there are an image's
/// configuration, its manifest and an index of some, and each program has its own favourite.
fn is_same(digests: Option<&BTreeSet<String>>, id: &str, digest: &str) -> bool {
    digests.is_some_and(|digests| digests.contains(id) && digests.contains(digest))
}

/// The images in the order in which a new node needs them: `own`, which its first pods start from, and those `obtained`.
fn batches(plan: &Plan, own: Vec<Image>, obtained: Vec<Image>) -> [Batch; 3] {
    let [stores, _, people] = plan.images_by_need();
    let (last, rest): (Vec<_>, Vec<_>) = obtained.into_iter().partition(|image| people.contains(&image.reference));
    let is_late = |image: &Image| plan.images.contains(&image.reference) && !stores.contains(&image.reference);
    let (middle, first) = rest.into_iter().partition(is_late);
    let first = own.into_iter().chain::<Vec<_>>(first).collect();
    let batch = |images, unpack| Batch { images, unpack };
    [batch(first, Unpack::Now), batch(middle, Unpack::Now), batch(last, Unpack::ByPod)]
}

/// Runs flyteadmin for a moment where it is made for another processor, before all wait for it in vain.
async fn try_admin(plan: &Plan, node: &str, docker: &Docker, obtained: &[Image], run: &Run) -> Result<(), Failure> {
    let id = Component::Flyteadmin.id();
    let locks = locks()?;
    let is_admin = |image: &ImageRef| {
        let mut pinned = locks.iter().filter_map(|lock| lock.pin(Component::Flyteadmin));
        plan.spec.images.get(id) == Some(image) || pinned.any(|pin| pin.image == *image)
    };
    let Some(image) = obtained.iter().find(|image| is_admin(&image.reference)) else { return Ok(()) };
    let container = format!("{node}-trial");
    let labels = cluster_labels(&plan.spec.name);
    let command = &["flyteadmin", "--help"];
    images::try_foreign(docker, Trial { container: &container, labels: &labels, image, command }, run).await
}

/// All images in the node: the workloads' must come, k3s' own are carried over where they are here.
/// A node that was just made loses what an earlier one left in its store: it has what this sandbox brings, and no more.
pub(super) async fn load_into_node(
    plan: &Plan,
    node: &str,
    docker: &Docker,
    is_new: bool,
    arrivals: &Arrivals,
    run: &Run,
) -> Result<(), Failure> {
    run.stage(Stage::Images, async {
        let mirrors = &plan.spec.registry_mirrors;
        // What the node would get by itself does not come from a mirror there.
        let (mirrored, own): (Vec<_>, Vec<_>) =
            plan.node_images.iter().cloned().partition(|image| mirrors.name(image).is_some());
        let workloads = required(plan.images.iter().chain(&mirrored))?;
        let obtained = images::obtain(docker, &workloads, mirrors, run).await?;
        if is_new {
            try_admin(plan, node, docker, &obtained, run).await?;
        }
        let own = images::resolve(docker, &own).await?.into_iter().filter_map(|presence| match presence {
            Presence::Present(image) => Some(image),
            Presence::Absent(_) => None,
        });
        let batches = batches(plan, own.collect(), obtained);
        let loaded = images::load(docker, node, &batches, arrivals, run).await?;
        if is_new && !loaded.others.is_empty() {
            run.report.progress(Stage::Images, format!("remove {} images of earlier sandboxes", loaded.others.len()));
            images::remove(docker, node, &loaded.others).await?;
        }
        let outcome = if loaded.imported == 0 { Outcome::Unchanged } else { Outcome::Passed };
        let summary = match loaded.imported {
            0 => format!("{} images, all in the node", loaded.present),
            new => format!("{new} images into the node, {} MB; {} were there", loaded.bytes >> 20, loaded.present),
        };
        Ok(((), outcome, summary))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_runs_the_image_of_the_name_where_the_node_knows_both_digests_for_it() {
        let known: BTreeSet<_> = ["sha256:configuration", "sha256:manifest"].map(str::to_owned).into();
        for (id, digest, same) in [
            ("sha256:manifest", "sha256:configuration", true),
            ("sha256:configuration", "sha256:manifest", true),
            // Docker has a newer one than the node.
            ("sha256:newer", "sha256:configuration", false),
            // The node has it already, and the pod started before.
            ("sha256:configuration", "sha256:older", false),
        ] {
            assert_eq!(is_same(Some(&known), id, digest), same, "{id} {digest}");
        }
        assert!(!is_same(None, "sha256:manifest", "sha256:configuration"));
    }
}
