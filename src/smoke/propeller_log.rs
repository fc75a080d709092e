//! What a propeller's log says about a propeller that does not work.

/// What is wrong with a propeller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its connection to flyteadmin leads elsewhere.
    Stuck,
    /// It cannot reach flyteadmin.
    Unheard,
    /// Its ServiceAccount may not do what it must.
    Forbidden,
    /// FlyteWorkflows are not served.
    KindMissing,
}

/// A state that a log shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Which of them.
    pub(super) state: State,
    /// Said after what was seen.
    pub(super) what: &'static str,
    /// The last line that shows it.
    pub(super) line: String,
    /// What to do, with `POD` and `NAMESPACE` to be filled in.
    pub(super) hint: String,
}

struct Sign {
    state: State,
    words: &'static [&'static str],
    what: &'static str,
    hint: &'static str,
}

/// The most telling first.
const SIGNS: [Sign; 4] = [
    // The connection was opened before kube-proxy routed admin's Service, left the node, and a transparent proxy
    // outside answered it. gRPC keeps such a connection for ever.
    Sign {
        state: State::Stuck,
        words: &["Unimplemented", "missing content-type"],
        what: "its connection to flyteadmin is stuck on a proxy outside the cluster",
        hint: "`kubectl -n NAMESPACE delete pod POD` makes it connect anew",
    },
    Sign {
        state: State::Unheard,
        words: &["EventSinkError"],
        what: "it cannot send its events to flyteadmin",
        hint: "`kubectl -n NAMESPACE delete pod POD` once flyteadmin is ready",
    },
    Sign {
        state: State::Forbidden,
        words: &["is forbidden"],
        what: "its ServiceAccount lacks a permission",
        hint: "`sandbox up` applies its Roles again; `sandbox render` shows them",
    },
    Sign {
        state: State::KindMissing,
        words: &["could not find the requested resource"],
        what: "the API does not know FlyteWorkflows",
        hint: "`sandbox up` applies the CustomResourceDefinition flyteworkflows.flyte.lyft.com again",
    },
];

/// What the log shows, if it is a state that is known.
pub(super) fn explain(log: &[String]) -> Option<Found> {
    SIGNS.iter().find_map(|sign| {
        let line = log.iter().rev().find(|line| sign.words.iter().all(|word| line.contains(word)))?;
        Some(Found { state: sign.state, what: sign.what, line: line.clone(), hint: sign.hint.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn states_are_told_apart() {
        let stuck = r#"E workers.go:102] EventSinkError: Error sending event, caused by [rpc error: code = Unimplemented desc = Not Found: HTTP status code 404; transport: missing content-type field]"#;
        let table = [
            (vec!["ok", stuck, "ok"], Some("its connection to flyteadmin is stuck on a proxy outside the cluster")),
            (vec!["EventSinkError: rpc error: code = Unavailable"], Some("it cannot send its events to flyteadmin")),
            (vec!["flyteworkflows.flyte.lyft.com is forbidden: User"], Some("its ServiceAccount lacks a permission")),
            (vec!["attempting to acquire leader lease"], None),
            (vec![], None),
        ];
        for (log, expected) in table {
            let log: Vec<String> = log.into_iter().map(str::to_owned).collect();
            assert_eq!(explain(&log).map(|found| found.what), expected, "{log:?}");
        }
    }
}
