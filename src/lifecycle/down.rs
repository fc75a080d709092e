//! Removal.

use super::{Done, Host, given, rehearse};
use crate::cluster;
use crate::context::Place;
use crate::failure::Failure;
use crate::rehearsal::Rehearsal;
use crate::report::{Outcome, Stage};
use crate::run::Run;

/// Removes the sandbox of this name: its containers, network, volumes and state; on a given cluster, at `place`, its
/// objects and state. That there is none is a success.
///
/// # Errors
/// Docker does not answer, another run is busy with the sandbox, or something could not be removed.
pub async fn down(name: &str, place: Option<&Place>, host: &Host, run: &Run) -> Result<Done, Failure> {
    if let Some(place) = place {
        return given::down(name, place, host, run).await;
    }
    let state = host.state.sandbox(name);
    let lock = state.lock("down")?;
    if let Some(played) = Rehearsal::find(&state) {
        rehearse::tell(run);
        run.stage(Stage::Down, async {
            let ended = rehearse::end(Some(&played)).await?;
            Ok(((), Outcome::Passed, ended))
        })
        .await?;
        state.remove(&lock)?;
        return Ok(Done { outcome: Outcome::Passed, summary: format!("REHEARSAL: sandbox {name} is gone") });
    }
    let removed = run
        .stage(Stage::Down, async {
            let docker = host.docker().await?;
            let removed = cluster::delete(&docker, name).await?;
            let outcome = if removed.is_empty() { Outcome::Unchanged } else { Outcome::Passed };
            let summary = removed.to_string();
            Ok((removed, outcome, summary))
        })
        .await;
    let removed = match removed {
        Ok(removed) => removed,
        Err(failure) => {
            // A lock without a sandbox is a leftover itself.
            if !state.path().exists() {
                state.remove(&lock)?;
            }
            return Err(failure);
        }
    };
    state.remove(&lock)?;
    Ok(if removed.is_empty() {
        Done { outcome: Outcome::Unchanged, summary: format!("there is no sandbox {name}") }
    } else {
        Done { outcome: Outcome::Passed, summary: format!("sandbox {name} is gone") }
    })
}
