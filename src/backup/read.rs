//! A backup, read and held against its format.

use std::io::{self, Read};

use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::manifest::{ALL, DOCUMENT, END, FORMAT, MANIFEST, Manifest, ObjectHead, Totals};
use crate::failure::{Failure, Reason};

/// The most zeros after an archive's end.
const PADDING: u64 = 10 << 10;

/// What comes next in a backup.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// What it is of.
    Manifest(&'a Manifest),
    /// The dump of a database.
    Database {
        /// The database.
        name: &'a str,
        /// Bytes of the dump.
        size: u64,
    },
    /// An object.
    Object(&'a ObjectHead),
}

/// Why a backup could not be read to its end.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is cut, damaged or something else.
    #[error("{0}")]
    Flaw(String),
    /// The file cannot be read, or is not compressed as a backup is.
    #[error(transparent)]
    Read(io::Error),
    /// Whoever took the content did not want it.
    #[error(transparent)]
    Taken(io::Error),
}

impl ReadError {
    /// The failure of a command that was given the file at `path`.
    #[must_use]
    pub fn failure(self, path: &str) -> Failure {
        Failure::new(Reason::BackupInvalid, "the backup cannot be used").on(path).caused_by(self)
    }
}

fn flaw<T>(why: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::Flaw(why.into()))
}

/// Reads a backup to its end. Each part is shown with its content to `take`; what that leaves is read all the same.
/// Only what is true is shown of a manifest or an object, but not that nothing is missing: that is known in the end.
///
/// # Errors
/// [`ReadError`]. Whatever is in the file, memory stays bounded.
pub fn read(
    file: impl Read,
    mut take: impl FnMut(Part<'_>, &mut dyn Read) -> io::Result<()>,
) -> Result<(Manifest, Totals), ReadError> {
    let decoder = zstd::Decoder::new(file).map_err(ReadError::Read)?;
    let mut archive = tar::Archive::new(decoder);
    let (mut manifest, mut head, mut end) = (None::<Manifest>, None::<ObjectHead>, None::<Totals>);
    let mut totals = Totals::default();
    // Raw: extended headers, which may be of any size, are entries like others then, and of a kind that is refused.
    for entry in archive.entries().map_err(ReadError::Read)?.raw(true) {
        let mut entry = entry.map_err(ReadError::Read)?;
        let (name, size) = (String::from_utf8_lossy(&entry.path_bytes()).into_owned(), entry.size());
        if entry.header().entry_type() != tar::EntryType::Regular {
            return flaw(format!("{name:?} is not a plain file"));
        }
        let Some(manifest) = &manifest else {
            if name != MANIFEST {
                return flaw(format!("{name:?} is where {MANIFEST} should be: it is not a backup"));
            }
            let read = parse_manifest(&document(&name, size, &mut entry)?)?;
            take(Part::Manifest(&read), &mut io::empty()).map_err(ReadError::Taken)?;
            manifest = Some(read);
            continue;
        };
        if end.is_some() {
            return flaw(format!("{name:?} follows its end"));
        }
        let next = usize::try_from(totals.databases).unwrap_or(usize::MAX);
        let part = if let Some(database) = manifest.databases.get(next) {
            expect(&name, &format!("databases/{next}.sql"))?;
            totals.databases += 1;
            Part::Database { name: database, size }
        } else if let Some(head) = &head {
            expect(&name, &format!("objects/{}", totals.objects))?;
            if head.size != size {
                return flaw(format!("{name:?} has {size} bytes and should have {}", head.size));
            }
            totals.objects += 1;
            Part::Object(head)
        } else if name == END {
            end = Some(parsed(&name, &document(&name, size, &mut entry)?)?);
            continue;
        } else {
            expect(&name, &format!("objects/{}.json", totals.objects))?;
            let read: ObjectHead = parsed(&name, &document(&name, size, &mut entry)?)?;
            if let Some(why) = read.flaw() {
                return flaw(why);
            }
            head = Some(read);
            continue;
        };
        totals.bytes = totals.bytes.saturating_add(size);
        if totals.bytes > ALL {
            return flaw(format!("it has more than {ALL} bytes"));
        }
        content(&name, size, &mut entry, |from| take(part, from))?;
        head = None;
    }
    no_more(archive.into_inner())?;
    let Some(manifest) = manifest else { return flaw("it is empty") };
    match end {
        Some(end) if end == totals => Ok((manifest, totals)),
        Some(_) => flaw("it does not have what its end says"),
        None => flaw("it is cut: its end is missing"),
    }
}

/// Bytes as they are read, and what could not be.
struct Counted<'a> {
    from: &'a mut dyn Read,
    count: u64,
    broken: Option<io::Error>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.from.read(buffer) {
            Ok(count) => {
                self.count += count as u64;
                Ok(count)
            }
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                self.broken = Some(error);
                Err(told)
            }
        }
    }
}

/// Shows content, and sees that all of it is there: an archive that ends within a file ends that file without a word.
fn content(
    name: &str,
    size: u64,
    from: &mut dyn Read,
    take: impl FnOnce(&mut dyn Read) -> io::Result<()>,
) -> Result<(), ReadError> {
    let mut counted = Counted { from, count: 0, broken: None };
    let taken = take(&mut counted).and_then(|()| io::copy(&mut counted, &mut io::sink()).map(drop));
    if let Some(broken) = counted.broken {
        return Err(ReadError::Read(broken));
    }
    taken.map_err(ReadError::Taken)?;
    if counted.count == size { Ok(()) } else { flaw(format!("it is cut within {name:?}")) }
}

fn expect(name: &str, expected: &str) -> Result<(), ReadError> {
    if name == expected { Ok(()) } else { flaw(format!("{name:?} is where {expected} should be")) }
}

fn document(name: &str, size: u64, from: &mut dyn Read) -> Result<Vec<u8>, ReadError> {
    if size > DOCUMENT {
        return flaw(format!("{name:?} has {size} bytes, and no document has more than {DOCUMENT}"));
    }
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).map_err(ReadError::Read)?;
    Ok(bytes)
}

fn parsed<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, ReadError> {
    serde_json::from_slice(bytes).or_else(|error| flaw(format!("{name:?} is not what it should be: {error}")))
}

fn parse_manifest(bytes: &[u8]) -> Result<Manifest, ReadError> {
    // What another format says is read by nobody, so that its number is told and not a field that it lacks.
    let format = parsed::<Value>(MANIFEST, bytes)?["format"].as_u64();
    match format {
        Some(FORMAT) => {}
        Some(other) => {
            return flaw(format!("it has format {other}, and this version of sandbox reads format {FORMAT}"));
        }
        None => return flaw(format!("{MANIFEST} names no format: it is not a backup")),
    }
    let manifest: Manifest = parsed(MANIFEST, bytes)?;
    match manifest.flaw() {
        Some(why) => flaw(why),
        None => Ok(manifest),
    }
}

/// Nothing may follow but zeros, and the compression's own checksum must come.
fn no_more(mut rest: impl Read) -> Result<(), ReadError> {
    let mut padding = Vec::new();
    rest.by_ref().take(PADDING + 1).read_to_end(&mut padding).map_err(ReadError::Read)?;
    let is_padding = padding.len() as u64 <= PADDING && padding.iter().all(|byte| *byte == 0);
    if is_padding { Ok(()) } else { flaw("something follows its end") }
}
