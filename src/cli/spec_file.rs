//! The user's sandbox.yaml, and how much text is read at all.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::failure::{Failure, Reason};
use crate::spec::{self, Layer, Problem};
use crate::text;

/// The most text that is read in all, in bytes: upstream's manifests have 140 KB.
pub(super) const MANIFEST_LIMIT: u64 = 64 << 20;

/// The user's file.
#[derive(Debug, Clone)]
pub(super) struct SpecFile {
    /// Its path as the user knows it.
    path: String,
    text: String,
}

impl SpecFile {
    /// What it says.
    pub(super) fn layer(&self) -> Result<Layer, Problem> {
        spec::parse(&self.text, &self.path)
    }
}

/// Reads the user's file: the named one, which must be there, or `sandbox.yaml` in the folder `here`, which may be.
/// Blocks for as long as the file does.
pub(super) fn spec_file(named: Option<&Path>, here: &Path) -> Result<Option<SpecFile>, Failure> {
    let path = named.map_or_else(|| here.join("sandbox.yaml"), Path::to_owned);
    let shown = path.strip_prefix(here).unwrap_or(&path).display().to_string();
    match fs::File::open(&path).and_then(|file| read_text(file, &mut { MANIFEST_LIMIT })) {
        Ok(text) => Ok(Some(SpecFile { path: shown, text })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(error) => Err(Failure::new(Reason::Usage, "cannot read the spec").on(shown).because(error)),
    }
}

/// Text of what may be `left`, which becomes less by it.
pub(super) fn read_text(from: impl Read, left: &mut u64) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    from.take(*left + 1).read_to_end(&mut bytes)?;
    *left = left
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| std::io::Error::other(format!("all that is read may have {} MiB", MANIFEST_LIMIT >> 20)))?;
    text::decoded(bytes).map_err(|why| std::io::Error::new(std::io::ErrorKind::InvalidData, why))
}
