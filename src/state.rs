//! What sandboxes keep on this machine: each a folder of its own and a lock that one run holds at a time, all together
//! the key that their secrets are derived from.
//!
//! The cluster is the truth; nothing here is needed to take a sandbox away or to look at it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Reason};
use crate::spec::MachineKey;

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

/// Writes a file whole or not at all, also when the machine loses power, readable by its owner only. Its folder must be
/// there. Where the path is a link, what it leads to is written, and the link stays.
///
/// # Errors
/// The file system's own.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    // What is there under this name is of a killed run whose process id we have now. A link is not followed.
    let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    let _ = fs::remove_file(&partial);
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        publish(&file, &partial, &path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Gives a file that is whole its name, for good.
fn publish(file: &File, partial: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(partial, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Makes a folder, and those above it that are not there, for nobody else to look into.
///
/// # Errors
/// The file system's own.
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
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

    /// The key that this machine's secrets are derived from; made where it is not there yet, or is no key.
    ///
    /// # Errors
    /// [`Reason::StateUnwritable`]: there is none, and none can be kept.
    pub fn machine_key(&self) -> Result<MachineKey, Failure> {
        // A dot is in no sandbox's name, so none has its folder there.
        let path = self.0.join("machine.key");
        let made = || {
            private_folder(&self.0)?;
            make_key(&path)
        };
        read_key(&path).map_or_else(made, Ok).map_err(|error| {
            unwritable(&path, "cannot keep the key that secrets are derived from", &error)
                .hint("`--upstream-credentials`, or storage.secretKey in sandbox.yaml, goes without it")
        })
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

    /// Where it stands on which given cluster the sandbox is, of one that is on such.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        self.path.join("place.json")
    }

    /// Takes the sandbox's lock for `command`.
    ///
    /// # Errors
    /// [`Reason::Locked`] names the run that holds it.
    pub fn lock(&self, command: &str) -> Result<Lock, Failure> {
        let failed = |error: io::Error| self.unwritable("cannot lock the sandbox", &error);
        if let Some(root) = self.lock.parent() {
            private_folder(root).map_err(failed)?;
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
        let folder = path.parent().map_or(Ok(()), private_folder);
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
        let folder = gone(fs::remove_dir_all(&self.path));
        folder.and(gone(fs::remove_file(&self.lock)))
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
        unwritable(&self.path, what, error)
    }
}

fn unwritable(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::new(Reason::StateUnwritable, what)
        .on(path.display())
        .because(error)
        .hint("set SANDBOX_STATE_DIR to a folder that you can write")
}

fn read_key(path: &Path) -> Option<MachineKey> {
    fs::read(path).ok()?.try_into().ok().map(MachineKey::new)
}

/// Of several runs that find no key, the one that locks the unfinished file first makes it; the others wait, and read it.
fn make_key(path: &Path) -> io::Result<MachineKey> {
    let partial = path.with_extension("partial");
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&partial)?;
    file.lock()?;
    if let Some(key) = read_key(path) {
        let _ = fs::remove_file(&partial);
        return Ok(key);
    }
    let mut bytes = [0; MachineKey::LENGTH];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    file.set_len(0)?;
    file.write_all(&bytes)?;
    publish(&file, &partial, path)?;
    Ok(MachineKey::new(bytes))
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
        state.remove(&held).expect("removed");
        assert_eq!(fs::read_dir(root.path()).expect("there").count(), 0);
        drop(held);
        state.lock("up").expect("free");
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").mode() & 0o7777
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).expect("there").flatten().map(|entry| entry.file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn nobody_else_can_look_into_what_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = StateRoot::new(folder.path().join("state"));
        let state = root.sandbox("flyte");
        root.machine_key().expect("made");
        let _held = state.lock("up").expect("free");
        state.write(&state.kubeconfig(), "secret").expect("written");
        for folder in [root.path(), state.path()] {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
        for file in [state.kubeconfig(), root.path().join("machine.key")] {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }

    #[test]
    fn runs_at_once_agree_on_one_key_and_leave_no_other_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = StateRoot::new(folder.path().join("state"));
        for before in [None, Some("a key that lost its end")] {
            if let Some(text) = before {
                fs::write(root.path().join("machine.key"), text).expect("written");
                fs::write(root.path().join("machine.partial"), "of a run that was killed").expect("written");
            }
            let keys: Vec<_> = std::thread::scope(|scope| {
                let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| root.machine_key().expect("a key"))).collect();
                runs.into_iter().map(|run| run.join().expect("no panic")).collect()
            });
            let kept = root.machine_key().expect("a key");
            assert!(keys.iter().all(|key| *key == kept && *key != MachineKey::default()));
            assert_eq!(names(root.path()), ["machine.key"]);
        }
    }

    #[test]
    fn a_key_that_cannot_be_kept_is_a_failure_with_two_ways_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("no folder");
        fs::write(&file, "").expect("written");
        let failure = StateRoot::new(file).machine_key().expect_err("a file is in the way");
        assert_eq!((failure.reason, failure.hints.len()), (Reason::StateUnwritable, 2));
    }

    #[test]
    fn what_is_written_whole_replaces_the_file_behind_a_link_and_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (folder.path().join("real.yaml"), folder.path().join("config"));
        fs::write(&real, "before").expect("written");
        fs::write(folder.path().join("config.partial"), "theirs").expect("written");
        std::os::unix::fs::symlink("real.yaml", &link).expect("linked");
        write_whole(&link, "after").expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read_to_string(&real).expect("there"), "after");
        assert_eq!(fs::read_to_string(folder.path().join("config.partial")).expect("there"), "theirs");
        assert_eq!(mode(&real), 0o600);
        assert_eq!(names(folder.path()).len(), 3);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays_and_leaves_nothing_half_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let occupied = folder.path().join("config");
        fs::create_dir_all(occupied.join("in it")).expect("made");
        write_whole(&occupied, "text").expect_err("a folder is there");
        write_whole(&folder.path().join("not there/config"), "text").expect_err("no folder");
        write_whole(Path::new("/"), "text").expect_err("no name");
        assert_eq!(names(folder.path()), ["config"]);
    }
}
