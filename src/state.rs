//! The state folder on this machine: a folder and a lock for each sandbox, and the machine key that their secrets are
//! derived from.
//!
//! The cluster is the truth; no file here is needed to remove a sandbox or to look at it. The folder is private to its
//! user: whoever else could write to it would choose the secrets.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Reason};
use crate::files::{NotPrivate, check_private, private_folder, write_whole};
use crate::limits::MACHINE_KEY;
pub use crate::lock::Holder;
use crate::lock::{self, FileLock, LockError};
use crate::spec::{self, MachineKey};

/// What the folder of a snapshot begins with.
const SNAPSHOT: &str = "snapshot.";

/// The state folder, which holds every sandbox's own folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRoot(PathBuf);

/// One sandbox's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
    lock: PathBuf,
    kind: &'static str,
    name: String,
}

/// A sandbox's lock, held while a run may change it; free when dropped.
#[derive(Debug)]
pub struct SandboxLock(FileLock);

impl StateRoot {
    /// The folder at this path, made absolute, so that it is the same one for a process that works elsewhere; made when
    /// something is first written.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(std::path::absolute(&path).unwrap_or(path))
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Check of the folder, where it exists: it belongs to the user, and nobody else can write to it.
    ///
    /// # Errors
    /// [`Reason::StateUnwritable`].
    pub fn check(&self) -> Result<(), Failure> {
        check_private(&self.0).map_err(|error| unwritable(&self.0, "cannot use the state folder", &error))
    }

    /// The machine key, which secrets are derived from; created where it is missing or malformed.
    ///
    /// # Errors
    /// [`Reason::StateUnwritable`]: the folder cannot be trusted, or there is no key and none can be kept.
    pub fn machine_key(&self) -> Result<MachineKey, Failure> {
        // A dot is in no sandbox's name, so none has its folder there.
        let path = self.0.join("machine.key");
        self.check()?;
        let make = || {
            private_folder(&self.0)?;
            make_key(&path)
        };
        read_key(&path).map_or_else(make, Ok).map_err(|error| {
            unwritable(&path, "cannot keep the key that secrets are derived from", &error)
                .hint("`--upstream-credentials`, or storage.secretKey in sandbox.yaml, goes without it")
        })
    }

    /// The names of the sandboxes that have a folder, in order.
    #[must_use]
    pub fn sandboxes(&self) -> Vec<String> {
        let mut names: Vec<_> = folders(&self.0).filter(|name| spec::is_name(name)).collect();
        names.sort();
        names
    }

    /// The folder of the sandbox with this name, which is a DNS label and so cannot leave the root.
    #[must_use]
    pub fn sandbox(&self, name: &str) -> StateDir {
        let (path, lock) = (self.0.join(name), self.0.join(format!("{name}.lock")));
        StateDir { path, lock, kind: "sandbox", name: name.to_owned() }
    }

    /// The folder of the snapshot with this name. A dot is in no sandbox's name.
    #[must_use]
    pub fn snapshot(&self, name: &str) -> StateDir {
        let folder = format!("{SNAPSHOT}{name}");
        let (path, lock) = (self.0.join(&folder), self.0.join(format!("{folder}.lock")));
        StateDir { path, lock, kind: "snapshot", name: name.to_owned() }
    }

    /// The names of the snapshots that have a folder, in order: those that this machine's user has saved.
    #[must_use]
    pub fn snapshots(&self) -> Vec<String> {
        let mut names: Vec<_> =
            folders(&self.0).filter_map(|name| Some(name.strip_prefix(SNAPSHOT)?.to_owned())).collect();
        names.sort();
        names
    }
}

impl StateDir {
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the kubeconfig, readable by its owner only.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig.yaml")
    }

    /// The path of the record of which attached cluster a sandbox is on.
    #[must_use]
    pub fn cluster_location(&self) -> PathBuf {
        self.path.join("place.json")
    }

    /// Takes the sandbox's lock for `command`.
    ///
    /// # Errors
    /// [`Reason::Locked`] names the run that holds it; [`Reason::StateUnwritable`].
    pub fn lock(&self, command: &str) -> Result<SandboxLock, Failure> {
        let root = self.lock.parent().map_or(Ok(()), private_folder);
        match root.map_err(LockError::Io).and_then(|()| FileLock::try_acquire(&self.lock, command)) {
            Ok(lock) => Ok(SandboxLock(lock)),
            Err(LockError::Io(error)) => Err(self.unwritable(&format!("cannot lock the {}", self.kind), &error)),
            Err(LockError::Held(holder)) => Err(self.held(holder.as_ref())),
        }
    }

    /// The failure of a command that has to wait for another run; which, where that has said so.
    #[must_use]
    pub fn held(&self, holder: Option<&Holder>) -> Failure {
        let Self { kind, name, .. } = self;
        let failure =
            Failure::new(Reason::Locked, format!("another run is busy with this {kind}")).on(format!("{kind} {name}"));
        match holder {
            Some(holder) => failure
                .because(format!("`sandbox {}` with pid {} holds it", holder.purpose, holder.pid))
                .hint(format!("wait for it, or stop it with `kill -INT {}`", holder.pid)),
            None => failure.hint("wait for it to end"),
        }
    }

    /// Whether a run of this state folder has locked it and not removed it, as one does that is killed.
    #[must_use]
    pub fn has_lock(&self) -> bool {
        self.lock.exists()
    }

    /// The other process that changes the sandbox now; none where nobody does, or it has not said so yet.
    #[must_use]
    pub fn busy(&self) -> Option<Holder> {
        lock::holder(&self.lock).filter(|holder| holder.pid != std::process::id())
    }

    /// Writes a file of the sandbox whole or not at all, readable by its owner only.
    ///
    /// # Errors
    /// [`Reason::StateUnwritable`].
    pub fn write(&self, path: &Path, text: &str) -> Result<(), Failure> {
        let folder = path.parent().map_or(Ok(()), private_folder);
        folder
            .and_then(|()| write_whole(path, text))
            .map_err(|error| self.unwritable("cannot keep the sandbox's state", &error))
    }

    /// Removes the folder and, last, the lock file, which the caller holds.
    ///
    /// # Errors
    /// [`Reason::Leftovers`]: something in it cannot be removed.
    pub fn remove(&self, held: &SandboxLock) -> Result<(), Failure> {
        let gone = |result: io::Result<()>| match result {
            // What is no folder is not the sandbox's.
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                let mut failure = Failure::new(Reason::Leftovers, "cannot remove the sandbox's state")
                    .on(self.path.display())
                    .because(error);
                failure.leftovers.push(self.path.display().to_string());
                Err(failure)
            }
            _ => Ok(()),
        };
        let folder = gone(fs::remove_dir_all(&self.path));
        folder.and(gone(held.0.remove()))
    }

    /// Removes the folder and the lock file after a failure, which stays the failure that is reported: what cannot be
    /// removed is a leftover beside it.
    #[must_use]
    pub fn remove_or_leftover(&self, mut failure: Failure, held: &SandboxLock) -> Failure {
        if let Err(left) = self.remove(held) {
            failure = failure.evidence([left.to_string()]);
            failure.leftovers.extend(left.leftovers);
        }
        failure
    }

    fn unwritable(&self, what: &str, error: &io::Error) -> Failure {
        unwritable(&self.path, what, error)
    }
}

/// The names of the folders in it.
fn folders(root: &Path) -> impl Iterator<Item = String> {
    let all = fs::read_dir(root).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    all.filter_map(|entry| entry.file_name().into_string().ok())
}

fn unwritable(path: &Path, what: &str, error: &io::Error) -> Failure {
    let failure = Failure::new(Reason::StateUnwritable, what).on(path.display()).because(error);
    let failure = match NotPrivate::of(error) {
        Some(NotPrivate::Mode(_)) => {
            failure.hint("remove the folder, or look at what is in it and then `chmod 700` it")
        }
        _ => failure,
    };
    failure.hint("set SANDBOX_STATE_DIR to a folder that you, and nobody else, can write")
}

fn read_key(path: &Path) -> Option<MachineKey> {
    fs::read(path).ok()?.try_into().ok().map(MachineKey::new)
}

/// Of several runs that find no key, the one that takes the lock first makes it; the others wait, and read it.
fn make_key(path: &Path) -> io::Result<MachineKey> {
    let lock = FileLock::acquire(&path.with_extension("key.lock"), "machine key", MACHINE_KEY);
    let lock = lock.map_err(|error| match error {
        LockError::Io(error) => error,
        LockError::Held(_) => io::Error::new(io::ErrorKind::TimedOut, "another run has been making it for 10 s"),
    })?;
    let made = read_key(path).map_or_else(
        || {
            let mut bytes = [0; MachineKey::LENGTH];
            File::open("/dev/urandom")?.read_exact(&mut bytes)?;
            write_whole(path, bytes)?;
            Ok(MachineKey::new(bytes))
        },
        Ok,
    );
    lock.remove()?;
    made
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

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
                fs::write(root.path().join("machine.key.lock"), "of a run that was killed").expect("written");
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
    fn a_holder_that_has_not_said_who_it_is_is_not_to_be_stopped() {
        let root = tempfile::tempdir().expect("a folder");
        let state = StateRoot::new(root.path().to_owned()).sandbox("flyte");
        let _held = state.lock("up").expect("free");
        // The end is yet to be written; the process of this id has ended: it left its line behind.
        for text in ["12", "1 ", "1 up", "4194305 up\n", "up\n", ""] {
            fs::write(root.path().join("flyte.lock"), text).expect("written");
            let refused = state.lock("down").expect_err("held");
            assert_eq!((refused.reason, refused.causes.len()), (Reason::Locked, 0), "{text:?}");
            assert_eq!(refused.hints, ["wait for it to end"], "{text:?}");
        }
    }

    #[test]
    fn a_failure_is_not_replaced_by_what_cannot_be_removed_after_it() {
        let root = tempfile::tempdir().expect("a folder");
        let state = StateRoot::new(root.path().to_owned()).sandbox("flyte");
        let held = state.lock("down").expect("free");
        let first = || Failure::new(Reason::DockerAbsent, "cannot reach Docker");
        fs::write(state.path(), "a file that is not the sandbox's").expect("written");
        let lock = root.path().join("flyte.lock");
        fs::remove_file(&lock).expect("removed");
        fs::create_dir(&lock).expect("a folder in the lock's place");
        let failure = state.remove_or_leftover(first(), &held);
        assert_eq!((failure.reason, failure.exit_code()), (Reason::DockerAbsent, Reason::Leftovers.exit_code()));
        assert_eq!(failure.leftovers, [state.path().display().to_string()]);
        assert_eq!(failure.evidence.len(), 1);
        fs::remove_dir(&lock).expect("removed");
        assert_eq!(state.remove_or_leftover(first(), &held), first());
        fs::remove_file(state.path()).expect("the file stays");
        assert_eq!(fs::read_dir(root.path()).expect("there").count(), 0);
    }

    #[test]
    fn what_others_can_write_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = StateRoot::new(folder.path().join("state"));
        root.check().expect("not there");
        root.machine_key().expect("made");
        fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o722)).expect("set");
        let state = root.sandbox("flyte");
        let refused = [
            root.check().expect_err("open"),
            root.machine_key().expect_err("open"),
            state.lock("up").expect_err("open"),
        ];
        for failure in refused {
            assert_eq!(failure.reason, Reason::StateUnwritable);
            assert_eq!(failure.causes, ["other users can write to it (mode 0722)"]);
            assert!(failure.hints.len() >= 2, "{failure:?}");
        }
    }
}
