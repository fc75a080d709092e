//! Why a check has not passed yet.

use crate::failure::Reason;

/// What one attempt at a check saw: one line if it passed.
pub(super) type Sight = Result<String, Miss>;

/// An attempt that did not see what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Miss {
    /// What was asked, such as `GET http://127.0.0.1:30081/healthcheck`.
    pub(super) asked: String,
    /// What was seen in place of what was expected, such as `HTTP 503`.
    pub(super) seen: String,
    /// Others' words: body excerpts, log lines.
    pub(super) evidence: Vec<String>,
    /// What to do next.
    pub(super) hints: Vec<String>,
    /// Why, where what was seen tells it better than the check itself does.
    pub(super) reason: Option<Reason>,
    /// The HTTP status of the Kubernetes API's answer, where it refused.
    pub(super) code: Option<u16>,
    /// A clear answer, and the wrong one: not a matter of waiting for something to start.
    pub(super) settled: bool,
    /// It was not asked, or not wholly: nothing is said about it.
    pub(super) skipped: bool,
}

impl Miss {
    pub(super) fn new(asked: impl Into<String>, seen: impl Into<String>) -> Self {
        let (asked, seen) = (asked.into(), seen.into());
        Self {
            asked,
            seen,
            evidence: Vec::new(),
            hints: Vec::new(),
            reason: None,
            code: None,
            settled: false,
            skipped: false,
        }
    }

    /// That a check was not made, and why.
    pub(super) fn skip(why: impl Into<String>) -> Self {
        Self { skipped: true, settled: true, ..Self::new("", why) }
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

    pub(super) fn settled(mut self) -> Self {
        self.settled = true;
        self
    }

    /// One line for a verdict.
    pub(super) fn line(&self) -> String {
        if self.skipped {
            return self.seen.clone();
        }
        format!("{}: {}", self.asked, self.seen)
    }
}

/// The sight of a check that looks at many things of a kind: `6 propellers`, or the first miss with the number of the
/// others.
pub(super) fn all(sights: impl IntoIterator<Item = Sight>, things: &str) -> Sight {
    let (mut passed, mut misses) = (0, Vec::<Miss>::new());
    for sight in sights {
        match sight {
            Ok(_) => passed += 1,
            Err(miss) => misses.push(miss),
        }
    }
    let total = passed + misses.len();
    let mut misses = misses.into_iter();
    let Some(mut first) = misses.next() else { return Ok(format!("{total} {things}")) };
    if total > passed + 1 {
        first.seen = format!("{} ({} of {total} {things} miss)", first.seen, total - passed);
    }
    for other in misses {
        first.evidence.push(other.line());
        first.settled |= other.settled;
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
    use super::{Miss, all};

    #[test]
    fn many_passes_are_counted() {
        assert_eq!(all([Ok(String::new()), Ok(String::new())], "things"), Ok("2 things".to_owned()));
    }

    #[test]
    fn the_first_miss_speaks_and_the_others_are_evidence() {
        let miss = |asked: &str| Err(Miss::new(asked, "HTTP 403").hint("look"));
        let merged = all([Ok(String::new()), miss("GET a"), miss("GET b")], "things").expect_err("two miss");
        assert_eq!(merged.line(), "GET a: HTTP 403 (2 of 3 things miss)");
        assert_eq!((merged.evidence, merged.hints), (vec!["GET b: HTTP 403".to_owned()], vec!["look".to_owned()]));
    }
}
