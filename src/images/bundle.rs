//! All images of a sandbox as one file, and out of it into Docker.
//!
//! A bundle is written whole or not at all. Docker unpacks all that it is given before it takes the first image, so what
//! ends early leaves nothing there either.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::layout::Bundled;
use super::pack::{PackError, pack};
use super::progress::{Counted, late, stopped, tell};
use super::unpack::{UnpackError, check, extract};
use crate::docker::{Docker, Image};
use crate::failure::{Failure, Reason};
use crate::files::{NewFile, Readable, scratch_beside};
use crate::manifest::ImageRef;
use crate::run::Run;

/// zstd's own default: it makes 200 MB of a sandbox's 611 in six seconds of one processor.
const LEVEL: i32 = 3;
/// Bytes that are handed to Docker at a time.
const CHUNK: usize = 256 << 10;
/// As many of them wait at most.
const CHUNKS: usize = 16;

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
/// [`Reason::Usage`] for an image without a tag: Docker would load it without its name. [`Reason::BundleUnwritable`];
/// [`Reason::Docker`]; [`Reason::Interrupted`].
pub async fn bundle(docker: &Docker, images: &[Image], path: &Path, run: &Run) -> Result<Bundle, Failure> {
    let names: BTreeSet<ImageRef> = images.iter().map(|image| image.reference.clone()).collect();
    let names: Vec<ImageRef> = names.into_iter().collect();
    if let Some(pinned) = names.iter().find(|name| name.as_str().contains('@')) {
        return Err(Failure::new(Reason::Usage, "cannot bundle an image that is named by its digest")
            .on(format!("image {pinned}"))
            .because("Docker loads an archive's images by tag, and would not know it by this name")
            .hint("name it by a tag: `--image COMPONENT=REF`"));
    }
    let created = NewFile::create(path, Readable::ByUmask).and_then(|new| Ok((new, scratch_beside(path)?)));
    let (mut new, mut saved) = created.map_err(|error| unwritable(&path.display().to_string(), &error))?;
    let what = format!("{} images", names.len());
    tell(run, format!("save {what} out of Docker"));
    let total = images.iter().map(|image| image.size).sum();
    run.unless_cancelled(save(docker, &names, &mut saved, Counted::new(io::sink(), run, &what, "save", total))).await?;

    tell(run, format!("pack {what}"));
    let (shown, at) = (path.display().to_string(), run.clone());
    let size = saved.metadata().map_err(|error| unwritable(&shown, &error))?.len();
    let packed = blocking(move || {
        let mut into = zstd::Encoder::new(BufWriter::new(new.file()), LEVEL).map_err(PackError::Io)?;
        into.include_checksum(true).map_err(PackError::Io)?;
        pack(&mut saved, &names, Counted::new(&mut into, &at, &what, "pack", size))?;
        into.finish().and_then(|mut file| file.flush()).map_err(PackError::Io)?;
        let bytes = new.commit().map_err(PackError::Io)?;
        Ok(Bundle { images: names.len(), bytes })
    });
    packed.await?.map_err(|error| {
        stopped(run).unwrap_or_else(|| match error {
            PackError::Saved(why) => {
                Failure::new(Reason::Docker, "what Docker saved cannot be used").on(&shown).because(why)
            }
            PackError::Io(error) => unwritable(&shown, &error),
        })
    })
}

/// Sees to it that Docker has every image of a bundle. Nothing is loaded before all of it has been checked.
///
/// # Errors
/// [`Reason::Usage`] when there is no such file; [`Reason::BundleInvalid`]; [`Reason::Docker`]; [`Reason::Interrupted`].
pub async fn unbundle(docker: &Docker, path: &Path, run: &Run) -> Result<Unbundled, Failure> {
    let shown = path.display().to_string();
    let refused = |error: UnpackError| stopped(run).unwrap_or_else(|| invalid(&shown, &error));
    let source = open(path, run, "check")?;
    tell(run, format!("check {shown}"));
    let images = blocking(move || check(source()?)).await?.map_err(refused)?;
    let missing = missing(docker, &images).await?;
    let unbundled = Unbundled { present: images.len() - missing.len(), loaded: missing.len() };
    if missing.is_empty() {
        return Ok(unbundled);
    }
    tell(run, format!("load {} of {} images into Docker", missing.len(), images.len()));
    let source = open(path, run, "load")?;
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
    let names: Vec<&str> = left.iter().map(|image| image.name.as_str()).collect();
    Err(Failure::new(Reason::Docker, "Docker has not the images that it was given").on(names.join(", ")))
}

/// The images that Docker has not, or not as they are in the bundle.
async fn missing(docker: &Docker, images: &[Bundled]) -> Result<Vec<Bundled>, Failure> {
    let mut missing = Vec::new();
    for image in images {
        if !docker.image(&image.name).await?.is_some_and(|found| image.is(&found.id)) {
            missing.push(image.clone());
        }
    }
    Ok(missing)
}

/// Spools what Docker saves.
async fn save(
    docker: &Docker,
    names: &[ImageRef],
    into: &mut File,
    mut count: Counted<io::Sink>,
) -> Result<(), Failure> {
    let failed = |error: &io::Error| unwritable("what Docker saves", error);
    let mut file = tokio::fs::File::from_std(into.try_clone().map_err(|error| failed(&error))?);
    let mut chunks = std::pin::pin!(docker.save(names));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        count.write_all(&chunk).map_err(|error| failed(&error))?;
        file.write_all(&chunk).await.map_err(|error| failed(&error))?;
    }
    file.flush().await.map_err(|error| failed(&error))
}

/// Work that computes, on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::new(Reason::Internal, "work on images ended early").because(error))
}

type Source = zstd::Decoder<'static, BufReader<Counted<File>>>;

/// A file that is there, to be decompressed by whoever gets this.
fn open(
    path: &Path,
    run: &Run,
    step: &'static str,
) -> Result<impl FnOnce() -> Result<Source, UnpackError> + Send + use<>, Failure> {
    let unreadable = |error| Failure::new(Reason::Usage, "cannot read the bundle").on(path.display()).because(error);
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let counted = Counted::new(file, run, &path.display().to_string(), step, size);
    Ok(move || zstd::Decoder::new(counted).map_err(UnpackError::Read))
}

/// Hands bytes over to Docker.
struct Chunks(mpsc::Sender<io::Result<Bytes>>);

impl Write for Chunks {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(buffer)));
        sent.map(|()| buffer.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unwritable(path: &str, error: &io::Error) -> Failure {
    Failure::new(Reason::BundleUnwritable, "cannot write the bundle").on(path).because(error)
}

fn invalid(path: &str, error: &UnpackError) -> Failure {
    Failure::new(Reason::BundleInvalid, "this is no bundle of images that can be used").on(path).because(error)
}
