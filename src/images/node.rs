//! Which images the node has, and importing those it has not.
//!
//! A `docker save` of what is missing streams into a `ctr images import`: nothing is written in between. Measured with three
//! images of 444 MB on two cores: the two one after the other, as Docker gathers all before its first byte, 9.3 s (2.3 s of
//! them Docker's), 6.5 s for the import alone, 4.4 s for one that unpacks nothing; each on one core.
//!
//! So images come in batches, in the order in which they are needed, and Docker gathers the next while one is imported.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, Peekable};
use futures::{Stream, StreamExt, TryStreamExt};
use serde_json::Value;

use super::arrivals::Arrivals;
use super::error::Error;
use super::layout::Digest;
use crate::docker::{self, Docker, Image};
use crate::failure::Failure;
use crate::limits;
use crate::manifest::ImageRef;
use crate::report::{Event, Stage};
use crate::run::{Deadline, Run};

const POLL: Duration = Duration::from_millis(300);
const STEP: u64 = 8 << 20;

/// What loading did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Images that the node had.
    pub present: usize,
    /// Images that were imported.
    pub imported: usize,
    /// Bytes that travelled.
    pub bytes: u64,
    /// Ids of all other images in the node, but for those that k3s pulls for itself.
    pub others: BTreeSet<String>,
}

/// Where k3s' own images come from.
const OF_K3S: &str = "docker.io/rancher/";

/// Images that are imported together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The images.
    pub images: Vec<Image>,
    /// Who unpacks them.
    pub unpack: Unpack,
}

/// Who unpacks an image's layers into the node's file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpack {
    /// The import.
    Now,
    /// The first pod that starts from it, beside other work; each of several pods that start at the same moment.
    ByPod,
}

impl Unpack {
    /// The import's command. Of images for another processor than the node's it takes none unless it takes those for all; and
    /// unpacks them as if they were its own.
    fn argv(self, has_foreign: bool) -> Vec<&'static str> {
        let unpack = (self == Self::ByPod).then_some("--no-unpack");
        let platforms = has_foreign.then_some("--all-platforms");
        let options = unpack.into_iter().chain(platforms).chain(["-"]);
        ["ctr", "-n", "k8s.io", "images", "import"].into_iter().chain(options).collect()
    }
}

/// Sees to it that the node has these images, by id, batch by batch, and tells `arrivals` of each. May be called as soon as
/// the node is being made.
///
/// # Errors
/// [`Error::NotImported`], [`Error::ImportTimedOut`], [`Error::ContainerdSilent`], [`Error::Docker`],
/// [`Error::Interrupted`].
pub async fn load(
    docker: &Docker,
    node: &str,
    batches: &[Batch],
    arrivals: &Arrivals,
    run: &Run,
) -> Result<Loaded, Error> {
    let images: Vec<Image> = batches.iter().flat_map(|batch| &batch.images).cloned().collect();
    let work = async {
        let there = inventory(docker, node, &images, run).await?;
        let lacking: Vec<_> = batches.iter().map(|batch| (missing(&batch.images, &there), batch.unpack)).collect();
        let imported = lacking.iter().map(|(images, _)| images.len()).sum();
        let is_lacking = |image: &Image| lacking.iter().any(|(images, _)| images.contains(&image));
        arrivals.add(images.iter().filter(|image| !is_lacking(image)).map(|image| image.reference.clone()));
        let present = images.len() - imported;
        let mut loaded = Loaded { present, imported, bytes: 0, others: BTreeSet::new() };
        let mut batches = lacking.into_iter().filter(|(images, _)| !images.is_empty());
        let mut next = batches.next().map(|(images, unpack)| Import::new(docker, images, unpack));
        while let Some(this) = next {
            next = batches.next().map(|(images, unpack)| Import::new(docker, images, unpack));
            let (images, unpack) = (this.images.clone(), this.unpack);
            let gathered = async {
                if let Some(next) = &mut next {
                    next.archive.as_mut().peek().await;
                }
            };
            let (sent, ()) = tokio::join!(this.send(docker, node, run), gathered);
            loaded.bytes += match sent {
                // A connection that broke once may hold the next time; a daemon that is gone refuses at once.
                Err(Error::Docker(broken)) if broken.is_lost() => {
                    let broken = Failure::from(broken);
                    run.report.progress(Stage::Images, format!("{broken}; trying again"));
                    Import::new(docker, images.clone(), unpack).send(docker, node, run).await?
                }
                sent => sent?,
            };
            arrivals.add(images.into_iter().map(|image| image.reference.clone()));
        }
        let there = if imported == 0 { there } else { inventory(docker, node, &images, run).await? };
        Ok(Loaded { others: others(&images, &there), ..loaded })
    };
    run.unless_cancelled(work).await
}

type Archive = BoxStream<'static, Result<Bytes, docker::Error>>;

/// An import that is about to begin, for which Docker may gather the images meanwhile.
struct Import<'a> {
    images: Vec<&'a Image>,
    unpack: Unpack,
    archive: Pin<Box<Peekable<Archive>>>,
}

impl<'a> Import<'a> {
    fn new(docker: &Docker, images: Vec<&'a Image>, unpack: Unpack) -> Self {
        let references: Vec<ImageRef> = images.iter().map(|image| image.reference.clone()).collect();
        Self { images, unpack, archive: Box::pin(docker.save(&references).peekable()) }
    }

    /// Streams the images into the node; the bytes that travelled. A node imports twice at most: what is still missing then
    /// will not come.
    async fn send(self, docker: &Docker, node: &str, run: &Run) -> Result<u64, Error> {
        let Self { images, unpack, archive } = self;
        let (bytes, complaint) = import_archive(docker, node, &images, archive, unpack, run).await?;
        let all: Vec<Image> = images.iter().map(|image| (*image).clone()).collect();
        let left = not_there(docker, node, &all, run).await?;
        let again = left.iter().collect::<Vec<_>>();
        if again.is_empty() {
            return Ok(bytes);
        }
        let archive = Import::new(docker, again.clone(), unpack).archive;
        let (more, said) = import_archive(docker, node, &again, archive, unpack, run).await?;
        let left: Vec<_> =
            not_there(docker, node, &left, run).await?.into_iter().map(|image| image.reference).collect();
        if left.is_empty() {
            Ok(bytes + more)
        } else {
            Err(Error::NotImported { images: left, complaint: said.or(complaint) })
        }
    }
}

/// Removes images from a node in which nothing runs that uses them.
///
/// # Errors
/// As Docker's.
pub async fn remove(docker: &Docker, node: &str, ids: &BTreeSet<String>) -> Result<(), docker::Error> {
    let argv: Vec<&str> = ["crictl", "rmi"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    // One that something uses after all is refused, and stays.
    docker.exec(node, &argv).await.map(drop)
}

/// Streams an archive of these images into the node. What the importer complained of is returned, not failed on: the
/// inventory decides.
pub(super) async fn import_archive(
    docker: &Docker,
    node: &str,
    images: &[&Image],
    archive: impl Stream<Item = Result<Bytes, docker::Error>> + Send,
    unpack: Unpack,
    run: &Run,
) -> Result<(u64, Option<String>), Error> {
    let total: u64 = images.iter().map(|image| image.size).sum();
    let label = match images {
        [image] => image.reference.to_string(),
        images => format!("{} images", images.len()),
    };
    run.report.progress(Stage::Images, format!("import {label} into the node"));
    let (mut bytes, mut told) = (0, 0);
    let archive = archive.inspect_ok(|chunk| {
        bytes += chunk.len() as u64;
        if bytes >= told + STEP {
            told = bytes;
            // Shared layers travel once, headers come on top: the sum of sizes is an estimate that must not be passed.
            let total = Some(total.max(bytes));
            run.report.emit(Event::ImageProgress { image: label.clone(), step: "import".to_owned(), bytes, total });
        }
    });
    let deadline = run.deadline.min(limits::IMAGES_IMPORT);
    let own = docker.architecture().await?;
    let is_foreign = |image: &&Image| !image.architecture.is_empty() && image.architecture != own;
    let argv = unpack.argv(images.iter().any(is_foreign));
    let imported = docker.exec_with_input(node, &argv, deadline.remaining(), archive).await;
    let output = imported.map_err(|error| {
        if error.is_timeout() && deadline.has_passed() {
            return Error::ImportTimedOut { images: label.clone(), limit: deadline.expired_message() };
        }
        error.into()
    })?;
    let complaint = (!output.success()).then(|| output.complaint().to_owned());
    Ok((bytes, complaint))
}

/// Those of these images that the node has not, by id.
pub(super) async fn not_there(docker: &Docker, node: &str, images: &[Image], run: &Run) -> Result<Vec<Image>, Error> {
    let there = inventory(docker, node, images, run).await?;
    Ok(missing(images, &there).into_iter().cloned().collect())
}

/// The digests of every blob in the node's containerd.
pub(super) async fn blobs(docker: &Docker, node: &str) -> Result<BTreeSet<Digest>, Error> {
    let listed = docker.exec(node, &["ctr", "-n", "k8s.io", "content", "ls", "-q"]).await?;
    Ok(listed.stdout.lines().filter_map(|line| line.trim().to_owned().try_into().ok()).collect())
}

/// The digests by which the node knows an image: that of its configuration, which is its id there, and where that alone
/// did not settle it, that of what its name stands for.
type Inventory = BTreeMap<String, BTreeSet<String>>;

/// The node's images, once containerd answers.
async fn inventory(docker: &Docker, node: &str, images: &[Image], run: &Run) -> Result<Inventory, Error> {
    let mut there = listed(docker, node, run).await?;
    // A Docker that keeps images in containerd (the default of new ones since 29) calls them by their manifest.
    if missing(images, &there).iter().any(|image| there.contains_key(&image.reference.canonical())) {
        let output = docker.exec(node, &["ctr", "-n", "k8s.io", "images", "ls"]).await?;
        for (name, target) in targets(&output.stdout) {
            there.entry(name.to_owned()).and_modify(|known| _ = known.insert(target.to_owned()));
        }
    }
    Ok(there)
}

/// The digests by which the node knows its images, by name, at this moment.
///
/// # Errors
/// As Docker's.
pub async fn known(docker: &Docker, node: &str) -> Result<BTreeMap<String, BTreeSet<String>>, docker::Error> {
    let (crictl, ctr) = (["crictl", "images", "-o", "json"], ["ctr", "-n", "k8s.io", "images", "ls"]);
    let (listed, table) = tokio::try_join!(docker.exec(node, &crictl), docker.exec(node, &ctr))?;
    let mut known = parse(&listed.stdout).unwrap_or_default();
    for (name, target) in targets(&table.stdout) {
        known.entry(name.to_owned()).or_default().insert(target.to_owned());
    }
    Ok(known)
}

async fn listed(docker: &Docker, node: &str, run: &Run) -> Result<Inventory, Error> {
    // Why there is no node is known to whoever makes it, and is told first.
    let deadline: Deadline = run.deadline.min(limits::IMAGES_CONTAINERD).extended_by(limits::IMAGES_GRACE);
    let mut why = "`crictl images` does not end".to_owned();
    let answers = async {
        let mut told = false;
        loop {
            why = match docker.exec(node, &["crictl", "images", "-o", "json"]).await {
                Ok(output) if output.success() => match parse(&output.stdout) {
                    Some(images) => return Ok(images),
                    None => "its list of images cannot be read".to_owned(),
                },
                Ok(output) => output.complaint().to_owned(),
                // Until k3d has made and started the container there is nothing to run a command in; that Docker is gone is
                // another matter.
                Err(error) => {
                    docker.container(node).await?;
                    Failure::from(error).to_string()
                }
            };
            if !told {
                run.report.progress(Stage::Images, "waiting for the node's containerd");
                told = true;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    deadline.limit(answers).await.unwrap_or_else(|| {
        Err(Error::ContainerdSilent { node: node.to_owned(), limit: deadline.expired_message(), why })
    })
}

/// Image ids by canonical name, from `crictl images -o json`; an image without a name is called by its id.
fn parse(json: &str) -> Option<Inventory> {
    let listed: Value = serde_json::from_str(json).ok()?;
    let images = listed.get("images")?.as_array()?;
    let named = images.iter().flat_map(|image| {
        let id = image["id"].as_str().unwrap_or_default();
        let names = ["repoTags", "repoDigests"].into_iter().flat_map(|key| image[key].as_array().into_iter().flatten());
        let names = names.filter_map(Value::as_str).chain([id]);
        names.map(move |name| (name.to_owned(), BTreeSet::from([id.to_owned()]))).collect::<Vec<_>>()
    });
    Some(named.collect())
}

/// What each name stands for, a manifest or an index of some, from `ctr images ls`: REF, TYPE, DIGEST and more.
fn targets(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let (name, digest) = (columns.next()?, columns.nth(1)?);
        digest.contains(':').then_some((name, digest))
    })
}

fn missing<'a>(images: &'a [Image], there: &Inventory) -> Vec<&'a Image> {
    let is_there =
        |image: &Image| there.get(&image.reference.canonical()).is_some_and(|known| known.contains(&image.id));
    images.iter().filter(|image| !is_there(image)).collect()
}

/// The ids that none of these images has, nor one of k3s' own.
fn others(images: &[Image], there: &Inventory) -> BTreeSet<String> {
    let wanted: BTreeSet<_> = images.iter().map(|image| image.reference.canonical()).collect();
    let is_kept = |name: &String| wanted.contains(name) || name.starts_with(OF_K3S);
    let kept: BTreeSet<_> = there.iter().filter(|(name, _)| is_kept(name)).flat_map(|(_, ids)| ids).collect();
    // Only what is called by itself is an id of crictl's.
    there.keys().filter(|name| there[*name].contains(*name) && !kept.contains(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(reference: &str, id: &str) -> Image {
        Image {
            reference: reference.parse().expect(reference),
            id: id.into(),
            size: 1,
            architecture: String::new(),
            digests: Vec::new(),
        }
    }

    const LISTED: &str = r#"{"images":[
        {"id":"sha256:1","repoTags":["docker.io/library/postgres:10"],"repoDigests":[],"size":"1","uid":null},
        {"id":"sha256:2","repoTags":["docker.io/a/b:1","docker.io/a/b:2"],"repoDigests":[]},
        {"id":"sha256:3","repoTags":[],"repoDigests":["docker.io/a/c@sha256:0"]}]}"#;

    #[test]
    fn images_for_another_processor_are_imported_too() {
        for (unpack, has_foreign, options) in [
            (Unpack::Now, false, "-"),
            (Unpack::Now, true, "--all-platforms -"),
            (Unpack::ByPod, false, "--no-unpack -"),
            (Unpack::ByPod, true, "--no-unpack --all-platforms -"),
        ] {
            assert_eq!(unpack.argv(has_foreign).join(" "), format!("ctr -n k8s.io images import {options}"));
        }
    }

    #[test]
    fn an_image_of_the_same_name_with_another_id_is_missing() {
        let there = parse(LISTED).expect("json");
        let images = [image("postgres:10", "sha256:1"), image("a/b:2", "sha256:9"), image("a/c:1", "sha256:3")];
        let names: Vec<&str> = missing(&images, &there).iter().map(|image| image.reference.as_str()).collect();
        assert_eq!(names, ["a/b:2", "a/c:1"]);
    }

    #[test]
    fn what_nobody_asked_for_is_known_by_its_id() {
        let there = parse(
            r#"{"images":[
            {"id":"sha256:1","repoTags":["docker.io/library/postgres:10"],"repoDigests":["docker.io/library/postgres@sha256:f"]},
            {"id":"sha256:2","repoTags":["docker.io/me/train:1","docker.io/me/train:2"],"repoDigests":[]},
            {"id":"sha256:3","repoTags":[],"repoDigests":["docker.io/me/train@sha256:0"]},
            {"id":"sha256:4","repoTags":[],"repoDigests":[]},
            {"id":"sha256:5","repoTags":["docker.io/rancher/pause:3.1"],"repoDigests":[]}]}"#,
        );
        let there = there.expect("json");
        let ids = |images: &[Image]| others(images, &there).into_iter().collect::<Vec<_>>();
        assert_eq!(ids(&[image("postgres:10", "sha256:1")]), ["sha256:2", "sha256:3", "sha256:4"]);
        // An image that was built anew leaves its old one without a name; a name that is wanted keeps the other.
        assert_eq!(ids(&[image("postgres:10", "sha256:1"), image("me/train:2", "sha256:2")]), ["sha256:3", "sha256:4"]);
        let by_digest =
            image("me/train@sha256:0000000000000000000000000000000000000000000000000000000000000000", "sha256:3");
        assert_eq!(others(&[by_digest], &Inventory::new()), BTreeSet::new());
    }

    /// As containerd 1.4.4 writes it.
    const TABLE: &str = "REF                            TYPE                                                 DIGEST    SIZE     PLATFORMS   LABELS \n\
        docker.io/a/b:2                application/vnd.docker.distribution.manifest.v2+json sha256:8a 19.0 MiB linux/amd64 io.cri-containerd.image=managed \n\
        sha256:2                       application/vnd.docker.distribution.manifest.v2+json sha256:8a 19.0 MiB linux/amd64 io.cri-containerd.image=managed \n";

    #[test]
    fn an_image_that_docker_calls_by_its_manifest_is_found_by_what_its_name_stands_for() {
        let mut there = parse(LISTED).expect("json");
        let by_manifest = [image("a/b:2", "sha256:8a")];
        assert_eq!(missing(&by_manifest, &there).len(), 1);
        for (name, target) in targets(TABLE) {
            there.entry(name.to_owned()).and_modify(|known| _ = known.insert(target.to_owned()));
        }
        assert_eq!(missing(&by_manifest, &there), Vec::<&Image>::new());
        assert_eq!(targets("").count() + targets("ctr: no such command\n\n").count(), 0);
        // What the kubelet does not know under a name is not there, whatever containerd has.
        assert_eq!(missing(&[image("a/c:1", "sha256:8a")], &there).len(), 1);
    }

    #[test]
    fn what_is_no_list_of_images_is_not_taken_for_an_empty_one() {
        for text in ["", "{}", "time=x level=fatal", r#"{"images":null}"#] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(r#"{"images":[]}"#), Some(BTreeMap::new()));
    }
}
