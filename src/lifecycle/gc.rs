//! Removal of all sandboxes whose time is over, and a freeze for those in which nothing runs.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::idle::idle_for;
use crate::cluster::{self, Data, KeptData};
use crate::docker::Docker;
use crate::failure::{Failure, Reason};
use crate::site::{Host, Location};
use crate::spec;
use crate::state::SandboxLock;

/// What became of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is gone.
    Removed,
    /// It would be removed.
    Due,
    /// Its node is frozen: its processors are free, its memory and its data stay.
    Frozen,
    /// It would be frozen.
    Idle,
    /// It was left as it is.
    Left,
    /// It could not be removed or frozen, or not all of it.
    Stuck,
}

/// A sandbox, what became of it and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Its name.
    pub sandbox: String,
    /// What became of it.
    pub fate: Fate,
    /// A lower-case fragment without a full stop.
    pub why: String,
}

/// What became of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// All that there were, by name.
    pub sandboxes: Vec<Swept>,
    /// What could not be removed or frozen.
    pub failure: Option<Failure>,
}

/// Removes every sandbox of the daemon whose time is over at `now`, as [`down`](super::down()) does, and freezes every other
/// in which nothing has run for as long as its spec says. One that another run is busy with is left, and so is one without a
/// limit. With `dry` it only says what it would do.
///
/// # Errors
/// Docker does not answer. What could not be done is told in the [`Sweep`].
pub async fn gc(host: &Host, now: SystemTime, dry: bool) -> Result<Sweep, Failure> {
    let docker = host.docker().await?;
    let (owned, expiries, data) =
        tokio::try_join!(cluster::owned(&docker), cluster::expiries(&docker), cluster::kept_data(&docker))?;
    let has_node = |name: &String| owned.contains(name) || expiries.contains_key(name);
    let kept: Vec<_> = data.into_iter().filter(|kept| !has_node(&kept.sandbox)).collect();
    let names: BTreeSet<String> = owned.into_iter().chain(expiries.keys().cloned()).collect();
    let mut sweep = Sweep { sandboxes: Vec::new(), failure: None };
    for sandbox in names {
        let done = match due(&sandbox, expiries.get(&sandbox).copied(), now) {
            Err(why) => freeze(&sandbox, host, &docker, now, dry).await.map(|done| done.unwrap_or((Fate::Left, why))),
            Ok(since) if dry => Ok((Fate::Due, since)),
            Ok(since) => remove(&sandbox, host, &docker, now).await.map(|left| match left {
                None => (Fate::Removed, since),
                Some(why) => (Fate::Left, why),
            }),
        };
        let (fate, why) = done.unwrap_or_else(|failure| {
            let why = failure.to_string();
            sweep.failure = Some(also_stuck(sweep.failure.take(), &sandbox, failure));
            (Fate::Stuck, why)
        });
        sweep.sandboxes.push(Swept { sandbox, fate, why });
    }
    sweep.sandboxes.extend(kept.into_iter().map(|KeptData { sandbox, since, .. }| Swept {
        why: format!("its data of {since} is kept: `up` takes it up, `down` removes it"),
        sandbox,
        fate: Fate::Left,
    }));
    Ok(sweep)
}

/// How long the time of a sandbox has been over, or why it is not.
fn due(sandbox: &str, expiry: Option<SystemTime>, now: SystemTime) -> Result<String, String> {
    let span = |long: Duration| humantime::format_duration(Duration::from_secs(long.as_secs())).to_string();
    let Some(expiry) = expiry else { return Err("it has no time limit (`up --ttl`)".to_owned()) };
    match now.duration_since(expiry) {
        // It is a folder's name, too.
        Ok(_) if !spec::is_name(sandbox) => Err("no sandbox has such a name".to_owned()),
        Ok(over) => Ok(format!("its time has been over for {}", span(over))),
        Err(left) => Err(format!("its time is over in {}", span(left.duration()))),
    }
}

/// The sandbox's lock, or who holds it.
fn lock(sandbox: &str, host: &Host) -> Result<Result<SandboxLock, String>, Failure> {
    match host.state.sandbox(sandbox).lock("gc") {
        Ok(lock) => Ok(Ok(lock)),
        Err(busy) if busy.reason == Reason::Locked => Ok(Err(busy.causes.join(": "))),
        Err(failure) => Err(failure),
    }
}

/// Freezes it, if its spec allows for that; nothing where it says nothing of it.
async fn freeze(
    sandbox: &str,
    host: &Host,
    docker: &Docker,
    now: SystemTime,
    dry: bool,
) -> Result<Option<(Fate, String)>, Failure> {
    if !spec::is_name(sandbox) || !host.state.sandbox(sandbox).path().is_dir() {
        return Ok(None);
    }
    let _lock = match lock(sandbox, host)? {
        Ok(lock) => lock,
        Err(busy) => return Ok(Some((Fate::Left, busy))),
    };
    Ok(match idle_for(sandbox, host, docker, now).await? {
        None => None,
        Some(Err(why)) => Some((Fate::Left, why)),
        Some(Ok(since)) if dry => Some((Fate::Idle, since)),
        Some(Ok(since)) => {
            cluster::freeze(docker, &cluster::cluster_of(docker, sandbox).await?).await?;
            Some((Fate::Frozen, since))
        }
    })
}

/// Removes it, unless there is a reason to leave it, which is returned.
async fn remove(sandbox: &str, host: &Host, docker: &Docker, now: SystemTime) -> Result<Option<String>, Failure> {
    let state = host.state.sandbox(sandbox);
    let lock = match lock(sandbox, host)? {
        Ok(lock) => lock,
        Err(busy) => return Ok(Some(busy)),
    };
    // A run that had the lock until now may have given it more time.
    let again = cluster::expiries(docker).await?.get(sandbox).copied();
    let cluster = cluster::cluster_of(docker, sandbox).await?;
    let left = match due(sandbox, again, now) {
        Err(why) => Some(why),
        Ok(_) => match cluster::delete(docker, &cluster, Data::Removed).await {
            Ok(_) => None,
            Err(foreign @ cluster::Error::Foreign(_)) => Some(foreign.to_string()),
            Err(error) => return Err(error.into()),
        },
    };
    // A rehearsal of the same name, or one on an attached cluster, is another sandbox, whose limit this was not.
    let in_docker = Location::recorded(sandbox, host)?.is_none_or(|location| location == Location::Node);
    if in_docker && (left.is_none() || !state.path().exists()) {
        state.remove(&lock)?;
    }
    Ok(left)
}

/// One failure for all: what is left of each, and why.
fn also_stuck(before: Option<Failure>, sandbox: &str, why: Failure) -> Failure {
    let mut failure = before.unwrap_or_else(|| {
        Failure::new(Reason::Leftovers, "could not remove all sandboxes whose time is over")
            .hint("run `sandbox gc` again; `docker inspect` on what is left shows what holds it")
    });
    failure = failure.because(&why);
    if why.leftovers.is_empty() {
        failure.leftovers.push(format!("what there is of sandbox {sandbox}"));
    }
    failure.leftovers.extend(why.leftovers);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_had_a_limit_that_has_passed_is_due() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let minute = Duration::from_secs(60);
        for (sandbox, expiry, due_or_why) in [
            ("ci-1", Some(now - minute), Ok("its time has been over for 1m")),
            ("ci-1", Some(now), Ok("its time has been over for 0s")),
            ("ci-1", Some(now + minute), Err("its time is over in 1m")),
            ("ci-1", None, Err("it has no time limit (`up --ttl`)")),
            ("../elsewhere", Some(now - minute), Err("no sandbox has such a name")),
            ("failures", Some(now - minute), Err("no sandbox has such a name")),
        ] {
            let expected = due_or_why.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(due(sandbox, expiry, now), expected, "{sandbox} {expiry:?}");
        }
    }
}
