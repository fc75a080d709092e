//! Reports of finished checks, and one failure for those that failed.

use std::time::Instant;

use crate::failure::Failure;
use crate::report::Outcome;

use super::catalogue::Check;
use super::check_failure::{CheckFailure, CheckResult};

/// The report of a finished check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The check.
    pub check: Check,
    /// The project and domain, such as `x/d-dev`, of a check that is made in each.
    pub pair: Option<String>,
    /// Passed, failed, or skipped.
    pub outcome: Outcome,
    /// The result in one line.
    pub detail: String,
    /// The time from the first attempt to the last answer, in milliseconds.
    pub millis: u64,
}

impl CheckReport {
    pub(super) fn of(check: Check, pair: Option<String>, result: &CheckResult, started: Instant) -> Self {
        let (outcome, detail) = match result {
            Ok(seen) => (Outcome::Passed, seen.clone()),
            Err(failure) if failure.skipped => (Outcome::Skipped, failure.line()),
            Err(failure) => (Outcome::Failed, failure.line()),
        };
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Self { check, pair, outcome, detail, millis }
    }

    /// The id that a user reads: `A2`, or `A5 x/d-dev`.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.pair {
            Some(pair) => format!("{} {pair}", self.check.id),
            None => self.check.id.to_string(),
        }
    }
}

/// A failed check, and why.
#[derive(Debug)]
pub(super) struct FailedCheck {
    /// The id of its report.
    pub(super) id: String,
    pub(super) check: Check,
    pub(super) failure: CheckFailure,
}

/// One failure for all failed checks: the first is the cause, all are evidence.
pub(super) fn combined_failure(what: String, failed: Vec<FailedCheck>) -> Option<Failure> {
    let FailedCheck { id, check, failure: first } = failed.first()?;
    let reason = first.reason.unwrap_or(check.reason);
    let object = format!("check {id} {}", check.title);
    let mut combined = Failure::new(reason, what).on(object).because(&first.asked).because(&first.seen);
    for FailedCheck { id, failure, .. } in failed {
        combined = combined.evidence([format!("{id} {}", failure.line())]);
        combined = combined.evidence(failure.evidence.iter().map(|line| format!("{id} {line}")));
        for hint in failure.hints {
            if !combined.hints.contains(&hint) {
                combined = combined.hint(hint);
            }
        }
    }
    Some(combined.hint("`sandbox smoke` runs the checks again; `sandbox logs` shows a component's log"))
}

#[cfg(test)]
mod tests {
    use super::{CheckFailure, FailedCheck, combined_failure};
    use crate::failure::Reason;
    use crate::smoke::catalogue::CATALOGUE;

    fn failed(id: &str, failure: CheckFailure) -> FailedCheck {
        let check = *CATALOGUE.iter().find(|check| check.id.to_string() == id).expect("a check");
        FailedCheck { id: id.to_owned(), check, failure }
    }

    #[test]
    fn the_reason_is_the_first_checks_or_what_it_saw() {
        for (first, second, reason) in [
            (
                failed("A1", CheckFailure::new("a", "b")),
                failed("C2", CheckFailure::new("a", "b")),
                Reason::AdminFailing,
            ),
            (
                failed("C2", CheckFailure::new("a", "b")),
                failed("M3", CheckFailure::new("a", "b")),
                Reason::ConsoleFailing,
            ),
            (
                failed("M3", CheckFailure::new("a", "b").reason(Reason::StorageRefused)),
                failed("R1", CheckFailure::new("a", "b")),
                Reason::StorageRefused,
            ),
        ] {
            assert_eq!(combined_failure(String::new(), vec![first, second]).expect("a failure").reason, reason);
        }
    }

    #[test]
    fn the_first_miss_is_the_cause_and_all_are_evidence() {
        let failures = vec![
            failed("A2", CheckFailure::new("GET /api", "HTTP 503").evidence(["no healthy upstream"]).hint("wait")),
            failed("C2", CheckFailure::new("GET /console", "HTTP 404").hint("wait")),
        ];
        let failure = combined_failure("2 of 17 smoke checks failed".to_owned(), failures).expect("a failure");
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
        assert_eq!(combined_failure(String::new(), Vec::new()), None);
    }
}
