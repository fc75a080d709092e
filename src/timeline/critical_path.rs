//! The chain of intervals that made the run as long as it was.

use std::time::Duration;

use super::intervals::{Interval, Kind};
use crate::report::Outcome;

/// A stage that is waited for less than this part of the run is not named.
const NAMED: u32 = 200;
/// A stage has just ended that did so within this part of the run.
const JUST: u32 = 100;

/// A stage on the critical path.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The stage.
    pub stage: &'a Interval,
    /// For how long it was waited for.
    pub waited: Duration,
}

/// The critical path of a run: the stages on it, in order, and what share of the run they explain. From the end of the
/// run backwards, what was waited for is the stage that had just ended, or else one that was under way; before its start,
/// again. One that was waited for less than a two-hundredth of the run is not named.
#[must_use]
pub fn critical_path(intervals: &[Interval], end: Duration) -> (Vec<Step<'_>>, f64) {
    let mut path = Vec::new();
    let mut explained = Duration::ZERO;
    let mut until = end;
    while let Some(stage) = before(intervals, until, end / JUST) {
        let waited = stage.to.min(until).saturating_sub(stage.from);
        explained += waited;
        until = stage.from;
        if waited * NAMED >= end {
            path.push(Step { stage, waited });
        }
    }
    path.reverse();
    let share = if end.is_zero() { 1.0 } else { explained.as_secs_f64() / end.as_secs_f64() };
    (path, share)
}

/// The stage that was waited for until then: of those that had just ended the last, and of several that ended with it the
/// first to begin. One that was stopped ended because of another.
fn before(intervals: &[Interval], until: Duration, just: Duration) -> Option<&Interval> {
    let stages = || intervals.iter().filter(|one| one.kind == Kind::Stage && one.from < until);
    let has_ended =
        |one: &&Interval| one.to <= until && until - one.to <= just && one.outcome != Some(Outcome::Stopped);
    let last = |one: &&Interval| (one.to.min(until), std::cmp::Reverse(one.from));
    stages().filter(has_ended).max_by_key(last).or_else(|| stages().max_by_key(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_last_was_waited_for() {
        let stage = |name: &str, from, to| Interval {
            kind: Kind::Stage,
            name: name.to_owned(),
            what: String::new(),
            from: Duration::from_millis(from),
            to: Duration::from_millis(to),
            outcome: None,
        };
        let all = [
            stage("plan", 0, 10),
            stage("cluster", 10, 60),
            stage("images", 12, 70),
            stage("apply", 50, 58),
            stage("rollout", 60, 95),
            stage("smoke", 95, 100),
        ];
        let (path, share) = critical_path(&all, Duration::from_millis(100));
        let names: Vec<_> = path.iter().map(|one| one.stage.name.as_str()).collect();
        assert_eq!(names, ["plan", "cluster", "rollout", "smoke"]);
        assert!((share - 1.0).abs() < 1e-9, "{share}");
        // Images are still on their way when the rollout begins, which waits for the cluster.
        let all = [stage("images", 0, 60), stage("cluster", 1, 50), stage("rollout", 50, 100)];
        let (path, share) = critical_path(&all, Duration::from_millis(100));
        let names: Vec<_> = path.iter().map(|one| (one.stage.name.as_str(), one.waited.as_millis())).collect();
        assert_eq!(names, [("images", 1), ("cluster", 49), ("rollout", 50)]);
        assert!((share - 1.0).abs() < 1e-9, "{share}");
        let all = [stage("smoke", 95, 100)];
        let (path, share) = critical_path(&all, Duration::from_millis(100));
        assert_eq!(path.len(), 1);
        assert!((share - 0.05).abs() < 1e-9, "{share}");
        assert_eq!(critical_path(&[], Duration::ZERO).0.len(), 0);
    }
}
