//! The recordings of this machine: their names, and how many are kept.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use humantime::format_rfc3339_millis;

use super::recorded::Recorded;
use crate::files::private_folder;

/// The folder within the state folder. A dot is in no sandbox's name.
const NAME: &str = "recorded.runs";
const ENDING: &str = ".ndjson";
/// The most recordings; the oldest go first.
const KEPT: usize = 50;

/// The folder of recordings in a state folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// A recording that is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Such as `20261129T102233.123Z-4711`: when the run began, and its process.
    pub id: String,
    /// The file.
    pub path: PathBuf,
}

impl Folder {
    /// That of a state folder.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self(state.join(NAME))
    }

    /// A new file for a run that begins now; the oldest files go, where there are too many.
    ///
    /// # Errors
    /// The file system's own.
    pub(super) fn create(&self, began: SystemTime) -> io::Result<File> {
        self.0.parent().map_or(Ok(()), private_folder)?;
        private_folder(&self.0)?;
        let at = format_rfc3339_millis(began).to_string().replace(['-', ':'], "");
        let path = self.0.join(format!("{at}-{}{ENDING}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let all = self.entries();
        for old in &all[..all.len().saturating_sub(KEPT)] {
            // Another run may have done so.
            let _ = fs::remove_file(&old.path);
        }
        Ok(file)
    }

    /// All recordings, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let files = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let entry = |file: fs::DirEntry| {
            let name = file.file_name().into_string().ok()?;
            Some(Entry { id: name.strip_suffix(ENDING)?.to_owned(), path: file.path() })
        };
        let mut entries: Vec<_> = files.filter_map(entry).collect();
        entries.sort();
        entries
    }

    /// The newest run on a sandbox that can be read.
    #[must_use]
    pub fn latest_of(&self, sandbox: &str) -> Option<Recorded> {
        let read = |entry: Entry| Recorded::read(&entry.path).ok();
        self.entries().into_iter().rev().filter_map(read).find(|recorded| recorded.is_of(sandbox))
    }

    /// The one that an id, or the beginning of one, names; without one the newest. Absent where none or several are meant.
    #[must_use]
    pub fn find(&self, id: Option<&str>) -> Option<Entry> {
        let mut entries = self.entries();
        let Some(id) = id else { return entries.pop() };
        entries.retain(|entry| entry.id.starts_with(id));
        (entries.len() == 1).then(|| entries.pop()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_newest_fifty_are_kept_and_found_by_how_they_begin() {
        let state = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(state.path());
        assert_eq!(folder.find(None), None);
        let at = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second);
        for second in 0..53 {
            folder.create(at(second)).expect("made");
        }
        let entries = folder.entries();
        assert_eq!(entries.len(), KEPT);
        assert!(entries[0].id.starts_with("20231114T221323.000Z-"), "{}", entries[0].id);
        assert_eq!(folder.find(None).as_ref(), entries.last());
        assert_eq!(folder.find(Some("20231114T221323")).as_ref(), entries.first());
        assert_eq!(folder.find(Some("20231114")), None, "several");
        assert_eq!(folder.find(Some("1999")), None);
        assert!(folder.create(at(52)).is_err(), "there already");
    }
}
