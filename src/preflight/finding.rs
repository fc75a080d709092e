//! Findings of preflight, and the failure for blockers.

use serde::Serialize;

use crate::failure::{Failure, Reason};
use crate::report::{Event, Severity};

/// The result of a preflight check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The id of the check: `docker`, `k3d`, `port-minio`, …
    pub check: String,
    /// The severity.
    pub severity: Severity,
    /// The message: a lower-case fragment without a full stop.
    pub message: String,
    /// Next steps.
    pub hints: Vec<String>,
    /// The reason of a blocker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl Finding {
    pub(crate) fn new(severity: Severity, check: &str, message: impl Into<String>) -> Self {
        Self { check: check.to_owned(), severity, message: message.into(), hints: Vec::new(), reason: None }
    }

    pub(crate) fn fine(check: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Fine, check, message)
    }

    pub(crate) fn warning(check: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, check, message)
    }

    pub(crate) fn blocker(reason: Reason, check: &str, message: impl Into<String>) -> Self {
        Self { reason: Some(reason), ..Self::new(Severity::Blocker, check, message) }
    }

    pub(crate) fn from_failure(check: &str, failure: &Failure) -> Self {
        let hints = failure.next_steps().into_iter().map(str::to_owned).collect();
        Self { hints, ..Self::blocker(failure.reason, check, failure.to_string()) }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The finding as an event.
    #[must_use]
    pub fn event(&self) -> Event {
        let Self { check, severity, message, hints, reason: _ } = self.clone();
        Event::Finding { check, severity, message, hints }
    }
}

/// A failure with every blocker, if there are any.
///
/// # Errors
/// Every blocker as a cause, and their next steps; [`Reason::Preflight`] if they have different reasons.
pub fn blockers(findings: &[Finding]) -> Result<(), Failure> {
    let found: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Blocker).collect();
    let what = match found.as_slice() {
        [] => return Ok(()),
        [_] => "preflight found a problem; nothing was changed".to_owned(),
        found => format!("preflight found {} problems; nothing was changed", found.len()),
    };
    let mut reasons = found.iter().filter_map(|finding| finding.reason);
    let first = reasons.next().unwrap_or(Reason::Preflight);
    let reason = if reasons.all(|other| other == first) { first } else { Reason::Preflight };
    let failure = found.iter().fold(Failure::new(reason, what), |failure, finding| failure.because(&finding.message));
    let hints = found.iter().flat_map(|finding| &finding.hints);
    Err(hints.fold(failure, |failure, hint| if failure.hints.contains(hint) { failure } else { failure.hint(hint) }))
}

/// The number of checks and of warnings among them, such as `9 checks, 1 warning`.
#[must_use]
pub fn summary(findings: &[Finding]) -> String {
    let warnings = findings.iter().filter(|finding| finding.severity == Severity::Warning).count();
    match warnings {
        0 => format!("{} checks", findings.len()),
        1 => format!("{} checks, 1 warning", findings.len()),
        many => format!("{} checks, {many} warnings", findings.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_stop_nothing() {
        assert_eq!(blockers(&[Finding::fine("a", "a"), Finding::warning("b", "b").hint("c")]), Ok(()));
    }

    #[test]
    fn all_blockers_are_reported_at_once() {
        let findings = [
            Finding::blocker(Reason::PortTaken, "port-console", "port 30081 is taken").hint("--port-console 31081"),
            Finding::fine("k3d", "fine"),
            Finding::blocker(Reason::PortTaken, "port-minio", "port 30084 is taken").hint("--port-minio 31084"),
        ];
        let failure = blockers(&findings).expect_err("two blockers");
        assert_eq!(failure.reason, Reason::PortTaken);
        assert_eq!(failure.causes, ["port 30081 is taken", "port 30084 is taken"]);
        assert_eq!(failure.hints, ["--port-console 31081", "--port-minio 31084"]);
    }
}
