//! Detection of a node that crashes, and the cause from its log. k3d does not notice for minutes, or calls it a success; the container's
//! restart count tells within a second. Where k3d 5 puts a script of its own around k3s, the container stays up for
//! ever when k3s has ended, and only the log tells.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::deadline::Deadline;
use crate::docker::{ContainerState, Docker, Inspected};
use crate::failure::{Failure, Reason};
use crate::limits;
use crate::plan::node_name;
use crate::process::{log_message, plain};
use crate::reason::Speaker;

const POLL: Duration = Duration::from_millis(300);
/// How old an event of a node that is being made may be.
const BEFORE: Duration = Duration::from_secs(1);
/// The log is read with every third poll.
const LOG_POLLS: u32 = 3;
const LOG: usize = 200;
const EVIDENCE: usize = 15;

/// Exit code of a process that SIGKILL ended: by the kernel for lack of memory, or by `docker kill`.
const KILLED: i64 = 137;
/// Exit codes of a node that somebody stopped: by itself, by SIGTERM, or by SIGKILL when that took too long.
const STOPPED: &[i64] = &[0, 143, KILLED];

/// Watches a running node; ends when it goes down, with the failure.
pub async fn watch_node(docker: &Docker, cluster: &str) -> Failure {
    watch(docker, &node_name(cluster)).await
}

/// The failure of a node that ran before and does not run now; none if it runs or its state is unknown.
pub async fn node_gone(docker: &Docker, cluster: &str) -> Option<Failure> {
    let node = node_name(cluster);
    match docker.container(&node).await {
        Ok(Some(seen)) if matches!(seen.state, ContainerState::Exited | ContainerState::Restarting) => {
            Some(explain(docker, &node, &seen).await)
        }
        Ok(None) => Some(removed(&node)),
        _ => None,
    }
}

fn removed(node: &str) -> Failure {
    Failure::new(Reason::NodeRemoved, "the node was removed while it was used").on(format!("container {node}"))
}

/// Watches a node that may not exist yet; ends when it goes down, with the failure.
pub(super) async fn watch(docker: &Docker, node: &str) -> Failure {
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
                    return explain(docker, node, &seen).await;
                }
                if seen.restarts > before {
                    let exit_code = last_exit(docker, node, since).await.unwrap_or(seen.exit_code);
                    let ended = Inspected { state: ContainerState::Restarting, exit_code, ..seen };
                    return explain(docker, node, &ended).await;
                }
                if look.is_multiple_of(LOG_POLLS) {
                    // What it wrote in an earlier life is no sign of how it does in this one.
                    let log = docker.logs_since(node, LOG, seen.started.unwrap_or(since)).await.unwrap_or_default();
                    if log.iter().any(|line| is_fatal(line) || is_usage(line)) {
                        return describe(Reason::NodeCrash, node, "k3s has ended", &log);
                    }
                }
            }
            Ok(None) if baseline.is_some() => return removed(node),
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

/// The failure of a node that went down, with the cause from its log.
pub(super) async fn explain(docker: &Docker, node: &str, seen: &Inspected) -> Failure {
    let log = docker.logs(node, LOG).await.unwrap_or_default();
    let (reason, what) = ended(seen, &log);
    describe(reason, node, &what, &log)
}

/// The reason that a node ended, and a sentence about it. One that ended by itself is started again by its restart policy; one that stays down was stopped.
fn ended(seen: &Inspected, log: &[String]) -> (Reason, String) {
    let stays_down = seen.state == ContainerState::Exited;
    if seen.out_of_memory || (seen.exit_code == KILLED && !stays_down) {
        return (Reason::NodeMemory, "the kernel killed it for lack of memory".to_owned());
    }
    let complains = log.iter().any(|line| is_fatal(line) || is_usage(line));
    if stays_down && STOPPED.contains(&seen.exit_code) && !complains {
        return (Reason::NodeRemoved, format!("somebody stopped it; it ended with exit code {}", seen.exit_code));
    }
    (Reason::NodeCrash, format!("k3s ended with exit code {}", seen.exit_code))
}

/// The failure of a node with this log.
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "fuzzed from outside"))]
pub fn describe(reason: Reason, node: &str, what: &str, log: &[String]) -> Failure {
    let failure = Failure::new(reason, "the node does not stay up")
        .on(format!("container {node}"))
        .because(what)
        .evidence(relevant(log))
        .hint(format!("`docker logs {node}` shows all that it wrote"));
    // What a node wrote that something else ended is no cause.
    if reason != Reason::NodeCrash {
        return failure.hint(reason.entry().remedy);
    }
    let failure = cause(log).into_iter().fold(failure, |failure, cause| failure.because(cause));
    let failure = failure.recognised(Speaker::K3s);
    match failure.reason {
        Reason::NodeCrash => failure,
        known => failure.hint(known.entry().remedy),
    }
}

/// The line that says why k3s ended: a fatal one, or else an unknown flag, or else its last error.
fn cause(log: &[String]) -> Option<String> {
    let last = |wanted: &dyn Fn(&str) -> bool| log.iter().rev().find(|line| wanted(line)).map(|line| message(line));
    last(&is_fatal)
        .or_else(|| last(&is_usage))
        .or_else(|| last(&is_error))
        .or_else(|| last(&|line| !line.trim().is_empty()))
}

fn relevant(log: &[String]) -> Vec<String> {
    let chosen: Vec<&String> = log.iter().filter(|line| is_fatal(line) || is_usage(line) || is_error(line)).collect();
    let chosen = if chosen.is_empty() { log.iter().collect() } else { chosen };
    chosen[chosen.len().saturating_sub(EVIDENCE)..].iter().map(|line| plain(line)).collect()
}

fn is_fatal(line: &str) -> bool {
    line.contains("level=fatal") || line.starts_with("panic:") || klog(line, 'F')
}

fn is_usage(line: &str) -> bool {
    line.starts_with("Incorrect Usage") || line.contains("flag provided but not defined")
}

fn is_error(line: &str) -> bool {
    line.contains("level=error") || klog(line, 'E')
}

/// Kubernetes' own log lines start with a letter and the date: `F1123 20:36:40.000001`.
fn klog(line: &str, level: char) -> bool {
    line.strip_prefix(level).is_some_and(|rest| rest.len() > 4 && rest.as_bytes()[..4].iter().all(u8::is_ascii_digit))
}

fn message(line: &str) -> String {
    log_message(line).unwrap_or_else(|| plain(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn the_fatal_line_is_the_cause_even_when_others_follow() {
        let log = log(&[
            r#"time="t" level=info msg="Starting k3s""#,
            r#"time="t" level=fatal msg="starting kubernetes: listen tcp :6443: bind: \"in use\"""#,
            "E1123 20:36:40.000001 1 reflector.go:1] later",
        ]);
        assert_eq!(cause(&log).as_deref(), Some("starting kubernetes: listen tcp :6443: bind: \"in use\""));
        assert_eq!(relevant(&log).len(), 2);
    }

    #[test]
    fn an_unknown_flag_is_a_cause() {
        let log =
            log(&["Incorrect Usage. flag provided but not defined: -no-such", "", "USAGE:", "   k3s server [OPTIONS]"]);
        assert_eq!(cause(&log).as_deref(), Some("Incorrect Usage. flag provided but not defined: -no-such"));
    }

    #[test]
    fn a_node_that_was_killed_or_stopped_is_told_from_one_that_ended_by_itself() {
        use ContainerState::{Exited, Restarting};
        let fatal = r#"time="t" level=fatal msg="no""#;
        for (state, exit_code, out_of_memory, line, reason) in [
            (Restarting, 1, false, "", Reason::NodeCrash),
            (Exited, 1, false, "", Reason::NodeCrash),
            (Exited, 0, false, fatal, Reason::NodeCrash),
            (Exited, 1, true, fatal, Reason::NodeMemory),
            (Restarting, 137, false, "", Reason::NodeMemory),
            (Exited, 137, true, "", Reason::NodeMemory),
            (Exited, 137, false, "", Reason::NodeRemoved),
            (Exited, 0, false, "", Reason::NodeRemoved),
        ] {
            let seen = Inspected { state, exit_code, out_of_memory, ..Inspected::default() };
            assert_eq!(ended(&seen, &log(&[line])).0, reason, "{state:?} {exit_code} {out_of_memory} {line}");
        }
    }

    #[test]
    fn what_is_known_of_k3s_words_is_the_reason_and_comes_with_its_way_out() {
        let failure = describe(
            Reason::NodeCrash,
            "n",
            "k3s ended with exit code 1",
            &log(&[r#"time="t" level=fatal msg="failed to find memory cgroup (v2)""#]),
        );
        assert_eq!(failure.reason, Reason::NodeCgroup);
        assert_eq!(failure.hints.last().map(String::as_str), Some(Reason::NodeCgroup.entry().remedy));
        let unknown = describe(Reason::NodeCrash, "n", "k3s ended", &log(&[r#"time="t" level=fatal msg="a new one""#]));
        assert_eq!((unknown.reason, unknown.causes[1].as_str()), (Reason::NodeCrash, "a new one"));
    }

    #[test]
    fn without_a_known_word_the_last_line_has_to_do() {
        assert_eq!(cause(&log(&["a", "trap: SIGTERM: bad trap", ""])).as_deref(), Some("trap: SIGTERM: bad trap"));
        assert_eq!(cause(&[]), None);
    }
}
