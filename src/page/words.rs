//! Words that page and summary share.

use std::time::Duration;

use crate::report::Outcome;

/// An outcome: its word, its sign, and the class that colours it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) word: &'static str,
    pub(super) sign: &'static str,
    pub(super) class: &'static str,
}

pub(super) const fn mark(outcome: Outcome) -> Mark {
    match outcome {
        Outcome::Passed => Mark { word: "passed", sign: "✓", class: "passed" },
        Outcome::Failed => Mark { word: "failed", sign: "✗", class: "failed" },
        Outcome::Unchanged => Mark { word: "unchanged", sign: "=", class: "passed" },
        Outcome::Skipped => Mark { word: "skipped", sign: "-", class: "stopped" },
        Outcome::Stopped => Mark { word: "stopped", sign: "-", class: "stopped" },
    }
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
