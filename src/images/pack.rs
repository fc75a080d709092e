//! What `docker save` writes, made into a bundle.
//!
//! Docker up to 24 saves a folder for each layer, a layer that another image has too as a link, and the list of images
//! last; Docker 25 and later saves an OCI layout with the same list. The list is what both are read by.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::layout::{
    Bundled, Config, DOCKERS_LIST, DOCUMENT, Descriptor, Digest, DockersEntry, IMAGES, LAYER_TYPE, Manifest, documents,
    misfit,
};
use crate::digest::Sha256;
use crate::docker::Image;
use crate::manifest::ImageRef;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackError {
    /// What Docker saved is not what was asked for, or not whole.
    #[error("{0}")]
    Saved(String),
    /// It could not be read back or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Part of the saved archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    start: u64,
    size: u64,
}

/// What is where in a saved archive.
#[derive(Debug, Default)]
struct Contents {
    files: BTreeMap<String, Span>,
    links: BTreeMap<String, String>,
}

/// Writes these images out of a saved archive as a bundle, without the layers that the reader has. Every layer that is
/// written is held against the image's configuration, and that against its name, before anything is written.
pub(super) fn pack(
    saved: &mut (impl Read + Seek),
    wanted: &[ImageRef],
    reader_has: &BTreeSet<Digest>,
    into: impl Write,
) -> Result<(), PackError> {
    let contents = scan(saved)?;
    let entries = entries(saved, &contents)?;
    if wanted.len() > IMAGES {
        return Err(PackError::Saved(format!("{} images are more than the {IMAGES} of a bundle", wanted.len())));
    }
    let mut layers = BTreeMap::new();
    let mut configs = Vec::new();
    let mut images = Vec::new();
    for name in wanted {
        let entry = entries.iter().find(|entry| is_named(entry, name));
        let entry = entry.ok_or_else(|| PackError::Saved(format!("image {name} is not in it")))?;
        let config = document(saved, contents.find(&entry.config)?)?;
        let unpacked: Option<Config> = serde_json::from_slice(&config).ok();
        let unpacked = unpacked.iter().flat_map(Config::diff_ids).map(|layer| reader_has.get(layer));
        let mut of_image = Vec::new();
        for (path, had) in entry.layers.iter().zip(unpacked.chain(std::iter::repeat(None))) {
            let span = contents.find(path)?;
            let layer = match layers.get(&span) {
                Some(layer) => Descriptor::clone(layer),
                None => described(saved, span, had)?,
            };
            layers.insert(span, layer.clone());
            of_image.push(layer);
        }
        let descriptor = Descriptor::config(&config);
        check(name, &entry.config, &descriptor.digest, &config, &of_image)?;
        configs.push((descriptor.digest.clone(), config));
        let name = name.canonical().parse().map_err(|error| PackError::Saved(format!("{error}")))?;
        images.push(Bundled::new(name, Manifest::new(descriptor, of_image)).map_err(io::Error::from)?);
    }
    let mut out = Writer { archive: tar::Builder::new(into), written: BTreeSet::new() };
    for (name, bytes) in documents(&images).map_err(io::Error::from)? {
        out.file(name, bytes.len() as u64, &bytes[..])?;
    }
    for image in &images {
        let bytes = serde_json::to_vec(&image.manifest).map_err(io::Error::from)?;
        out.file(&image.at.digest.path(), bytes.len() as u64, &bytes[..])?;
    }
    for (digest, bytes) in &configs {
        out.file(&digest.path(), bytes.len() as u64, &bytes[..])?;
    }
    for (span, layer) in layers.iter().filter(|(_, layer)| !reader_has.contains(&layer.digest)) {
        saved.seek(SeekFrom::Start(span.start))?;
        out.file(&layer.digest.path(), span.size, saved.by_ref().take(span.size))?;
    }
    out.archive.into_inner()?.flush()?;
    Ok(())
}

/// An archive in which every file is written once.
struct Writer<W: Write> {
    archive: tar::Builder<W>,
    written: BTreeSet<String>,
}

impl<W: Write> Writer<W> {
    fn file(&mut self, path: &str, size: u64, content: impl Read) -> io::Result<()> {
        if self.written.insert(path.to_owned()) { append(&mut self.archive, path, size, content) } else { Ok(()) }
    }
}

/// Appends a file to an archive: nothing but its name and its content, so that the same images make the same bundle.
pub(super) fn append(
    archive: &mut tar::Builder<impl Write>,
    path: &str,
    size: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, content)
}

/// The images of a saved archive that have a name, by Docker's own list.
pub(super) fn named(saved: &mut (impl Read + Seek)) -> Result<Vec<Image>, PackError> {
    let contents = scan(saved)?;
    let mut images = Vec::new();
    for entry in entries(saved, &contents)? {
        let config = document(saved, contents.find(&entry.config)?)?;
        let spans = entry.layers.iter().filter_map(|path| contents.find(path).ok());
        let (id, size) = (Digest::of(&config).as_str().to_owned(), spans.map(|span| span.size).sum());
        let names = entry.repo_tags.iter().flatten().filter_map(|tag| tag.parse().ok());
        let image =
            |reference| Image { reference, id: id.clone(), size, architecture: String::new(), digests: Vec::new() };
        images.extend(names.map(image));
    }
    Ok(images)
}

fn entries(saved: &mut (impl Read + Seek), contents: &Contents) -> Result<Vec<DockersEntry>, PackError> {
    serde_json::from_slice(&document(saved, contents.find(DOCKERS_LIST)?)?)
        .map_err(|error| PackError::Saved(format!("its {DOCKERS_LIST} cannot be read: {error}")))
}

fn scan(saved: &mut (impl Read + Seek)) -> Result<Contents, PackError> {
    let unreadable = |error: io::Error| PackError::Saved(format!("it cannot be read: {error}"));
    saved.rewind()?;
    let mut contents = Contents::default();
    let mut archive = tar::Archive::new(saved);
    for entry in archive.entries_with_seek().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = resolved("", &String::from_utf8_lossy(&entry.path_bytes()));
        let kind = entry.header().entry_type();
        if kind.is_file() {
            contents.files.insert(path, Span { start: entry.raw_file_position(), size: entry.size() });
        } else if let Some(to) = entry.link_name_bytes() {
            let to = String::from_utf8_lossy(&to).into_owned();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let to = if kind.is_symlink() { resolved(folder, &to) } else { resolved("", &to) };
            contents.links.insert(path, to);
        }
    }
    Ok(contents)
}

/// A path as seen from a folder of the archive, without `.` and `..`.
fn resolved(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Contents {
    /// Where a file is, through at most one link, which is all that Docker makes.
    fn find(&self, path: &str) -> Result<Span, PackError> {
        let path = self.links.get(path).map_or(path, String::as_str);
        let found = self.files.get(path).copied();
        found.ok_or_else(|| PackError::Saved(format!("{path} is not in it")))
    }
}

fn document(saved: &mut (impl Read + Seek), span: Span) -> Result<Vec<u8>, PackError> {
    if span.size > DOCUMENT {
        return Err(PackError::Saved(format!("a document of {} bytes is in it", span.size)));
    }
    let mut bytes = Vec::new();
    saved.seek(SeekFrom::Start(span.start))?;
    saved.take(span.size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What kind of layer is there, and its digest; `had`, which the reader has, is not read.
fn described(saved: &mut (impl Read + Seek), span: Span, had: Option<&Digest>) -> Result<Descriptor, PackError> {
    saved.seek(SeekFrom::Start(span.start))?;
    let mut content = saved.take(span.size);
    let mut start = Vec::new();
    content.by_ref().take(4).read_to_end(&mut start)?;
    let kind = match start[..] {
        [0x1f, 0x8b, ..] => format!("{LAYER_TYPE}+gzip"),
        [0x28, 0xb5, 0x2f, 0xfd] => format!("{LAYER_TYPE}+zstd"),
        _ => LAYER_TYPE.to_owned(),
    };
    if let Some(had) = had.filter(|_| kind == LAYER_TYPE) {
        return Ok(Descriptor::layer(kind, had.clone(), span.size));
    }
    let mut hash = Sha256::default();
    hash.update(&start);
    let size = start.len() as u64 + io::copy(&mut content, &mut hash)?;
    if size < span.size {
        return Err(PackError::Saved("it is cut short".to_owned()));
    }
    Ok(Descriptor::layer(kind, Digest::from_sha256(&hash.finish()), size))
}

fn is_named(entry: &DockersEntry, name: &ImageRef) -> bool {
    let tags = entry.repo_tags.iter().flatten();
    tags.filter_map(|tag| tag.parse().ok()).any(|tag: ImageRef| tag.canonical() == name.canonical())
}

fn check(name: &ImageRef, path: &str, digest: &Digest, config: &[u8], layers: &[Descriptor]) -> Result<(), PackError> {
    let wrong = |why: String| PackError::Saved(format!("image {name}: {why}"));
    let file = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
    if digest.as_str() != format!("sha256:{file}") {
        return Err(wrong(format!("its configuration is called {file}, and is {digest}")));
    }
    let config: Config =
        serde_json::from_slice(config).map_err(|error| wrong(format!("its configuration cannot be read: {error}")))?;
    misfit(&config, layers).map_or(Ok(()), |why| Err(wrong(why)))
}
