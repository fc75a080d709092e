//! Detection of a node that crashes. k3d does not notice for minutes, or calls it a success; the container's
//! restart count tells within a second. Where k3d 5 puts a script of its own around k3s, the container stays up for
//! ever when k3s has ended, and only the log tells.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::error::Error;
use super::node_log::{NodeDown, NodeEnd, is_end};
use crate::deadline::Deadline;
use crate::docker::{ContainerState, Docker, Inspected};
use crate::limits;
use crate::plan::node_name;

const POLL: Duration = Duration::from_millis(300);
/// How old an event of a node that is being made may be.
const BEFORE: Duration = Duration::from_secs(1);
/// The log is read with every third poll.
const LOG_POLLS: u32 = 3;
const LOG: usize = 200;

/// Exit code of a process that SIGKILL ended: by the kernel for lack of memory, or by `docker kill`.
const KILLED: i64 = 137;
/// Exit codes of a node that somebody stopped: by itself, by SIGTERM, or by SIGKILL when that took too long.
const STOPPED: &[i64] = &[0, 143, KILLED];

/// Watches a running node; ends when it goes down, with the error.
pub async fn watch_node(docker: &Docker, cluster: &str) -> Error {
    watch(docker, &node_name(cluster)).await
}

/// The error of a node that ran before and does not run now; none if it runs or its state is unknown.
pub async fn node_gone(docker: &Docker, cluster: &str) -> Option<Error> {
    let node = node_name(cluster);
    match docker.container(&node).await {
        Ok(Some(seen)) if matches!(seen.state, ContainerState::Exited | ContainerState::Restarting) => {
            Some(explain(docker, &node, &seen).await.into())
        }
        Ok(None) => Some(Error::NodeRemoved(node)),
        _ => None,
    }
}

/// Watches a node that may not exist yet; ends when it goes down, with the error.
pub(super) async fn watch(docker: &Docker, node: &str) -> Error {
    let mut baseline = None;
    let since = SystemTime::now() - BEFORE;
    let mut look = 0_u32;
    let mut failing = None;
    loop {
        look = look.wrapping_add(1);
        match docker.container(node).await {
            Ok(Some(seen)) => {
                let before =
                    *baseline.get_or_insert(if seen.state == ContainerState::Running { seen.restarts } else { 0 });
                let down = matches!(seen.state, ContainerState::Exited | ContainerState::Restarting);
                if down {
                    return explain(docker, node, &seen).await.into();
                }
                if seen.restarts > before {
                    let exit_code = last_exit(docker, node, since).await.unwrap_or(seen.exit_code);
                    let ended = Inspected { state: ContainerState::Restarting, exit_code, ..seen };
                    return explain(docker, node, &ended).await.into();
                }
                if look.is_multiple_of(LOG_POLLS) {
                    // What it wrote in an earlier life is no sign of how it does in this one.
                    let log = docker.logs_since(node, LOG, seen.started.unwrap_or(since)).await.unwrap_or_default();
                    if log.iter().any(|line| is_end(line)) {
                        return NodeDown { node: node.to_owned(), end: NodeEnd::CrashedInside, log }.into();
                    }
                }
            }
            Ok(None) if baseline.is_some() => return Error::NodeRemoved(node.to_owned()),
            Ok(None) => {}
            Err(error) => {
                // A daemon that reloads, or is busy, answers again in a moment.
                let failing = *failing.get_or_insert_with(|| Deadline::fixed(limits::DOCKER_RECOVERY));
                if failing.has_passed() {
                    return error.into();
                }
                tokio::time::sleep(POLL).await;
                continue;
            }
        }
        failing = None;
        tokio::time::sleep(POLL).await;
    }
}

/// Exit code of the last run of a node that was restarted since, from the daemon's events.
async fn last_exit(docker: &Docker, node: &str, since: SystemTime) -> Option<i64> {
    let of_the_node = |attributes: &HashMap<String, String>| attributes.get("name").is_some_and(|name| name == node);
    let events = docker.events(since, of_the_node).await.ok()?;
    let exit_code = |event: &Value| event.pointer("/Actor/Attributes/exitCode")?.as_str()?.parse().ok();
    events.iter().rev().find_map(exit_code)
}

/// How a node went down.
pub(super) async fn explain(docker: &Docker, node: &str, seen: &Inspected) -> NodeDown {
    let log = docker.logs(node, LOG).await.unwrap_or_default();
    NodeDown { node: node.to_owned(), end: ended(seen, &log), log }
}

/// How a node ended. One that ended by itself is started again by its restart policy; one that stays down was stopped.
fn ended(seen: &Inspected, log: &[String]) -> NodeEnd {
    let stays_down = seen.state == ContainerState::Exited;
    if seen.out_of_memory || (seen.exit_code == KILLED && !stays_down) {
        return NodeEnd::OutOfMemory;
    }
    let complains = log.iter().any(|line| is_end(line));
    if stays_down && STOPPED.contains(&seen.exit_code) && !complains {
        return NodeEnd::Stopped(seen.exit_code);
    }
    NodeEnd::Crashed(seen.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_was_killed_or_stopped_is_told_from_one_that_ended_by_itself() {
        use ContainerState::{Exited, Restarting};
        let fatal = r#"time="t" level=fatal msg="no""#;
        for (state, exit_code, out_of_memory, line, end) in [
            (Restarting, 1, false, "", NodeEnd::Crashed(1)),
            (Exited, 1, false, "", NodeEnd::Crashed(1)),
            (Exited, 0, false, fatal, NodeEnd::Crashed(0)),
            (Exited, 1, true, fatal, NodeEnd::OutOfMemory),
            (Restarting, 137, false, "", NodeEnd::OutOfMemory),
            (Exited, 137, true, "", NodeEnd::OutOfMemory),
            (Exited, 137, false, "", NodeEnd::Stopped(137)),
            (Exited, 0, false, "", NodeEnd::Stopped(0)),
        ] {
            let seen = Inspected { state, exit_code, out_of_memory, ..Inspected::default() };
            assert_eq!(ended(&seen, &[line.to_owned()]), end, "{state:?} {exit_code} {out_of_memory} {line}");
        }
    }
}
