//! The result of one attempt at a check, and of several together.

use crate::failure::Reason;

/// The result of one attempt at a check: one line if it passed.
pub(super) type CheckResult = Result<String, CheckFailure>;

/// A failed attempt at a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckFailure {
    /// The request, such as `GET http://127.0.0.1:30081/healthcheck`.
    pub(super) asked: String,
    /// The answer that was not expected, such as `HTTP 503`.
    pub(super) seen: String,
    /// Excerpts of bodies and lines of logs.
    pub(super) evidence: Vec<String>,
    /// Next steps for the user.
    pub(super) hints: Vec<String>,
    /// A reason that is more precise than the check's own.
    pub(super) reason: Option<Reason>,
    /// The HTTP status of the Kubernetes API's answer, where it refused.
    pub(super) code: Option<u16>,
    /// A wrong answer that does not change by waiting.
    pub(super) final_answer: bool,
    /// The check was not made, or only in part, so it neither passed nor failed.
    pub(super) skipped: bool,
}

impl CheckFailure {
    pub(super) fn new(asked: impl Into<String>, seen: impl Into<String>) -> Self {
        let (asked, seen) = (asked.into(), seen.into());
        Self {
            asked,
            seen,
            evidence: Vec::new(),
            hints: Vec::new(),
            reason: None,
            code: None,
            final_answer: false,
            skipped: false,
        }
    }

    /// A skipped check, and why.
    pub(super) fn skip(why: impl Into<String>) -> Self {
        Self { skipped: true, final_answer: true, ..Self::new("", why) }
    }

    pub(super) fn evidence(mut self, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.evidence.extend(lines.into_iter().map(Into::into));
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(super) fn reason(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    pub(super) fn code(self, code: u16) -> Self {
        Self { code: Some(code), ..self }
    }

    pub(super) fn final_answer(mut self) -> Self {
        self.final_answer = true;
        self
    }

    /// One line for the report.
    pub(super) fn line(&self) -> String {
        if self.skipped {
            return self.seen.clone();
        }
        format!("{}: {}", self.asked, self.seen)
    }
}

/// The result of a check of several objects: `6 propellers`, or the first failure with the number of the others.
pub(super) fn all(results: impl IntoIterator<Item = CheckResult>, things: &str) -> CheckResult {
    let (mut passed, mut failures) = (0, Vec::<CheckFailure>::new());
    for result in results {
        match result {
            Ok(_) => passed += 1,
            Err(failure) => failures.push(failure),
        }
    }
    let total = passed + failures.len();
    let mut failures = failures.into_iter();
    let Some(mut first) = failures.next() else { return Ok(format!("{total} {things}")) };
    if total > passed + 1 {
        first.seen = format!("{} ({} of {total} {things} failed)", first.seen, total - passed);
    }
    for other in failures {
        first.evidence.push(other.line());
        first.final_answer |= other.final_answer;
        for hint in other.hints {
            if !first.hints.contains(&hint) {
                first.hints.push(hint);
            }
        }
    }
    Err(first)
}

#[cfg(test)]
mod tests {
    use super::{CheckFailure, all};

    #[test]
    fn many_passes_are_counted() {
        assert_eq!(all([Ok(String::new()), Ok(String::new())], "things"), Ok("2 things".to_owned()));
    }

    #[test]
    fn the_first_miss_speaks_and_the_others_are_evidence() {
        let failure = |asked: &str| Err(CheckFailure::new(asked, "HTTP 403").hint("look"));
        let merged = all([Ok(String::new()), failure("GET a"), failure("GET b")], "things").expect_err("two failure");
        assert_eq!(merged.line(), "GET a: HTTP 403 (2 of 3 things failed)");
        assert_eq!((merged.evidence, merged.hints), (vec!["GET b: HTTP 403".to_owned()], vec!["look".to_owned()]));
    }
}
