//! The folder: where it is, who may read it, how much goes in, which are kept.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::files::private_folder;
use crate::state::StateRoot;

/// Bytes of a file, the last where there are more.
pub(super) const FILE: usize = 1 << 20;
/// Bytes of all files.
const TOTAL: usize = 20 << 20;
/// Folders of one sandbox that are kept, the newest.
const KEPT: usize = 5;
/// For the index and for its page each, whatever else there is.
const INDEX: usize = FILE;

/// Less room than this in bytes is none: the end of a text that is cut to it would tell nothing.
const LEAST: usize = 4 << 10;
/// The end of the name of a folder that is being filled.
const PARTIAL: &str = ".partial";
/// When a folder that is being filled belongs to a run that was killed.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// A folder that is being filled, under a name of its own: gone when dropped, unless it was published.
#[derive(Debug)]
pub(super) struct Folder {
    partial: TempDir,
    home: PathBuf,
    stamp: String,
    room: usize,
}

impl Folder {
    /// A new one for this sandbox.
    pub(super) fn create(root: &StateRoot, sandbox: &str, now: SystemTime) -> io::Result<Self> {
        let home = home(root, sandbox);
        private_folder(root.path())?;
        private_folder(&home)?;
        let partial = tempfile::Builder::new()
            .prefix(".")
            .suffix(PARTIAL)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&home)?;
        Ok(Self { partial, home, stamp: stamp(now), room: TOTAL })
    }

    /// Gives the folder its name, which is the time, and removes the oldest of the others; the result is its path.
    pub(super) fn publish(self) -> io::Result<PathBuf> {
        let names =
            std::iter::once(self.stamp.clone()).chain((2..100).map(|number| format!("{}-{number}", self.stamp)));
        for name in names {
            let path = self.home.join(name);
            match fs::rename(self.partial.path(), &path) {
                Ok(()) => {
                    let _ = self.partial.keep();
                    remove_old(&self.home);
                    return Ok(path);
                }
                Err(error) if [ErrorKind::AlreadyExists, ErrorKind::DirectoryNotEmpty].contains(&error.kind()) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Bytes that may still be written when so many are to be spared; 0 where it is not worth it.
    pub(super) fn room(&self, spare: usize) -> usize {
        let room = self.room.saturating_sub(2 * INDEX + spare);
        if room < LEAST { 0 } else { room }
    }

    /// Writes a file, readable by its owner only, leaves `spare` bytes of room, and says how many bytes the file has. Of a
    /// long text the end is kept.
    ///
    /// # Errors
    /// Why it is not there: the folder is full, or the file system's own words.
    pub(super) fn keep(&mut self, path: &str, text: &str, spare: usize) -> Result<usize, String> {
        let room = self.room(spare);
        if room == 0 {
            return Err(full());
        }
        let text = end(text, FILE.min(room));
        self.room -= text.len();
        self.write(path, &text)
    }

    /// Writes a file that there is always room for: the index, as Markdown and as a page.
    ///
    /// # Errors
    /// The file system's own words.
    pub(super) fn keep_index(&self, path: &str, text: &str) -> Result<usize, String> {
        let mut kept = text;
        if let Some(cut) = text.char_indices().map(|(at, _)| at).find(|at| *at >= INDEX) {
            kept = &text[..cut];
        }
        self.write(path, kept)
    }

    fn write(&self, path: &str, text: &str) -> Result<usize, String> {
        let path = self.partial.path().join(relative(path));
        let written = path.parent().map_or(Ok(()), private_folder).and_then(|()| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())
        });
        written.map(|()| text.len()).map_err(|error| error.to_string())
    }
}

/// Why a file is not in the folder.
pub(super) fn full() -> String {
    format!("left out: the folder would have more than {} MiB", TOTAL >> 20)
}

/// The newest folder of this sandbox, if there is one.
#[must_use]
pub fn latest(root: &StateRoot, sandbox: &str) -> Option<PathBuf> {
    folders(&home(root, sandbox)).pop()
}

fn home(root: &StateRoot, sandbox: &str) -> PathBuf {
    root.path().join("failures").join(sandbox)
}

/// `20261125T101500Z`: sorts as it was made, and every file system takes it.
fn stamp(now: SystemTime) -> String {
    humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "")
}

/// The folders of a sandbox, oldest first.
fn folders(home: &Path) -> Vec<PathBuf> {
    let is_stamp = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.len() >= 16 && name.as_bytes()[..8].iter().all(u8::is_ascii_digit) && name.as_bytes()[8] == b'T'
    };
    let entries = fs::read_dir(home).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<_> = entries.filter(|path| path.is_dir() && is_stamp(path)).collect();
    found.sort();
    found
}

fn remove_old(home: &Path) {
    let folders = folders(home);
    for old in &folders[..folders.len().saturating_sub(KEPT)] {
        let _ = fs::remove_dir_all(old);
        let _ = fs::remove_file(super::archive::beside(old));
    }
    let is_abandoned = |entry: &fs::DirEntry| {
        let age = entry.metadata().ok().and_then(|about| about.modified().ok()?.elapsed().ok());
        entry.file_name().to_string_lossy().ends_with(PARTIAL) && age.is_some_and(|age| age > ABANDONED)
    };
    for abandoned in fs::read_dir(home).into_iter().flatten().flatten().filter(is_abandoned) {
        let _ = fs::remove_dir_all(abandoned.path());
    }
}

/// A path that cannot leave the folder, whatever its parts are called: names come from clusters.
fn relative(path: &str) -> PathBuf {
    let part = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let part: String = part.chars().map(|c| if plain(c) { c } else { '_' }).take(200).collect();
        if part.starts_with('.') { format!("_{part}") } else { part }
    };
    path.split('/').filter(|part| !part.is_empty()).map(part).collect()
}

/// The end of a text, from the beginning of a line where there is one, and how much is missing before it.
fn end(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    // Room for the note.
    let mut from = text.len() - limit.saturating_sub(80);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    if let Some(next) = text[from..].find('\n').filter(|at| *at < limit / 2) {
        from += next + 1;
    }
    format!("… {from} bytes before this are left out\n{}", &text[from..])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::time::Duration;

    use super::*;

    fn root() -> (tempfile::TempDir, StateRoot) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = StateRoot::new(folder.path().to_owned());
        (folder, root)
    }

    /// 2026-11-25T10:15:00Z and some seconds.
    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_601_700 + seconds)
    }

    fn made(root: &StateRoot, sandbox: &str, second: u64) -> PathBuf {
        let mut folder = Folder::create(root, sandbox, at(second)).expect("a folder");
        folder.keep("pods/n/p.log", "a", 0).expect("written");
        folder.publish().expect("named")
    }

    #[test]
    fn only_the_owner_may_read_it_and_its_name_is_the_time() {
        let (_guard, root) = root();
        let folder = made(&root, "flyte", 0);
        assert_eq!(folder, root.path().join("failures/flyte/20261125T101500Z"));
        let mode = |path: PathBuf| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!(mode(root.path().join("failures")), 0o700);
        for path in [folder.clone(), folder.join("pods/n")] {
            assert_eq!(mode(path), 0o700);
        }
        assert_eq!(mode(folder.join("pods/n/p.log")), 0o600);
        assert_eq!(made(&root, "flyte", 0), root.path().join("failures/flyte/20261125T101500Z-2"));
    }

    #[test]
    fn one_that_is_given_up_leaves_nothing_and_one_of_a_run_that_was_killed_goes_in_time() {
        let (_guard, root) = root();
        let home = root.path().join("failures/flyte");
        let mut folder = Folder::create(&root, "flyte", at(0)).expect("a folder");
        folder.keep("pods/n/p.log", "a", 0).expect("written");
        assert_eq!((fs::read_dir(&home).expect("there").count(), latest(&root, "flyte")), (1, None));
        drop(folder);
        assert_eq!(fs::read_dir(&home).expect("there").count(), 0);
        for name in [".old.partial", ".new.partial"] {
            fs::create_dir(home.join(name)).expect("made");
        }
        let long_ago = SystemTime::now() - 2 * ABANDONED;
        fs::File::open(home.join(".old.partial")).expect("there").set_modified(long_ago).expect("set");
        made(&root, "flyte", 0);
        assert!(!home.join(".old.partial").exists() && home.join(".new.partial").exists());
    }

    #[test]
    fn the_newest_are_kept_and_what_is_not_ours_stays() {
        let (_guard, root) = root();
        let home = root.path().join("failures/flyte");
        fs::create_dir_all(home.join("mine")).expect("a folder");
        for second in 0..KEPT as u64 + 2 {
            let folder = made(&root, "flyte", second);
            fs::write(super::super::archive::beside(&folder), "").expect("an archive");
        }
        made(&root, "other", 0);
        let mut left: Vec<_> = fs::read_dir(&home)
            .expect("there")
            .flatten()
            .map(|entry| entry.file_name().into_string().expect("text"))
            .collect();
        left.sort();
        assert_eq!(left.len(), 2 * KEPT + 1, "{left:?}");
        assert_eq!((left[0].as_str(), left[left.len() - 1].as_str()), ("20261125T101502Z", "mine"));
        assert_eq!(latest(&root, "flyte"), Some(home.join("20261125T101506Z")));
        assert_eq!(latest(&root, "nobody"), None);
    }

    #[test]
    fn a_file_is_bounded_and_so_is_the_folder_and_the_index_is_always_there() {
        let (_guard, root) = root();
        let mut folder = Folder::create(&root, "flyte", at(0)).expect("a folder");
        let long = "0123456789\n".repeat(FILE / 10);
        let mut refused = 0;
        for number in 0..2 * TOTAL / FILE {
            match folder.keep(&format!("{number}.log"), &long, 0) {
                Ok(bytes) => assert!((LEAST - 200..=FILE).contains(&bytes), "{bytes}"),
                Err(why) => {
                    assert!(why.contains("20 MiB"), "{why}");
                    refused += 1;
                }
            }
        }
        assert!(refused >= TOTAL / FILE, "{refused}");
        folder.keep_index("index.md", &"é".repeat(INDEX)).expect("room");
        let folder = folder.publish().expect("named");
        let files = fs::read_dir(&folder).expect("there").flatten();
        let total: u64 = files.map(|file| file.metadata().expect("there").len()).sum();
        assert!(total <= TOTAL as u64, "{total}");
        let kept = fs::read_to_string(folder.join("0.log")).expect("text");
        let (note, rest) = kept.split_once('\n').expect("lines");
        assert!(note.starts_with("… ") && note.ends_with(" bytes before this are left out"), "{note}");
        assert!(rest.starts_with("0123456789\n") && rest.ends_with("0123456789\n"));
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for (path, safe) in [
            ("../../etc/passwd", "_../_../etc/passwd"),
            ("/etc/passwd", "etc/passwd"),
            ("pods/n/a b:c\n.log", "pods/n/a_b_c_.log"),
            (".ssh/x", "_.ssh/x"),
        ] {
            assert_eq!(relative(path), Path::new(safe), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_end_of_a_text_is_its_end_and_not_more_than_may_be(text in ".{0,300}", limit in 100_usize..200) {
            let kept = end(&text, limit);
            proptest::prop_assert!(kept.len() <= limit.max(text.len().min(limit)));
            let rest = kept.split_once(" bytes before this are left out\n").map_or(kept.as_str(), |(_, rest)| rest);
            proptest::prop_assert!(text.ends_with(rest));
        }
    }
}
