//! What a sandbox keeps on this machine: a folder of its own, and a lock that one run holds at a time.
//!
//! The cluster is the truth; nothing here is needed to take a sandbox away or to look at it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Reason};

/// The folder that holds every sandbox's own folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRoot(PathBuf);

/// One sandbox's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
    lock: PathBuf,
}

/// Held while a run may change a sandbox; given back when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Writes a file whole or not at all, readable by its owner only. Its folder must be there.
///
/// # Errors
/// The file system's own.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)
}

impl StateRoot {
    /// At this path; made when something is first written.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of the sandbox with this name, which is a DNS label and so cannot leave the root.
    #[must_use]
    pub fn sandbox(&self, name: &str) -> StateDir {
        StateDir { path: self.0.join(name), lock: self.0.join(format!("{name}.lock")) }
    }
}

impl StateDir {
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the kubeconfig is, readable by its owner only.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig.yaml")
    }

    /// Takes the sandbox's lock for `command`.
    ///
    /// # Errors
    /// [`Reason::Locked`] names the run that holds it.
    pub fn lock(&self, command: &str) -> Result<Lock, Failure> {
        let failed = |error: io::Error| self.unwritable("cannot lock the sandbox", &error);
        if let Some(root) = self.lock.parent() {
            fs::create_dir_all(root).map_err(failed)?;
        }
        loop {
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.lock);
            let file = file.as_mut().map_err(|error| self.unwritable("cannot lock the sandbox", error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(self.held(file)),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // A `down` that just ended has removed the file; what was locked then is no longer at this path.
            let current = fs::metadata(&self.lock).ok().map(|at| at.ino());
            if current != Some(file.metadata().map_err(failed)?.ino()) {
                continue;
            }
            file.set_len(0).map_err(failed)?;
            write!(file, "{} {command}", std::process::id()).map_err(failed)?;
            return Ok(Lock { _file: file.try_clone().map_err(failed)? });
        }
    }

    /// Writes a file of the sandbox whole or not at all, readable by its owner only.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, path: &Path, text: &str) -> Result<(), Failure> {
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        folder
            .and_then(|()| write_whole(path, text))
            .map_err(|error| self.unwritable("cannot keep the sandbox's state", &error))
    }

    /// Removes the folder and, last, the lock file, which the caller holds.
    ///
    /// # Errors
    /// Something in it cannot be removed.
    pub fn remove(&self, _held: &Lock) -> Result<(), Failure> {
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::new(Reason::Leftovers, "cannot remove the sandbox's state")
                    .on(self.path.display())
                    .because(error))
            }
            _ => Ok(()),
        };
        gone(fs::remove_dir_all(&self.path))?;
        gone(fs::remove_file(&self.lock))
    }

    fn held(&self, file: &mut File) -> Failure {
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let failure =
            Failure::new(Reason::Locked, "another run is busy with this sandbox").on(format!("sandbox {name}"));
        match holder.split_once(' ') {
            Some((pid, command)) => failure
                .because(format!("`sandbox {command}` with pid {pid} holds it"))
                .hint(format!("wait for it, or stop it with `kill -INT {pid}`")),
            None => failure.hint("wait for it to end"),
        }
    }

    fn unwritable(&self, what: &str, error: &io::Error) -> Failure {
        Failure::new(Reason::StateUnwritable, what)
            .on(self.path.display())
            .because(error)
            .hint("set SANDBOX_STATE_DIR to a folder that you can write")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_told_who_holds_the_sandbox() {
        let root = tempfile::tempdir().expect("a folder");
        let state = StateRoot::new(root.path().to_owned()).sandbox("flyte");
        let held = state.lock("up").expect("free");
        let refused = state.lock("down").expect_err("held");
        assert_eq!(refused.reason, Reason::Locked);
        assert_eq!(refused.causes, [format!("`sandbox up` with pid {} holds it", std::process::id())]);
        drop(held);
        state.lock("down").expect("free again");
    }

    #[test]
    fn removal_leaves_nothing_and_the_name_can_be_locked_again() {
        let root = tempfile::tempdir().expect("a folder");
        let state = StateRoot::new(root.path().to_owned()).sandbox("flyte");
        let held = state.lock("down").expect("free");
        state.write(&state.kubeconfig(), "secret").expect("written");
        assert_eq!(fs::metadata(state.kubeconfig()).expect("there").mode() & 0o777, 0o600);
        state.remove(&held).expect("removed");
        assert_eq!(fs::read_dir(root.path()).expect("there").count(), 0);
        drop(held);
        state.lock("up").expect("free");
    }
}
