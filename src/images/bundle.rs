//! All images of a sandbox as one file, and out of it into Docker.
//!
//! A bundle is written whole or not at all. Docker unpacks all that it is given before it takes the first image, so what
//! ends early leaves nothing there either.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::error::Error;
use super::layout::Bundled;
use super::pack::{PackError, pack};
use super::progress::{Counted, late, stopped, tell};
use super::unpack::{UnpackError, check, extract};
use crate::docker::{self, Docker, Image};
use crate::files::{NewFile, Readable, scratch_beside};
use crate::manifest::ImageRef;
use crate::run::Run;

/// zstd's own default: it makes 200 MB of a sandbox's 611 in six seconds of one processor.
const LEVEL: i32 = 3;
/// Bytes that are handed to Docker at a time.
pub(super) const CHUNK: usize = 256 << 10;
/// As many of them wait at most.
pub(super) const CHUNKS: usize = 16;

/// A bundle that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bundle {
    /// Images in it.
    pub images: usize,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What became of a bundle's images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unbundled {
    /// Images that Docker had.
    pub present: usize,
    /// Images that were loaded.
    pub loaded: usize,
}

/// Writes these images, which Docker has, to a file.
///
/// # Errors
/// [`Error::Pinned`], [`Error::Unwritable`], [`Error::SavedUnusable`], [`Error::TimedOut`], [`Error::Docker`],
/// [`Error::Interrupted`].
pub async fn bundle(docker: &Docker, images: &[Image], path: &Path, run: &Run) -> Result<Bundle, Error> {
    let names: BTreeSet<ImageRef> = images.iter().map(|image| image.reference.clone()).collect();
    let names: Vec<ImageRef> = names.into_iter().collect();
    if let Some(pinned) = names.iter().find(|name| name.as_str().contains('@')) {
        return Err(Error::Pinned(pinned.clone()));
    }
    let created = NewFile::create(path, Readable::ByUmask).and_then(|new| Ok((new, scratch_beside(path)?)));
    let (mut new, mut saved) = created.map_err(|error| unwritable(&path.display().to_string(), error))?;
    let what = format!("{} images", names.len());
    tell(run, format!("save {what} out of Docker"));
    let total = images.iter().map(|image| image.size).sum();
    run.unless_cancelled(save(docker, &names, &mut saved, Counted::new(io::sink(), run, &what, "save", total))).await?;

    tell(run, format!("pack {what}"));
    let (shown, at) = (path.display().to_string(), run.clone());
    let size = saved.metadata().map_err(|error| unwritable(&shown, error))?.len();
    let packed = blocking(move || {
        let mut into = zstd::Encoder::new(BufWriter::new(new.file()), LEVEL).map_err(PackError::Io)?;
        into.include_checksum(true).map_err(PackError::Io)?;
        pack(&mut saved, &names, &BTreeSet::new(), Counted::new(&mut into, &at, &what, "pack", size))?;
        into.finish().and_then(|mut file| file.flush()).map_err(PackError::Io)?;
        let bytes = new.commit().map_err(PackError::Io)?;
        Ok(Bundle { images: names.len(), bytes })
    });
    packed.await?.map_err(|error| {
        stopped(run).unwrap_or_else(|| match error {
            PackError::Saved(why) => Error::SavedUnusable { path: shown, why },
            PackError::Io(error) => unwritable(&shown, error),
        })
    })
}

/// Sees to it that Docker has every image of a bundle. Nothing is loaded before all of it has been checked.
///
/// # Errors
/// [`Error::Unreadable`], [`Error::Invalid`], [`Error::NotLoaded`], [`Error::TimedOut`], [`Error::Docker`],
/// [`Error::Interrupted`].
pub async fn unbundle(docker: &Docker, path: &Path, run: &Run) -> Result<Unbundled, Error> {
    let shown = path.display().to_string();
    let refused = |source: UnpackError| stopped(run).unwrap_or_else(|| Error::Invalid { path: shown.clone(), source });
    let source = open(path, run, "check").await?;
    tell(run, format!("check {shown}"));
    let images = blocking(move || check(source()?)).await?.map_err(refused)?;
    let missing = missing(docker, &images).await?;
    let unbundled = Unbundled { present: images.len() - missing.len(), loaded: missing.len() };
    if missing.is_empty() {
        return Ok(unbundled);
    }
    tell(run, format!("load {} of {} images into Docker", missing.len(), images.len()));
    let source = open(path, run, "load").await?;
    let (chunks, mut coming) = mpsc::channel(CHUNKS);
    let wanted = missing.clone();
    let extracted = blocking(move || {
        let into = BufWriter::with_capacity(CHUNK, Chunks(chunks.clone()));
        let extracted = source().and_then(|source| extract(source, &wanted, into));
        if extracted.is_err() {
            let _ = chunks.blocking_send(Err(io::Error::other("the bundle is no good")));
        }
        extracted
    });
    let archive = stream::poll_fn(move |context| coming.poll_recv(context));
    let loading = run.unless_cancelled(async {
        let loaded = docker.load(run.deadline.remaining(), archive).await;
        loaded.map_err(|error| if error.is_timeout() { late(run) } else { error.into() })
    });
    let (loaded, extracted) = tokio::join!(loading, extracted);
    match extracted? {
        // Docker hung up, and knows why.
        Err(UnpackError::Write(_)) | Ok(()) => loaded?,
        Err(error) => return Err(refused(error)),
    }
    let left = self::missing(docker, &missing).await?;
    if left.is_empty() {
        return Ok(unbundled);
    }
    Err(Error::NotLoaded(left.into_iter().map(|image| image.name).collect()))
}

/// The images that Docker has not, or not as they are in the bundle.
async fn missing(docker: &Docker, images: &[Bundled]) -> Result<Vec<Bundled>, docker::Error> {
    let mut missing = Vec::new();
    for image in images {
        if !docker.image(&image.name).await?.is_some_and(|found| image.is(&found.id)) {
            missing.push(image.clone());
        }
    }
    Ok(missing)
}

/// Spools what Docker saves.
pub(super) async fn save(
    docker: &Docker,
    names: &[ImageRef],
    into: &mut File,
    mut count: Counted<io::Sink>,
) -> Result<(), Error> {
    let failed = |error| unwritable("what Docker saves", error);
    let mut file = tokio::fs::File::from_std(into.try_clone().map_err(failed)?);
    let mut chunks = std::pin::pin!(docker.save(names));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        count.write_all(&chunk).map_err(failed)?;
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

/// Work that computes, on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

type Source = zstd::Decoder<'static, BufReader<Counted<File>>>;

/// A file that is there, to be decompressed by whoever gets this. A pipe is refused: it could not be read a second time.
async fn open(
    path: &Path,
    run: &Run,
    step: &'static str,
) -> Result<impl FnOnce() -> Result<Source, UnpackError> + Send + use<>, Error> {
    let at = path.to_owned();
    let opened = blocking(move || {
        if !fs::metadata(&at)?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let file = File::open(&at)?;
        Ok((file.metadata()?.len(), file))
    });
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let (size, file) = run.unless_cancelled(opened).await?.map_err(unreadable)?;
    let counted = Counted::new(file, run, &path.display().to_string(), step, size);
    Ok(move || zstd::Decoder::new(counted).map_err(UnpackError::Read))
}

/// Hands bytes over to Docker.
pub(super) struct Chunks<E>(pub(super) mpsc::Sender<Result<Bytes, E>>);

impl<E> Write for Chunks<E> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(buffer)));
        sent.map(|()| buffer.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unwritable(path: &str, source: io::Error) -> Error {
    Error::Unwritable { path: path.to_owned(), source }
}
