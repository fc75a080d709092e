//! What checks ended with, and the failure that the bad ones amount to.

use std::time::Instant;

use crate::failure::Failure;
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
    /// Passed, failed, or skipped.
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
            Err(miss) if miss.skipped => (Outcome::Skipped, miss.line()),
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
    pub(super) check: Check,
    pub(super) miss: Miss,
}

/// The failure that the misses amount to: the first one is the cause, all are evidence.
pub(super) fn failure(what: String, missed: Vec<Missed>) -> Option<Failure> {
    let Missed { id, check, miss: first } = missed.first()?;
    let reason = first.reason.unwrap_or(check.reason);
    let object = format!("check {id} {}", check.title);
    let mut failure = Failure::new(reason, what).on(object).because(&first.asked).because(&first.seen);
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
    use crate::failure::Reason;
    use crate::smoke::catalogue::CATALOGUE;

    fn missed(id: &str, miss: Miss) -> Missed {
        let check = *CATALOGUE.iter().find(|check| check.id.to_string() == id).expect("a check");
        Missed { id: id.to_owned(), check, miss }
    }

    #[test]
    fn the_reason_is_the_first_checks_or_what_it_saw() {
        for (first, second, reason) in [
            (missed("A1", Miss::new("a", "b")), missed("C2", Miss::new("a", "b")), Reason::AdminFailing),
            (missed("C2", Miss::new("a", "b")), missed("M3", Miss::new("a", "b")), Reason::ConsoleFailing),
            (
                missed("M3", Miss::new("a", "b").reason(Reason::StorageRefused)),
                missed("R1", Miss::new("a", "b")),
                Reason::StorageRefused,
            ),
        ] {
            assert_eq!(failure(String::new(), vec![first, second]).expect("a failure").reason, reason);
        }
    }

    #[test]
    fn the_first_miss_is_the_cause_and_all_are_evidence() {
        let misses = vec![
            missed("A2", Miss::new("GET /api", "HTTP 503").evidence(["no healthy upstream"]).hint("wait")),
            missed("C2", Miss::new("GET /console", "HTTP 404").hint("wait")),
        ];
        let failure = failure("2 of 17 smoke checks failed".to_owned(), misses).expect("misses are a failure");
        assert_eq!(
            failure.to_string(),
            "2 of 17 smoke checks failed (check A2 admin lists the projects and domains): GET /api: HTTP 503"
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
