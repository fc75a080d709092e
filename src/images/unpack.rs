//! A bundle, read from the front: nothing in it is believed before it is held against its digest, and nothing is kept
//! in memory but documents.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;

use super::layout::{
    ALL, Bundled, Config, DOCKERS_LIST, DOCUMENT, Descriptor, Digest, IMAGES, INDEX, Index, MARKER, Manifest,
    documents, misfit,
};
use super::pack::append;
use crate::digest::Sha256;

/// The most zeros at an archive's end: one record.
const PADDING: u64 = 10 << 10;

/// Why a bundle is no good, or is no longer read.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// What is wrong with it.
    #[error("{0}")]
    Flaw(String),
    /// It cannot be read: for one that is compressed, because it was cut short or changed too.
    #[error(transparent)]
    Read(io::Error),
    /// Whoever gets its content takes no more.
    #[error(transparent)]
    Write(io::Error),
}

fn flaw<T>(what: impl Into<String>) -> Result<T, UnpackError> {
    Err(UnpackError::Flaw(what.into()))
}

/// The images of a bundle, when all of it is as it should be.
pub(super) fn check(bundle: impl Read) -> Result<Vec<Bundled>, UnpackError> {
    walk(bundle, |_, _| Ok(()))
}

/// Writes some of a bundle's images as an archive for `docker load`. All is checked again on the way, and the documents,
/// without which Docker loads nothing, come last.
pub(super) fn extract(bundle: impl Read, images: &[Bundled], into: impl Write) -> Result<(), UnpackError> {
    let wanted: BTreeSet<&Digest> = images.iter().flat_map(Bundled::blobs).map(|blob| &blob.digest).collect();
    let mut out = tar::Builder::new(into);
    walk(bundle, |blob, content| {
        if wanted.contains(&blob.digest) { append(&mut out, &blob.digest.path(), blob.size, content) } else { Ok(()) }
    })?;
    let finish = || {
        for (name, bytes) in documents(images)? {
            append(&mut out, name, bytes.len() as u64, &bytes[..])?;
        }
        out.into_inner()?.flush()
    };
    finish().map_err(UnpackError::Write)
}

/// What a blob that is to come will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Manifest,
    Config,
    Layer,
}

/// What the documents so far say of the bundle.
#[derive(Debug, Default)]
struct Said {
    named: Vec<Descriptor>,
    manifests: BTreeMap<Digest, Manifest>,
    configs: BTreeMap<Digest, Config>,
    /// Blobs that are still to come, by path.
    coming: BTreeMap<String, (Kind, Descriptor)>,
    /// Bytes of all blobs.
    total: u64,
}

/// Reads a bundle to its end, showing every blob to `visit`; what that leaves of a blob is read all the same.
fn walk(
    bundle: impl Read,
    mut visit: impl FnMut(&Descriptor, &mut Blob<'_>) -> io::Result<()>,
) -> Result<Vec<Bundled>, UnpackError> {
    let mut archive = tar::Archive::new(bundle);
    let mut said = Said::default();
    // Raw: extended headers, which may be of any size, are entries like others then, and of a kind that is refused.
    let entries = archive.entries().map_err(UnpackError::Read)?.raw(true);
    let mut documents = [MARKER, INDEX, DOCKERS_LIST].into_iter();
    for entry in entries {
        let mut entry = entry.map_err(UnpackError::Read)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return flaw(format!("`{path}` is not a plain file"));
        }
        let size = entry.size();
        match documents.next() {
            Some(name) if path != name => return flaw(format!("`{path}` is where {name} should be")),
            Some(INDEX) => said.index(parsed(INDEX, &document(INDEX, size, &mut entry)?)?)?,
            Some(name) => drop(document(name, size, &mut entry)?),
            None => {
                let Some((kind, blob)) = said.coming.remove(&path) else {
                    return flaw(format!("`{path}` is not named before it comes, or comes twice"));
                };
                if size != blob.size {
                    return flaw(format!("{} has {size} bytes and should have {}", blob.digest, blob.size));
                }
                let kept = content(kind, &blob, &mut entry, &mut visit)?;
                match kind {
                    Kind::Manifest => said.manifest(blob.digest, parsed(&path, &kept)?)?,
                    Kind::Config => drop(said.configs.insert(blob.digest, parsed(&path, &kept)?)),
                    Kind::Layer => {}
                }
            }
        }
    }
    end(archive.into_inner())?;
    if let Some(missing) = documents.next() {
        return flaw(format!("{missing} is missing"));
    }
    if let Some((_, blob)) = said.coming.values().next() {
        return flaw(format!("{} is missing", blob.digest));
    }
    said.images()
}

/// A blob's content, hashed as it is read; what could not be read is remembered.
struct Blob<'a> {
    from: &'a mut dyn Read,
    hash: Sha256,
    kept: Option<Vec<u8>>,
    read: u64,
    broken: Option<io::Error>,
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.from.read(buffer) {
            Ok(count) => {
                self.hash.update(&buffer[..count]);
                self.read += count as u64;
                self.kept.iter_mut().for_each(|kept| kept.extend_from_slice(&buffer[..count]));
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                self.broken = Some(error);
                Err(told)
            }
        }
    }
}

/// Shows a blob to `visit`, and holds it against its digest. The result is the content of a document.
fn content(
    kind: Kind,
    blob: &Descriptor,
    from: &mut impl Read,
    visit: &mut impl FnMut(&Descriptor, &mut Blob<'_>) -> io::Result<()>,
) -> Result<Vec<u8>, UnpackError> {
    let kept = (kind != Kind::Layer).then(Vec::new);
    let mut content = Blob { from, hash: Sha256::default(), kept, read: 0, broken: None };
    let shown = visit(blob, &mut content).and_then(|()| io::copy(&mut content, &mut io::sink()).map(drop));
    let Blob { hash, kept, read, broken, .. } = content;
    if let Some(error) = broken {
        return Err(UnpackError::Read(error));
    }
    shown.map_err(UnpackError::Write)?;
    // An archive that ends within a file ends that file without a word.
    let found = Digest::from_sha256(&hash.finish());
    if found != blob.digest {
        return flaw(format!("what should be {} is {found}, of {read} bytes", blob.digest));
    }
    Ok(kept.unwrap_or_default())
}

fn document(name: &str, size: u64, from: &mut impl Read) -> Result<Vec<u8>, UnpackError> {
    if size > DOCUMENT {
        return flaw(format!("{name} has {size} bytes, and no document has more than {DOCUMENT}"));
    }
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).map_err(UnpackError::Read)?;
    Ok(bytes)
}

fn parsed<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, UnpackError> {
    serde_json::from_slice(bytes).or_else(|error| flaw(format!("{name} is not what it should be: {error}")))
}

/// Nothing may follow but zeros, and the compression's own checksum must come.
fn end(mut rest: impl Read) -> Result<(), UnpackError> {
    let mut padding = Vec::new();
    rest.by_ref().take(PADDING + 1).read_to_end(&mut padding).map_err(UnpackError::Read)?;
    let is_padding = padding.len() as u64 <= PADDING && padding.iter().all(|byte| *byte == 0);
    if is_padding { Ok(()) } else { flaw("something follows its end") }
}

impl Said {
    fn index(&mut self, index: Index) -> Result<(), UnpackError> {
        if index.manifests.len() > IMAGES {
            return flaw(format!("{} images are more than the {IMAGES} of a bundle", index.manifests.len()));
        }
        for manifest in &index.manifests {
            self.announce(Kind::Manifest, manifest)?;
        }
        self.named = index.manifests;
        Ok(())
    }

    fn manifest(&mut self, digest: Digest, manifest: Manifest) -> Result<(), UnpackError> {
        self.announce(Kind::Config, &manifest.config)?;
        for layer in &manifest.layers {
            self.announce(Kind::Layer, layer)?;
        }
        self.manifests.insert(digest, manifest);
        Ok(())
    }

    fn announce(&mut self, kind: Kind, blob: &Descriptor) -> Result<(), UnpackError> {
        if kind != Kind::Layer && blob.size > DOCUMENT {
            return flaw(format!("{} has {} bytes, and no document has more than {DOCUMENT}", blob.digest, blob.size));
        }
        match self.coming.get(&blob.digest.path()) {
            Some((known, same)) if *known == kind && same.size == blob.size => Ok(()),
            Some(_) => flaw(format!("{} is said to be two things", blob.digest)),
            None => {
                self.total = self.total.saturating_add(blob.size);
                if self.total > ALL {
                    return flaw(format!("its blobs have more than {} GiB", ALL >> 30));
                }
                self.coming.insert(blob.digest.path(), (kind, blob.clone()));
                Ok(())
            }
        }
    }

    fn images(self) -> Result<Vec<Bundled>, UnpackError> {
        let mut images = Vec::new();
        for at in self.named {
            let Some(name) = Bundled::name(&at) else { return flaw(format!("image {} has no name", at.digest)) };
            let Some(manifest) = self.manifests.get(&at.digest) else {
                return flaw(format!("the manifest of {name} is missing"));
            };
            let Some(config) = self.configs.get(&manifest.config.digest) else {
                return flaw(format!("the configuration of {name} is missing"));
            };
            if let Some(why) = misfit(config, &manifest.layers) {
                return flaw(format!("image {name}: {why}"));
            }
            images.push(Bundled { name, at, manifest: manifest.clone() });
        }
        if images.is_empty() { flaw("no image is in it") } else { Ok(images) }
    }
}

#[cfg(test)]
mod tests;
