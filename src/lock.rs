//! Locks between processes: a file that one of them holds at a time, and that says who does.
//!
//! The lock is the kernel's (`flock`), so it is free the moment its holder is gone, however that ended. Files of kubectl's
//! are locked as kubectl does it: by a file's being there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::limits::LOCK_LOOKER;
use crate::process;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);
/// Times that a file may be gone from its path, or from its server, when it has just been opened.
const CHANGES: usize = 1000;

/// A lock that this process holds; free when dropped.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

/// The process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Its process id. A process with this id was there when the lock was looked at.
    pub pid: u32,
    /// What it holds the lock for, in its own words.
    pub purpose: String,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it; which, where it has said so.
    #[error("another process holds it")]
    Held(Option<Holder>),
    /// The file system's own.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FileLock {
    /// Takes the lock at `path`, whose folder must be there, without waiting for another holder.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn try_acquire(path: &Path, purpose: &str) -> Result<Self, LockError> {
        let began = Instant::now();
        loop {
            match Self::attempt(path, purpose) {
                // Whoever only looks at a lock never writes that it holds it.
                Err(LockError::Held(None)) if began.elapsed() < LOCK_LOOKER => sleep(PAUSE),
                ended => return ended,
            }
        }
    }

    /// As [`try_acquire`](Self::try_acquire), and waits up to `limit` for other holders, on this thread.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn acquire(path: &Path, purpose: &str, limit: Duration) -> Result<Self, LockError> {
        let began = Instant::now();
        loop {
            match Self::attempt(path, purpose) {
                Err(LockError::Held(_)) if began.elapsed() < limit => sleep(PAUSE),
                ended => return ended,
            }
        }
    }

    fn attempt(path: &Path, purpose: &str) -> Result<Self, LockError> {
        let mut file =
            current(path, OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(read_holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // Whoever had it until now may have removed the file: then this is no longer the lock.
        if !is_at(&file, path) {
            return Err(LockError::Held(None));
        }
        let lock = Self { file, path: path.to_owned() };
        lock.say(purpose)?;
        Ok(lock)
    }

    /// Changes what the lock is held for, as others see it.
    ///
    /// # Errors
    /// The file system's own.
    pub fn say(&self, purpose: &str) -> io::Result<()> {
        let line = format!("{} {}\n", std::process::id(), purpose.replace('\n', " "));
        self.file.set_len(0)?;
        (&self.file).rewind()?;
        (&self.file).write_all(line.as_bytes())
    }

    /// Removes the file. The lock is still held until it is dropped.
    ///
    /// # Errors
    /// The file system's own.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Who takes it next is not to be taken for this process in the moment before it says who it is.
        let _ = self.file.set_len(0);
    }
}

/// kubectl's lock on a kubeconfig, which is the being there of `<file>.lock` (client-go's `lockFile`); removed when
/// dropped.
#[derive(Debug)]
pub struct KubectlLock(PathBuf);

impl KubectlLock {
    /// Takes the lock of `file`, and waits up to `limit`, on this thread, for a kubectl that has it.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn acquire(file: &Path, limit: Duration) -> Result<Self, LockError> {
        let mut path = file.as_os_str().to_owned();
        path.push(".lock");
        let (path, began) = (PathBuf::from(path), Instant::now());
        loop {
            match File::create_new(&path) {
                Ok(_) => return Ok(Self(path)),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                Err(_) if began.elapsed() < limit => sleep(PAUSE),
                Err(_) => return Err(LockError::Held(None)),
            }
        }
    }
}

impl Drop for KubectlLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The process that holds the lock at `path`; none where nobody does, or it has not said so yet.
#[must_use]
pub fn holder(path: &Path) -> Option<Holder> {
    let mut file = current(path, OpenOptions::new().read(true)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_holder(&mut file),
        _ => None,
    }
}

/// The file at a path; on a network file system the first try may find one that the server has no longer.
fn current(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let mut tries = 0..CHANGES;
    loop {
        match options.open(path).and_then(|file| file.metadata().map(|_| file)) {
            Err(error) if error.kind() == io::ErrorKind::StaleNetworkFileHandle && tries.next().is_some() => {}
            opened => return opened,
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |about: &fs::Metadata| (about.dev(), about.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(ours), Ok(there)) if identity(&ours) == identity(&there))
}

/// Who a lock's file says holds it. A line without its end is still being written, and a process that is gone was killed
/// before it could take its line away.
fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(1024).read_to_string(&mut text).ok()?;
    let (pid, purpose) = text.strip_suffix('\n')?.split_once(' ')?;
    let pid = pid.parse().ok().filter(|pid| process::exists(*pid))?;
    Some(Holder { pid, purpose: purpose.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        (folder, path)
    }

    fn held_by(path: &Path) -> Option<Holder> {
        match FileLock::try_acquire(path, "to be refused") {
            Err(LockError::Held(holder)) => holder,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_holds_it_and_everybody_can_see_who() {
        let (_folder, path) = place();
        assert_eq!(holder(&path), None);
        let lock = FileLock::try_acquire(&path, "up").expect("free");
        let us = |purpose: &str| Some(Holder { pid: std::process::id(), purpose: purpose.to_owned() });
        assert_eq!((holder(&path), held_by(&path)), (us("up"), us("up")));
        lock.say("a\nb").expect("written");
        assert_eq!((holder(&path), held_by(&path)), (us("a b"), us("a b")));
        drop(lock);
        assert_eq!(holder(&path), None);
        assert_eq!(fs::read_to_string(&path).expect("there"), "", "nobody is named who does not hold it");
        FileLock::try_acquire(&path, "down").expect("free again");
    }

    #[test]
    fn a_line_without_its_end_or_of_a_process_that_is_gone_names_nobody() {
        let (_folder, path) = place();
        let _lock = FileLock::try_acquire(&path, "up").expect("free");
        for text in ["", "1", "1 up", "up\n", "0 up\n", "4194305 up\n", "99999999999 up\n"] {
            fs::write(&path, text).expect("written");
            assert_eq!(holder(&path), None, "{text:?}");
        }
        fs::write(&path, "1 up\n").expect("written");
        assert_eq!(holder(&path).map(|holder| holder.pid), Some(1));
    }

    #[test]
    fn who_only_looks_is_in_nobodys_way() {
        let (_folder, path) = place();
        fs::write(&path, "").expect("written");
        let looker = File::open(&path).expect("there");
        looker.lock_shared().expect("locked");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sleep(LOCK_LOOKER / 4);
                drop(looker);
            });
            FileLock::try_acquire(&path, "up").expect("free in a moment");
        });
    }

    #[test]
    fn a_lock_on_a_file_that_its_holder_removed_is_none() {
        let (_folder, path) = place();
        let first = FileLock::try_acquire(&path, "down").expect("free");
        let late = File::open(&path).expect("there");
        first.remove().expect("removed");
        drop(first);
        assert!(late.try_lock().is_ok() && !is_at(&late, &path));
        let second = FileLock::try_acquire(&path, "up").expect("free");
        assert!(is_at(&second.file, &path) && !is_at(&late, &path));
    }

    #[test]
    fn many_at_once_hold_it_one_after_the_other_though_each_removes_it() {
        let (_folder, path) = place();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let lock = FileLock::acquire(&path, "work", Duration::from_secs(20)).expect("in turn");
                    assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    lock.remove().expect("ours");
                });
            }
        });
        assert!(!path.exists());
    }

    #[test]
    fn the_wait_for_it_has_an_end() {
        let (_folder, path) = place();
        let _lock = FileLock::try_acquire(&path, "up").expect("free");
        let refused = FileLock::acquire(&path, "down", Duration::from_millis(30)).expect_err("held");
        assert!(matches!(refused, LockError::Held(Some(_))));
        assert!(matches!(FileLock::acquire(Path::new("/nowhere/lock"), "", LOCK_LOOKER), Err(LockError::Io(_))));
    }
}
