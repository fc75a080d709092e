//! A user's own images into a node that runs, without the layers that it has: a rebuilt image has the most of them from
//! before.
//!
//! containerd takes an OCI layout that lacks blobs which it has itself. What `docker save` writes of an older Docker says
//! last which layer is which, so it is spooled; an image of which the node has no layer is streamed as it is.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use futures::stream;
use tokio::sync::mpsc;

use super::arrivals::Arrivals;
use super::bundle::{CHUNK, CHUNKS, Chunks, blocking, save};
use super::error::Error;
use super::layout::Digest;
use super::node::{Batch, Unpack, blobs, import_archive, load, not_there};
use super::pack::{PackError, named, pack};
use super::progress::{Counted, stopped, tell};
use crate::docker::{self, Docker, Image};
use crate::files::scratch_beside;
use crate::run::Run;

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Images that the node lacked.
    pub images: usize,
    /// Bytes that travelled.
    pub bytes: u64,
}

/// Sees to it that the node has these images of Docker. What is spooled is on the disk of `folder`.
///
/// # Errors
/// [`Error::Unwritable`], [`Error::NoArchive`], and those of [`load`].
pub async fn import(
    docker: &Docker,
    node: &str,
    images: &[Image],
    folder: &Path,
    run: &Run,
) -> Result<Imported, Error> {
    let looks = async { tokio::try_join!(not_there(docker, node, images, run), blobs(docker, node)) };
    let (missing, there) = run.unless_cancelled(looks).await?;
    let mut bytes = 0;
    for image in &missing {
        let layers = docker.layers(&image.reference).await?;
        let has_some = layers.into_iter().any(|layer| Digest::try_from(layer).is_ok_and(|one| there.contains(&one)));
        if has_some {
            bytes += import_rest(docker, node, image, there.clone(), folder, run).await?;
        }
    }
    // What is missing still, and the proof.
    let batch = Batch { images: images.to_vec(), unpack: Unpack::Now };
    let loaded = load(docker, node, &[batch], &Arrivals::expected(), run).await?;
    Ok(Imported { images: missing.len(), bytes: bytes + loaded.bytes })
}

/// Imports the layers of an image that the node has not; the bytes that travelled.
async fn import_rest(
    docker: &Docker,
    node: &str,
    image: &Image,
    there: BTreeSet<Digest>,
    folder: &Path,
    run: &Run,
) -> Result<u64, Error> {
    let unwritable = |source| Error::Unwritable { path: folder.display().to_string(), source };
    let mut saved = scratch_beside(folder).map_err(unwritable)?;
    let name = image.reference.to_string();
    tell(run, format!("save {name} out of Docker"));
    let count = Counted::new(io::sink(), run, &name, "save", image.size);
    run.unless_cancelled(save(docker, std::slice::from_ref(&image.reference), &mut saved, count)).await?;
    let (bytes, _) = send(docker, node, std::slice::from_ref(image), saved, there, &name, run).await?;
    Ok(bytes)
}

/// Sees to it that the node has the images of an archive that `docker save` wrote; their names too.
///
/// # Errors
/// [`Error::Unreadable`], [`Error::NoArchive`], [`Error::NotImported`], and those of [`load`].
pub async fn import_file(docker: &Docker, node: &str, path: &Path, run: &Run) -> Result<(Vec<Image>, Imported), Error> {
    let shown = path.display().to_string();
    let at = path.to_owned();
    let read = blocking(move || {
        let mut file = File::open(&at)?;
        named(&mut file).map(|images| (file, images))
    });
    let (file, images) = run.unless_cancelled(read).await?.map_err(|error| no_archive(error, &shown))?;
    if images.is_empty() {
        return Err(Error::NoArchive { path: shown, why: "no image in it has a name".to_owned() });
    }
    let missing = run.unless_cancelled(not_there(docker, node, &images, run)).await?;
    if missing.is_empty() {
        return Ok((images, Imported { images: 0, bytes: 0 }));
    }
    let there = blobs(docker, node).await?;
    let (bytes, complaint) = send(docker, node, &missing, file, there, &shown, run).await?;
    let left = not_there(docker, node, &missing, run).await?;
    if !left.is_empty() {
        let images = left.into_iter().map(|image| image.reference).collect();
        return Err(Error::NotImported { images, complaint });
    }
    Ok((images, Imported { images: missing.len(), bytes }))
}

/// Sends the images of a saved archive to the node's containerd, without the blobs that it has.
async fn send(
    docker: &Docker,
    node: &str,
    images: &[Image],
    mut saved: File,
    there: BTreeSet<Digest>,
    shown: &str,
    run: &Run,
) -> Result<(u64, Option<String>), Error> {
    let (chunks, mut coming) = mpsc::channel::<Result<_, docker::Error>>(CHUNKS);
    let names: Vec<_> = images.iter().map(|image| image.reference.clone()).collect();
    let packed = blocking(move || {
        let mut into = BufWriter::with_capacity(CHUNK, Chunks(chunks));
        pack(&mut saved, &names, &there, &mut into)?;
        into.flush().map_err(PackError::Io)
    });
    let archive = stream::poll_fn(move |context| coming.poll_recv(context));
    let images: Vec<_> = images.iter().collect();
    let sent = run.unless_cancelled(import_archive(docker, node, &images, archive, Unpack::Now, run));
    let (sent, packed) = tokio::join!(sent, packed);
    match packed? {
        // The importer hung up, and knows why.
        Err(PackError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => sent,
        Ok(()) => sent,
        Err(error) => Err(stopped(run).unwrap_or_else(|| no_archive(error, shown))),
    }
}

fn no_archive(error: PackError, path: &str) -> Error {
    match error {
        PackError::Saved(why) => Error::NoArchive { path: path.to_owned(), why },
        PackError::Io(source) => Error::Unreadable { path: path.into(), source },
    }
}
