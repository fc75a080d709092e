//! How a node went down, and the cause in its log.

use crate::failure::{Failure, Reason};
use crate::reason::Speaker;
use crate::text::{log_message, plain};

const EVIDENCE: usize = 15;

/// A node that does not stay up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the node does not stay up")]
pub struct NodeDown {
    /// Its container.
    pub node: String,
    /// How it ended.
    pub end: NodeEnd,
    /// The end of its log.
    pub log: Vec<String>,
}

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeEnd {
    /// The kernel killed it.
    #[error("the kernel killed it for lack of memory")]
    OutOfMemory,
    /// Somebody stopped it; with this exit code.
    #[error("somebody stopped it; it ended with exit code {0}")]
    Stopped(i64),
    /// k3s ended with this exit code.
    #[error("k3s ended with exit code {0}")]
    Crashed(i64),
    /// k3s ended, and its container still runs.
    #[error("k3s has ended")]
    CrashedInside,
}

impl From<NodeDown> for Failure {
    fn from(down: NodeDown) -> Self {
        let reason = match down.end {
            NodeEnd::OutOfMemory => Reason::NodeMemory,
            NodeEnd::Stopped(_) => Reason::NodeRemoved,
            NodeEnd::Crashed(_) | NodeEnd::CrashedInside => Reason::NodeCrash,
        };
        let failure = Self::new(reason, down.to_string())
            .on(format!("container {}", down.node))
            .because(down.end)
            .evidence(relevant(&down.log))
            .hint(format!("`docker logs {}` shows all that it wrote", down.node));
        // What a node wrote that something else ended is no cause.
        if reason != Reason::NodeCrash {
            return failure.hint(reason.entry().remedy);
        }
        let failure = cause(&down.log).into_iter().fold(failure, Self::because);
        let failure = failure.recognised(Speaker::K3s);
        match failure.reason {
            Reason::NodeCrash => failure,
            known => failure.hint(known.entry().remedy),
        }
    }
}

/// Whether a line says that k3s ended.
pub(super) fn is_end(line: &str) -> bool {
    is_fatal(line) || is_usage(line) || is_shutdown(line)
}

/// The line that says why k3s ended: a fatal one, or else an unknown flag, or else its last error.
fn cause(log: &[String]) -> Option<String> {
    let last = |wanted: &dyn Fn(&str) -> bool| log.iter().rev().find(|line| wanted(line)).map(|line| message(line));
    // The fatal line after it, if there is one, only tells what the shutdown cut off.
    last(&is_shutdown)
        .or_else(|| last(&is_fatal))
        .or_else(|| last(&is_usage))
        .or_else(|| last(&is_error))
        .or_else(|| last(&|line| !line.trim().is_empty()))
}

fn relevant(log: &[String]) -> Vec<String> {
    let chosen: Vec<&String> = log.iter().filter(|line| is_end(line) || is_error(line)).collect();
    let chosen = if chosen.is_empty() { log.iter().collect() } else { chosen };
    chosen[chosen.len().saturating_sub(EVIDENCE)..].iter().map(|line| plain(line)).collect()
}

fn is_fatal(line: &str) -> bool {
    line.contains("level=fatal") || line.starts_with("panic:") || klog(line, 'F')
}

/// How k3s since v1.33.6 says that one of its components ended, at which it ends itself: with a fatal line or without.
fn is_shutdown(line: &str) -> bool {
    line.contains("level=error") && line.contains("Shutdown request received: ")
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

    /// As k3s v1.33.13 ended.
    #[test]
    fn a_component_that_ended_is_the_cause_and_not_what_its_end_cut_off() {
        let shutdown =
            r#"time="t" level=error msg="Shutdown request received: \"kubelet exited: unknown flag: --no-such\"""#;
        let cut = r#"time="t" level=fatal msg="failed to start controllers: context canceled""#;
        for lines in [&[shutdown][..], &[shutdown, cut]] {
            assert!(lines.iter().any(|line| is_end(line)));
            let cause = cause(&log(lines)).expect("a cause");
            assert_eq!(cause, r#"Shutdown request received: "kubelet exited: unknown flag: --no-such""#);
        }
        let refused = r#"time="t" level=error msg="Shutdown request received: \"kubelet exited: failed to run Kubelet: kubelet is configured to not run on a host using cgroup v1\"""#;
        let down = NodeDown { node: "n".into(), end: NodeEnd::Crashed(1), log: log(&[refused, cut]) };
        assert_eq!(Failure::from(down).reason, Reason::NodeCgroup);
    }

    #[test]
    fn an_unknown_flag_is_a_cause() {
        let log =
            log(&["Incorrect Usage. flag provided but not defined: -no-such", "", "USAGE:", "   k3s server [OPTIONS]"]);
        assert_eq!(cause(&log).as_deref(), Some("Incorrect Usage. flag provided but not defined: -no-such"));
    }

    #[test]
    fn what_is_known_of_k3s_words_is_the_reason_and_comes_with_its_way_out() {
        let crashed = |line: &str| NodeDown { node: "n".into(), end: NodeEnd::Crashed(1), log: log(&[line]) };
        let failure = Failure::from(crashed(r#"time="t" level=fatal msg="failed to find memory cgroup (v2)""#));
        assert_eq!(failure.reason, Reason::NodeCgroup);
        assert_eq!(failure.hints.last().map(String::as_str), Some(Reason::NodeCgroup.entry().remedy));
        let unknown = Failure::from(crashed(r#"time="t" level=fatal msg="a new one""#));
        assert_eq!((unknown.reason, unknown.causes[1].as_str()), (Reason::NodeCrash, "a new one"));
    }

    #[test]
    fn without_a_known_word_the_last_line_has_to_do() {
        assert_eq!(cause(&log(&["a", "trap: SIGTERM: bad trap", ""])).as_deref(), Some("trap: SIGTERM: bad trap"));
        assert_eq!(cause(&[]), None);
    }
}
