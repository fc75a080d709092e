//! Known faults of a propeller, by its log.

/// A known fault of a propeller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PropellerFault {
    /// Its connection to flyteadmin is stuck on a proxy.
    StuckConnection,
    /// Flyteadmin does not take its events.
    EventsRejected,
    /// Its ServiceAccount lacks a permission.
    Forbidden,
    /// The CustomResourceDefinition of FlyteWorkflow is missing.
    CrdMissing,
}

/// A fault that a log shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogFinding {
    /// The fault.
    pub(super) fault: PropellerFault,
    /// The explanation, which follows the answer in a message.
    pub(super) what: &'static str,
    /// The last line that shows it.
    pub(super) line: String,
    /// The next step, with `POD` and `NAMESPACE` to be filled in.
    pub(super) hint: String,
}

struct LogPattern {
    fault: PropellerFault,
    words: &'static [&'static str],
    what: &'static str,
    hint: &'static str,
}

/// The most specific first.
const PATTERNS: [LogPattern; 4] = [
    // The connection was opened before kube-proxy routed admin's Service, left the node, and a transparent proxy
    // outside answered it. gRPC keeps such a connection for ever.
    LogPattern {
        fault: PropellerFault::StuckConnection,
        words: &["EventSinkError", "Unimplemented"],
        what: "its connection to flyteadmin is stuck on a proxy outside the cluster",
        hint: "`kubectl -n NAMESPACE delete pod POD` makes it connect anew",
    },
    LogPattern {
        fault: PropellerFault::EventsRejected,
        words: &["EventSinkError"],
        what: "it cannot send its events to flyteadmin",
        hint: "`kubectl -n NAMESPACE delete pod POD` once flyteadmin is ready",
    },
    LogPattern {
        fault: PropellerFault::Forbidden,
        words: &["is forbidden"],
        what: "its ServiceAccount lacks a permission",
        hint: "`sandbox up` applies its Roles again; `sandbox render` shows them",
    },
    LogPattern {
        fault: PropellerFault::CrdMissing,
        words: &["could not find the requested resource"],
        what: "the API does not know FlyteWorkflows",
        hint: "`sandbox up` applies the CustomResourceDefinition flyteworkflows.flyte.lyft.com again",
    },
];

/// What a propeller since 1.0 asks of the whole cluster, is refused, and goes on without.
const DONE_WITHOUT: &str = "podtemplates is forbidden";

/// The known fault that a log shows.
pub(super) fn diagnose(log: &[String]) -> Option<LogFinding> {
    PATTERNS.iter().find_map(|pattern| {
        let shows =
            |line: &String| pattern.words.iter().all(|word| line.contains(word)) && !line.contains(DONE_WITHOUT);
        let line = log.iter().rev().find(|line| shows(line))?;
        Some(LogFinding { fault: pattern.fault, what: pattern.what, line: line.clone(), hint: pattern.hint.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::diagnose;

    #[test]
    fn states_are_told_apart() {
        let stuck = r#"E workers.go:102] EventSinkError: Error sending event, caused by [rpc error: code = Unimplemented desc = Not LogFinding: HTTP status code 404; transport: missing content-type field]"#;
        let table = [
            (vec!["ok", stuck, "ok"], Some("its connection to flyteadmin is stuck on a proxy outside the cluster")),
            (
                vec!["EventSinkError: Error sending event, caused by [rpc error: code = Unimplemented desc = ]"],
                Some("its connection to flyteadmin is stuck on a proxy outside the cluster"),
            ),
            (vec!["EventSinkError: rpc error: code = Unavailable"], Some("it cannot send its events to flyteadmin")),
            (vec!["flyteworkflows.flyte.lyft.com is forbidden: User"], Some("its ServiceAccount lacks a permission")),
            (
                // Of v1.16.8, on a real node.
                vec![
                    r#"E reflector.go:205] "Failed to watch" err="failed to list *v1.PodTemplate: podtemplates is forbidden: User \"system:serviceaccount:103020-flytepoc-dev:flytepropeller-x\" cannot list resource \"podtemplates\" in API group \"\" at the cluster scope""#,
                ],
                None,
            ),
            (vec!["attempting to acquire leader lease"], None),
            (vec![], None),
        ];
        for (log, expected) in table {
            let log: Vec<String> = log.into_iter().map(str::to_owned).collect();
            assert_eq!(diagnose(&log).map(|found| found.what), expected, "{log:?}");
        }
    }
}
