//! Removal of all sandboxes whose time is over, and a freeze for those in which nothing runs.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::half_copies;
use super::idle::idle_for;
use super::swept::{Fate, Swept, delete, forget, lock};
use crate::cluster::{self, KeptData};
use crate::docker::Docker;
use crate::failure::{Failure, Reason};
use crate::site::Host;
use crate::spec;

/// What became of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// All sandboxes that there were, by name, then the data of others that is kept, and half snapshots.
    pub sandboxes: Vec<Swept>,
    /// What could not be removed or frozen.
    pub failure: Option<Failure>,
}

/// Removes every sandbox of the daemon whose time is over at `now`, as [`down`](super::down()) does, and freezes every other
/// in which nothing has run for as long as its spec says. Half copies of data that killed runs left are removed, too. A
/// sandbox that another run is busy with is left, and so is one without a limit. With `dry` it only says what it would do.
///
/// # Errors
/// Docker does not answer. What could not be done is told in the [`Sweep`].
pub async fn gc(host: &Host, now: SystemTime, dry: bool) -> Result<Sweep, Failure> {
    let docker = host.docker().await?;
    let (owned, expiries, data, unfilled, taken) = tokio::try_join!(
        cluster::owned(&docker),
        cluster::expiries(&docker),
        cluster::kept_data(&docker),
        cluster::unfilled(&docker),
        cluster::taken(&docker)
    )?;
    let has_node = |name: &String| owned.contains(name) || expiries.contains_key(name) || taken.taker(name).is_some();
    let kept: Vec<_> = data.into_iter().filter(|kept| !has_node(&kept.sandbox)).collect();
    let names: BTreeSet<String> = owned.into_iter().chain(expiries.keys().chain(unfilled.keys()).cloned()).collect();
    let mut sweep = Sweep { sandboxes: Vec::new(), failure: None };
    for sandbox in names {
        let done = match due(&sandbox, expiries.get(&sandbox).copied(), now) {
            Err(_) if let Some(mark) = unfilled.get(&sandbox) => {
                half_copies::remove_unfilled(&sandbox, mark, host, &docker, now, dry).await
            }
            Err(why) => freeze(&sandbox, host, &docker, now, dry).await.map(|done| done.unwrap_or((Fate::Left, why))),
            Ok(since) if dry => Ok((Fate::Due, since)),
            Ok(since) => remove(&sandbox, host, &docker, now).await.map(|left| match left {
                None => (Fate::Removed, since),
                Some(why) => (Fate::Left, why),
            }),
        };
        let (fate, why) = done.unwrap_or_else(|failure| {
            let why = failure.to_string();
            sweep.failure = Some(also_stuck(sweep.failure.take(), &format!("sandbox {sandbox}"), failure));
            (Fate::Stuck, why)
        });
        sweep.sandboxes.push(Swept { sandbox, snapshot: None, fate, why });
    }
    sweep.sandboxes.extend(kept.into_iter().map(|KeptData { sandbox, since, .. }| Swept {
        why: format!("its data of {since} is kept: `up` takes it up, `down` removes it"),
        sandbox,
        snapshot: None,
        fate: Fate::Left,
    }));
    for half in cluster::half_snapshots(&docker).await? {
        let done = half_copies::remove_half_snapshot(&half, host, &docker, now, dry).await;
        let (fate, why) = done.unwrap_or_else(|failure| {
            let why = failure.to_string();
            sweep.failure = Some(also_stuck(sweep.failure.take(), &format!("snapshot {}", half.name), failure));
            (Fate::Stuck, why)
        });
        sweep.sandboxes.push(Swept { sandbox: half.cluster, snapshot: Some(half.name), fate, why });
    }
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
    let _lock = match lock(&host.state.sandbox(sandbox))? {
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
    let lock = match lock(&host.state.sandbox(sandbox))? {
        Ok(lock) => lock,
        Err(busy) => return Ok(Some(busy)),
    };
    // A run that had the lock until now may have given it more time.
    let again = cluster::expiries(docker).await?.get(sandbox).copied();
    match due(sandbox, again, now) {
        Err(why) => forget(sandbox, host, &lock, Some(why)),
        Ok(_) => delete(sandbox, host, docker, &lock).await,
    }
}

/// One failure for all: what is left of each, and why.
fn also_stuck(before: Option<Failure>, what: &str, why: Failure) -> Failure {
    let mut failure = before.unwrap_or_else(|| {
        Failure::new(Reason::Leftovers, "could not remove all sandboxes whose time is over")
            .hint("run `sandbox gc` again; `docker inspect` on what is left shows what holds it")
    });
    failure = failure.because(&why);
    if why.leftovers.is_empty() {
        failure.leftovers.push(format!("what there is of {what}"));
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
