//! A sandbox's data as it is at one moment, kept under a name, and sandboxes that begin with it.
//!
//! A snapshot is a copy of the data volume, taken while the node is frozen. What it is of is told as a backup's manifest is,
//! and held against a spec in the same way.

use std::sync::OnceLock;

use serde::Serialize;

use super::backup::{manifest_of, warn_of_unfinished};
use super::halt::locked;
use super::outcome::Done;
use super::prepare::Request;
use crate::backup::{Manifest, check_fit};
use crate::cluster::{self, Snapshot};
use crate::failure::{Failure, Reason};
use crate::plan::Plan;
use crate::render::render;
use crate::report::{Outcome, Stage, bytes};
use crate::run::Run;
use crate::site::{Host, Site};
use crate::spec;

const MISMATCH: &str = "the snapshot does not fit the sandbox";

/// The failure of a snapshot that this sandbox cannot begin with.
pub(super) fn mismatch(why: &str) -> Failure {
    Failure::new(Reason::BackupMismatch, MISMATCH).because(why)
}

/// A snapshot of this machine's Docker.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedSnapshot {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it is of; absent where another version of this program wrote that.
    #[serde(flatten)]
    pub of: Option<Manifest>,
}

impl From<Snapshot> for SavedSnapshot {
    fn from(Snapshot { name, about, bytes }: Snapshot) -> Self {
        Self { name, bytes, of: serde_json::from_str(&about).ok() }
    }
}

/// Saves the data of a sandbox that runs, as it is at one moment, under a name that no snapshot has. The sandbox stands still
/// while it is copied, and runs on in every case.
///
/// # Errors
/// There is no such sandbox, it has no node of its own or does not run, another run is busy with it, or there is such a
/// snapshot already. Nothing is left of it then.
pub async fn save_snapshot(name: &str, snapshot: &str, host: &Host, run: &Run) -> Result<Done, Failure> {
    if !spec::is_name(snapshot) {
        return Err(Failure::new(Reason::Usage, "no snapshot can have this name")
            .on(format!("snapshot {snapshot}"))
            .because("a name has lower-case letters, digits and dashes, as a sandbox's has"));
    }
    locked(name, "snapshot save", host, save(name, snapshot, host, run)).await
}

async fn save(name: &str, snapshot: &str, host: &Host, run: &Run) -> Result<Done, Failure> {
    let (state, begun) = (host.state.snapshot(snapshot), OnceLock::new());
    let saved = run.stage(Stage::Snapshot, async {
        let site = Site::resolve(name, None, host)?;
        let (docker, _) = site.node().await.map_err(|failure| match failure.reason {
            Reason::Usage => Failure::new(Reason::Usage, "only a sandbox in Docker can be saved so")
                .on(format!("sandbox {name}"))
                .hint("`sandbox backup FILE` saves one on an existing cluster"),
            _ => failure,
        })?;
        let lock = state.lock("snapshot save")?;
        if cluster::snapshots(&docker).await?.iter().any(|one| one.name == snapshot) {
            return Err(Failure::new(Reason::Usage, "there is a snapshot of this name")
                .on(format!("snapshot {snapshot}"))
                .hint(format!("`sandbox snapshot remove {snapshot}` removes it"))
                .hint("another name keeps both"));
        }
        let running = site.running().await?;
        let _ = begun.set((docker.clone(), lock));
        let (manifest, _) = manifest_of(&running).await?;
        let about = serde_json::to_string(&manifest)
            .map_err(|error| Failure::new(Reason::Internal, "cannot tell what a snapshot is of").caused_by(error))?;
        let image = &running.inventory.spec.node_image;
        let cluster = cluster::cluster_of(&docker, name).await?;
        let size = cluster::save_snapshot(&docker, &cluster, snapshot, &about, image, run).await?;
        // For a shell to complete the name; Docker is the truth.
        state.write(&state.path().join("about.json"), &about)?;
        warn_of_unfinished(&manifest, "where a sandbox begins with the snapshot", run);
        let summary = format!("{} copied", bytes(size));
        Ok((summary.clone(), Outcome::Passed, summary))
    });
    // A stage that is interrupted is dropped where it waits.
    match (saved.await, begun.get()) {
        (Ok(summary), _) => {
            Ok(Done::passed(format!("the data of sandbox {name} is in snapshot {snapshot}: {summary}")))
        }
        (Err(failure), None) => Err(failure),
        (Err(failure), Some((docker, lock))) => {
            let abandoned = async {
                let cluster = cluster::cluster_of(docker, name).await?;
                cluster::abandon_snapshot(docker, &cluster, snapshot).await
            };
            let failure = match abandoned.await {
                Ok(()) => failure,
                Err(error) => failure
                    .because(Failure::from(error))
                    .hint(format!("`sandbox start --name {name}` thaws the sandbox, if it is frozen")),
            };
            Err(state.remove_or_leftover(failure, lock))
        }
    }
}

/// All snapshots that are whole, by name.
///
/// # Errors
/// Docker does not answer.
pub async fn snapshots(host: &Host) -> Result<Vec<SavedSnapshot>, Failure> {
    let docker = host.docker().await?;
    Ok(cluster::snapshots(&docker).await?.into_iter().map(SavedSnapshot::from).collect())
}

/// The snapshot of this name.
///
/// # Errors
/// [`Reason::NotFound`], with the snapshots that there are; Docker does not answer.
pub async fn snapshot(name: &str, host: &Host) -> Result<SavedSnapshot, Failure> {
    let mut all = snapshots(host).await?;
    let Some(at) = all.iter().position(|one| one.name == name) else {
        let others: Vec<_> = all.iter().map(|one| one.name.as_str()).collect();
        let hint = match spec::closest(name, others.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None if others.is_empty() => "`sandbox snapshot save NAME` makes one".to_owned(),
            None => format!("snapshots: {}", others.join(", ")),
        };
        return Err(Failure::new(Reason::NotFound, "there is no such snapshot")
            .on(format!("snapshot {name}"))
            .hint(hint));
    };
    Ok(all.swap_remove(at))
}

/// Removes a snapshot. That there is none is a success, as of a sandbox.
///
/// # Errors
/// A sandbox is being made from it, or Docker does not answer.
pub async fn remove_snapshot(name: &str, host: &Host, run: &Run) -> Result<Done, Failure> {
    let state = host.state.snapshot(name);
    let removed = run.stage(Stage::Snapshot, async {
        let docker = host.docker().await?;
        let lock = state.lock("snapshot remove")?;
        let removed = cluster::remove_snapshot(&docker, name).await?;
        state.remove(&lock)?;
        let (outcome, summary) =
            if removed { (Outcome::Passed, "removed") } else { (Outcome::Unchanged, "nothing to remove") };
        Ok((removed, outcome, summary.to_owned()))
    });
    Ok(match removed.await? {
        true => Done::passed(format!("snapshot {name} is gone")),
        false => Done::unchanged(format!("there is no snapshot {name}")),
    })
}

/// Finds the snapshot that a sandbox is to begin with and holds it against the spec, as a stage.
///
/// # Errors
/// [`Reason::NotFound`]; [`Reason::BackupMismatch`].
pub(super) async fn check(name: &str, request: &Request, host: &Host, run: &Run) -> Result<(), Failure> {
    run.stage(Stage::Snapshot, async {
        let SavedSnapshot { bytes: size, of, .. } = snapshot(name, host).await?;
        let manifest = of.ok_or_else(|| {
            Failure::new(Reason::BackupMismatch, "another version of this program saved the snapshot")
                .on(format!("snapshot {name}"))
                .hint("that version can use it: `sandbox backup` makes a file that any version can")
        })?;
        let Request { spec, bundle } = request.clone();
        let plan = Plan::new(spec.clone(), render(&spec, bundle)?)?;
        let fit = check_fit(&manifest, &spec, &plan.data_images())
            .map_err(|failure| Failure { what: MISMATCH.to_owned(), ..failure.on(format!("snapshot {name}")) })?;
        fit.into_iter().for_each(|warning| run.report.warn(warning));
        let summary = format!("of sandbox {}, {}: {}", manifest.sandbox, manifest.created, bytes(size));
        Ok(((), Outcome::Passed, summary))
    })
    .await
}
