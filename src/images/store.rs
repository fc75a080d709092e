//! Volumes that keep a node's images from one cluster to the next: containerd's whole directory, mounted into the node.
//!
//! A store is a hint, never trusted: [`load`](super::load) looks at what containerd says it has. Two nodes must not
//! share one, so there are slots; whoever takes one claims it until the node is there to show that it is used. The claim
//! is on the daemon, for runs with other state folders, and a lock in the state folder: a claim on the daemon outlives a
//! run that is killed, a lock does not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::claim::DaemonClaim;
use super::error::Error;
use crate::digest::{Sha256, hex};
use crate::docker::{self, Docker, Volume};
use crate::files::private_folder;
use crate::limits::IMAGE_STORE_REMOVAL;
use crate::lock::{FileLock, LockError};
use crate::manifest::ImageRef;

const LABEL: &str = "sandbox.flyte/store";
const PREFIX: &str = "sandbox-store-";
/// More nodes of one kind at a time than this do without a store.
const SLOTS: usize = 8;
/// Stores of as many keys are kept when a new key appears: a developer goes back and forth between two.
const KEPT_KEYS: usize = 2;

/// A store that is ours until this is released; by then the node must be there.
#[derive(Debug)]
pub struct Claim {
    /// The volume to mount.
    pub volume: String,
    on_daemon: DaemonClaim,
    _lock: FileLock,
}

impl Claim {
    /// Gives the store back, or leaves it to the node that uses it now.
    pub async fn release(self, docker: &Docker) {
        self.on_daemon.release(docker).await;
    }
}

/// What a store is kept under: the images it is for and the containerd that writes it. Not the ids of the images:
/// when one is built anew, only that one has to be imported again.
#[must_use]
pub fn store_key(references: &[ImageRef], node_image_id: &str) -> String {
    let names: BTreeSet<String> = references.iter().map(ImageRef::canonical).collect();
    let mut digest = Sha256::default();
    for part in names.iter().map(String::as_str).chain([node_image_id]) {
        digest.update(part);
        digest.update([0]);
    }
    hex(&digest.finish()[..6])
}

/// Takes a store of this key that no node uses for `sandbox`, whose run lasts no longer than `lasts`, making the store if
/// need be; none when all are in use. Locks live in the folder `state`. Stores of keys long out of use are removed.
///
/// # Errors
/// [`Error::Docker`]; [`Error::Lock`].
pub async fn claim(
    docker: &Docker,
    key: &str,
    state: &Path,
    sandbox: &str,
    lasts: Duration,
) -> Result<Option<Claim>, Error> {
    for slot in 0..SLOTS {
        let volume = format!("{PREFIX}{key}-{slot}");
        let Some(lock) = lock(&state.join(format!("{volume}.lock")))? else { continue };
        let Some(on_daemon) = DaemonClaim::take(docker, &volume, Some(sandbox), lasts).await? else { continue };
        let claim = Claim { volume, on_daemon, _lock: lock };
        // What is in use is looked at after it was claimed: a run that had it may just have made its node.
        match in_use(docker).await {
            Ok(used) if !used.contains_key(&claim.volume) => {}
            used => {
                claim.release(docker).await;
                used?;
                continue;
            }
        }
        docker.create_volume(&claim.volume, &[(LABEL, key)]).await?;
        for stale in stale(&stores(docker).await?, key) {
            // One that is in use refuses, and is looked at again next time.
            let _ = remove_unclaimed(docker, &stale, state).await;
        }
        return Ok(Some(claim));
    }
    Ok(None)
}

/// All stores.
///
/// # Errors
/// As Docker's.
pub async fn stores(docker: &Docker) -> Result<Vec<Volume>, docker::Error> {
    docker.volumes(LABEL).await
}

/// Which container, running or not, mounts which store.
///
/// # Errors
/// As Docker's.
pub async fn in_use(docker: &Docker) -> Result<BTreeMap<String, String>, docker::Error> {
    let containers = docker.containers(&[]).await?;
    let mounts = containers
        .into_iter()
        .flat_map(|container| container.volumes.into_iter().map(move |volume| (volume, container.name.clone())));
    Ok(mounts.filter(|(volume, _)| volume.starts_with(PREFIX)).collect())
}

/// Removes every store that no container uses and no run has claimed; the result are their names.
///
/// # Errors
/// [`Error::Docker`]; [`Error::Lock`].
pub async fn prune(docker: &Docker, state: &Path) -> Result<Vec<String>, Error> {
    let (stores, used) = tokio::try_join!(stores(docker), in_use(docker))?;
    let mut removed = Vec::new();
    for store in stores.into_iter().filter(|store| !used.contains_key(&store.name)) {
        if remove_unclaimed(docker, &store.name, state).await? {
            removed.push(store.name);
        }
    }
    Ok(removed)
}

async fn remove_unclaimed(docker: &Docker, store: &str, state: &Path) -> Result<bool, Error> {
    let path = state.join(format!("{store}.lock"));
    let Some(_held) = lock(&path)? else { return Ok(false) };
    let Some(claim) = DaemonClaim::take(docker, store, None, IMAGE_STORE_REMOVAL).await? else { return Ok(false) };
    let removed = docker.remove_volume(store).await;
    claim.release(docker).await;
    removed?;
    Ok(true)
}

fn lock(path: &Path) -> Result<Option<FileLock>, Error> {
    let folder = path.parent().map_or(Ok(()), private_folder);
    match folder.map_err(LockError::Io).and_then(|()| FileLock::try_acquire(path, "image store")) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Held(_)) => Ok(None),
        Err(LockError::Io(source)) => Err(Error::Lock { path: path.to_owned(), source }),
    }
}

/// Stores of all keys but this one and the newest others.
fn stale(stores: &[Volume], key: &str) -> Vec<String> {
    let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
    for store in stores {
        let of = store.labels.get(LABEL).map_or("", String::as_str);
        let created = newest.entry(of).or_default();
        *created = (*created).max(&store.created);
    }
    newest.remove(key);
    let mut others: Vec<(&str, &str)> = newest.into_iter().collect();
    others.sort_by(|a, b| b.1.cmp(a.1));
    let stale: BTreeSet<&str> = others.into_iter().skip(KEPT_KEYS - 1).map(|(key, _)| key).collect();
    let is_stale = |store: &&Volume| stale.contains(store.labels.get(LABEL).map_or("", String::as_str));
    stores.iter().filter(is_stale).map(|store| store.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(names: &[&str]) -> Vec<ImageRef> {
        names.iter().map(|name| name.parse().expect(name)).collect()
    }

    fn store(key: &str, slot: usize, created: &str) -> Volume {
        Volume {
            name: format!("{PREFIX}{key}-{slot}"),
            labels: [(LABEL.to_owned(), key.to_owned())].into(),
            created: created.to_owned(),
            mountpoint: String::new(),
        }
    }

    #[test]
    fn a_key_depends_on_which_images_and_not_on_their_order_or_spelling() {
        let key = store_key(&images(&["a:1", "b:2"]), "sha256:node");
        assert_eq!(key, store_key(&images(&["docker.io/library/b:2", "a:1", "a:1"]), "sha256:node"));
        assert_ne!(key, store_key(&images(&["a:1"]), "sha256:node"));
        assert_ne!(key, store_key(&images(&["a:1", "b:2"]), "sha256:other"));
        assert_eq!(key.len(), 12);
    }

    #[test]
    fn the_current_key_and_the_newest_other_are_kept() {
        let stores = [
            store("now", 0, "2020"),
            store("old", 0, "2021"),
            store("old", 1, "2024"),
            store("older", 0, "2022"),
            store("oldest", 0, "2019"),
        ];
        assert_eq!(stale(&stores, "now"), ["sandbox-store-older-0", "sandbox-store-oldest-0"]);
    }

    #[test]
    fn a_lock_that_is_held_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("not made yet").join("s.lock");
        let held = lock(&path).expect("lock");
        assert!(held.is_some());
        assert!(lock(&path).expect("no error").is_none());
        drop(held);
        assert!(lock(&path).expect("lock").is_some());
    }
}
