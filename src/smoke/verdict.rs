//! What checks ended with, and the failure that the bad ones amount to.

use std::time::Instant;

use crate::failure::{Failure, Reason};
use crate::report::Outcome;

use super::catalogue::Check;
use super::miss::{Miss, Sight};

/// What a check ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The check.
    pub check: Check,
    /// The project and domain that it was asked of, such as `x/d-dev`, where it is asked of each.
    pub pair: Option<String>,
    /// Passed or failed.
    pub outcome: Outcome,
    /// What was seen, in one line.
    pub detail: String,
    /// From the first attempt to the last answer, in milliseconds.
    pub millis: u64,
}

impl Verdict {
    pub(super) fn of(check: Check, pair: Option<String>, sight: &Sight, started: Instant) -> Self {
        let (outcome, detail) = match sight {
            Ok(seen) => (Outcome::Passed, seen.clone()),
            Err(miss) => (Outcome::Failed, miss.line()),
        };
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Self { check, pair, outcome, detail, millis }
    }

    /// As it is told: `A2`, or `A5 x/d-dev`.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.pair {
            Some(pair) => format!("{} {pair}", self.check.id),
            None => self.check.id.to_string(),
        }
    }
}

/// A check that did not pass, and why.
#[derive(Debug)]
pub(super) struct Missed {
    /// Of the verdict.
    pub(super) id: String,
    pub(super) title: &'static str,
    pub(super) miss: Miss,
}

/// The failure that the misses amount to: the first one is the cause, all are evidence.
pub(super) fn failure(what: String, missed: Vec<Missed>) -> Option<Failure> {
    let Missed { id, title, miss: first } = missed.first()?;
    let mut failure =
        Failure::new(Reason::Smoke, what).on(format!("check {id} {title}")).because(&first.asked).because(&first.seen);
    for Missed { id, miss, .. } in missed {
        failure = failure.evidence([format!("{id} {}", miss.line())]);
        failure = failure.evidence(miss.evidence.iter().map(|line| format!("{id} {line}")));
        for hint in miss.hints {
            if !failure.hints.contains(&hint) {
                failure = failure.hint(hint);
            }
        }
    }
    Some(failure.hint("`sandbox smoke` asks again; `sandbox logs` shows what a component says"))
}

#[cfg(test)]
mod tests {
    use super::{Miss, Missed, failure};

    fn missed(id: &str, title: &'static str, miss: Miss) -> Missed {
        Missed { id: id.to_owned(), title, miss }
    }

    #[test]
    fn the_first_miss_is_the_cause_and_all_are_evidence() {
        let misses = vec![
            missed(
                "A2",
                "admin lists the projects",
                Miss::new("GET /api", "HTTP 503").evidence(["no healthy upstream"]).hint("wait"),
            ),
            missed("C2", "console loads", Miss::new("GET /console", "HTTP 404").hint("wait")),
        ];
        let failure = failure("2 of 16 smoke checks failed".to_owned(), misses).expect("misses are a failure");
        assert_eq!(
            failure.to_string(),
            "2 of 16 smoke checks failed (check A2 admin lists the projects): GET /api: HTTP 503"
        );
        assert_eq!(failure.evidence, ["A2 GET /api: HTTP 503", "A2 no healthy upstream", "C2 GET /console: HTTP 404"]);
        assert_eq!(failure.hints[0], "wait");
        assert_eq!(failure.hints.len(), 2);
    }

    #[test]
    fn no_miss_is_no_failure() {
        assert_eq!(failure(String::new(), Vec::new()), None);
    }
}
