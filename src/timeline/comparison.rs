//! What got slower from one run to another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::intervals::{Interval, Kind, intervals};
use crate::report::Event;

/// How long something took in two runs; absent where a run has it not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What it is: `stages`, `images`, `workloads`, `workflows`.
    pub kind: &'static str,
    /// Such as `rollout`, or `deployment/minio`.
    pub name: String,
    /// Milliseconds in the first run.
    pub before: Option<u64>,
    /// Milliseconds in the second.
    pub after: Option<u64>,
}

impl Change {
    /// Milliseconds that it takes longer; less than 0 where it is faster.
    #[must_use]
    pub fn slower(&self) -> i64 {
        let signed = |millis: Option<u64>| i64::try_from(millis.unwrap_or_default()).unwrap_or(i64::MAX);
        signed(self.after).saturating_sub(signed(self.before))
    }
}

/// The comparison of two runs, by kind, what got slowest first.
#[must_use]
pub fn compare(before: &[(Duration, Event)], after: &[(Duration, Event)]) -> Vec<Change> {
    let (before, after) = (times(&intervals(before)), times(&intervals(after)));
    let all: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let millis = |of: &BTreeMap<(Kind, String), Duration>, key| {
        of.get(key).map(|time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    };
    let mut changes: Vec<_> = all
        .into_iter()
        .map(|key| {
            let (before, after) = (millis(&before, key), millis(&after, key));
            (key.0, Change { kind: key.0.title(), name: key.1.clone(), before, after })
        })
        .collect();
    changes.sort_by_key(|(kind, change)| (*kind, std::cmp::Reverse(change.slower())));
    changes.into_iter().map(|(_, change)| change).collect()
}

/// The time of each thing; notes say too many different things to be compared.
fn times(intervals: &[Interval]) -> BTreeMap<(Kind, String), Duration> {
    let mut times = BTreeMap::new();
    for one in intervals.iter().filter(|one| one.kind != Kind::Note) {
        *times.entry((one.kind, one.name.clone())).or_default() += one.to.saturating_sub(one.from);
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, Stage};

    #[test]
    fn what_got_slowest_comes_first_and_what_one_run_lacks_is_told() {
        let stage = |stage, from, to| {
            let end = Event::StageFinished { stage, outcome: Outcome::Passed, summary: String::new(), millis: 0 };
            [(Duration::from_millis(from), Event::StageStarted { stage }), (Duration::from_millis(to), end)]
        };
        let before = [stage(Stage::Plan, 0, 10), stage(Stage::Cluster, 10, 20), stage(Stage::Smoke, 20, 30)].concat();
        let after = [stage(Stage::Plan, 0, 5), stage(Stage::Cluster, 5, 95)].concat();
        let seen: Vec<_> = compare(&before, &after)
            .into_iter()
            .map(|one| (one.name.clone(), one.before, one.after, one.slower()))
            .collect();
        assert_eq!(
            seen,
            [
                ("cluster".to_owned(), Some(10), Some(90), 80),
                ("plan".to_owned(), Some(10), Some(5), -5),
                ("smoke".to_owned(), Some(10), None, -10),
            ]
        );
    }
}
