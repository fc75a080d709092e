//! Sandboxes in which nothing has run for as long as their spec says: `gc` freezes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::backup::postgres;
use super::database::Database;
use crate::cluster;
use crate::docker::Docker;
use crate::failure::Failure;
use crate::site::{Host, Running, Site};

/// What a sandbox has been doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Activity {
    /// Executions that have not ended.
    unfinished: u64,
    /// When its node started, or an execution changed last: whichever was later.
    last: SystemTime,
}

/// How long nothing has run in a sandbox that may be frozen for it, or why it may not; nothing where its spec does not say
/// when, or where it does not run.
///
/// # Errors
/// Docker or the database does not answer.
pub(super) async fn idle_for(
    sandbox: &str,
    host: &Host,
    docker: &Docker,
    now: SystemTime,
) -> Result<Option<Result<String, String>>, Failure> {
    let site @ Site::Node(_) = Site::resolve(sandbox, None, host)? else { return Ok(None) };
    let Ok(Running { client, inventory, .. }) = site.running().await else { return Ok(None) };
    let Some(limit) = inventory.spec.idle_limit() else { return Ok(None) };
    let node_started =
        cluster::started(docker, &cluster::cluster_of(docker, sandbox).await?).await?.unwrap_or(UNIX_EPOCH);
    let mut activity = Activity { unfinished: 0, last: node_started };
    let container = postgres(&client, &inventory.spec.system_namespace()).await?;
    let database = Database(&container);
    for name in database.names().await? {
        activity.unfinished += database.unfinished(&name).await?;
        activity.last = activity.last.max(database.last_change(&name).await?);
    }
    Ok(Some(judged(activity, limit, now)))
}

fn judged(activity: Activity, limit: Duration, now: SystemTime) -> Result<String, String> {
    let span = |long: Duration| humantime::format_duration(Duration::from_secs(long.as_secs())).to_string();
    let resting = now.duration_since(activity.last).unwrap_or_default();
    match activity.unfinished {
        0 if resting >= limit => Ok(format!("nothing has run in it for {}", span(resting))),
        0 => Err(format!("nothing has run in it for {}; {} is its limit", span(resting), span(limit))),
        1 => Err("an execution runs in it".to_owned()),
        many => Err(format!("{many} executions run in it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_idle_when_nothing_runs_and_nothing_has_for_its_limit() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let minute = Duration::from_secs(60);
        for (unfinished, ago, told) in [
            (0, 30, Ok("nothing has run in it for 30m")),
            (0, 29, Err("nothing has run in it for 29m; 30m is its limit")),
            (1, 90, Err("an execution runs in it")),
            (3, 90, Err("3 executions run in it")),
        ] {
            let activity = Activity { unfinished, last: now - ago * minute };
            let told = told.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(judged(activity, 30 * minute, now), told, "{activity:?}");
        }
        let ahead = Activity { unfinished: 0, last: now + minute };
        assert!(judged(ahead, minute, now).is_err(), "a clock that is ahead");
    }
}
