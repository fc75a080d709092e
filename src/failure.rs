//! A failure as the user meets it: what failed, on which object, why, and what to do next.
//!
//! Pure stages have typed errors of their own; they become a [`Failure`] where they leave the stage.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::reason::Reason;
use crate::reason::{Speaker, recognise};
use crate::stage::Stage;

/// What failed, on which object, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The stable identifier.
    pub reason: Reason,
    /// What could not be done: a lower-case fragment without a full stop, such as `cannot create the cluster`.
    pub what: String,
    /// The object it happened on: `deployment 103020-flytepoc-dev/flyteadmin`, `port 30084`, `image minio/minio:…`.
    pub object: Option<String>,
    /// The chain of causes, outermost first; the last one is the first cause.
    pub causes: Vec<String>,
    /// Lines of others' output that show it (log tails, events), oldest first.
    pub evidence: Vec<String>,
    /// What to do next, one sentence or command each, where this failure knows more than its reason does.
    pub hints: Vec<String>,
    /// What of the sandbox could not be removed after it, such as `network k3d-flyte`.
    pub leftovers: Vec<String>,
    /// The folder that all evidence was saved in.
    pub folder: Option<String>,
    /// The error that it was made of, with its type: what is decided by it is asked of [`Failure::source_as`].
    pub(crate) source: Source,
}

/// An error kept beside its text. What a failure says is all of its identity, so two sources always count as equal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source(Option<Arc<dyn Error + Send + Sync>>);

impl PartialEq for Source {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Source {}

/// The JSON form of a failure.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Failure")]
struct FailureJson<'a> {
    /// The stable identifier; docs/reasons.md has them all.
    reason: Reason,
    /// Where such a failure arises; absent where it may anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    /// Whether the same command may succeed a moment later, with nothing changed.
    retryable: bool,
    /// What could not be done, such as `cannot create the cluster`.
    what: &'a str,
    /// The object it happened on.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    /// The chain of causes, outermost first; the last one is the first cause.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    causes: &'a [String],
    /// Lines of others' output that show it, oldest first.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    evidence: &'a [String],
    /// What to do next, one sentence or command each.
    hints: Vec<&'a str>,
    /// What of the sandbox could not be removed after it.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    leftovers: &'a [String],
    /// The folder that all evidence was saved in.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<&'a str>,
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = self.reason.entry();
        FailureJson {
            reason: self.reason,
            stage: entry.stage,
            retryable: entry.retryable,
            what: &self.what,
            object: self.object.as_deref(),
            causes: &self.causes,
            evidence: &self.evidence,
            hints: self.next_steps(),
            leftovers: &self.leftovers,
            folder: self.folder.as_deref(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Failure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        let Read { reason, what, object, causes, evidence, hints, leftovers, folder } = read;
        // Those of the reason itself are told without being its own.
        let hints = if hints == [reason.entry().remedy] { Vec::new() } else { hints };
        Ok(Self { reason, what, object, causes, evidence, hints, leftovers, folder, source: Source::default() })
    }
}

/// A failure as it is read back from its JSON form.
#[derive(Deserialize)]
struct Read {
    reason: Reason,
    what: String,
    object: Option<String>,
    #[serde(default)]
    causes: Vec<String>,
    #[serde(default)]
    evidence: Vec<String>,
    #[serde(default)]
    hints: Vec<String>,
    #[serde(default)]
    leftovers: Vec<String>,
    folder: Option<String>,
}

impl JsonSchema for Failure {
    fn schema_name() -> Cow<'static, str> {
        FailureJson::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        FailureJson::json_schema(generator)
    }
}

impl Failure {
    /// A failure with nothing but what could not be done.
    pub fn new(reason: Reason, what: impl Into<String>) -> Self {
        Self {
            reason,
            what: what.into(),
            object: None,
            causes: Vec::new(),
            evidence: Vec::new(),
            hints: Vec::new(),
            leftovers: Vec::new(),
            folder: None,
            source: Source::default(),
        }
    }

    /// Names the object it happened on.
    #[must_use]
    pub fn on(mut self, object: impl fmt::Display) -> Self {
        self.object = Some(object.to_string());
        self
    }

    /// Adds a deeper cause.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds an error and all its sources as causes, leaving out a source that its parent already repeats, and keeps it.
    #[must_use]
    pub fn caused_by(self, error: impl Error + Send + Sync + 'static) -> Self {
        self.because_of(&error).keeping(error)
    }

    /// Adds the text of an error and of all its sources as causes.
    #[must_use]
    pub(crate) fn because_of(mut self, error: &(dyn Error + 'static)) -> Self {
        for error in chain(error) {
            let text = error.to_string();
            if !self.causes.last().is_some_and(|said| said.contains(&text)) {
                self.causes.push(text);
            }
        }
        self
    }

    /// Keeps an error whose text is told already.
    #[must_use]
    pub(crate) fn keeping(mut self, error: impl Error + Send + Sync + 'static) -> Self {
        self.source = Source(Some(Arc::new(error)));
        self
    }

    /// The error of this type that it was made of, or that is among that error's sources.
    #[must_use]
    pub fn source_as<E: Error + 'static>(&self) -> Option<&E> {
        find(self.source.0.as_deref()?)
    }

    /// Adds lines of others' output.
    #[must_use]
    pub fn evidence(mut self, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.evidence.extend(lines.into_iter().map(Into::into));
        self
    }

    /// Adds something to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Takes the reason that somebody's words tell, where they are known: the causes', deepest first, then those of the
    /// evidence, newest first. Otherwise it stays as it is, and so do the words.
    #[must_use]
    pub fn recognised(mut self, speaker: Speaker) -> Self {
        let words = self.causes.iter().rev().chain(self.evidence.iter().rev());
        if let Some(reason) = words.into_iter().find_map(|words| recognise(speaker, words)) {
            self.reason = reason;
        }
        self
    }

    /// What to do next: what this failure knows, or else what its reason does.
    #[must_use]
    pub fn next_steps(&self) -> Vec<&str> {
        if self.hints.is_empty() {
            vec![self.reason.entry().remedy]
        } else {
            self.hints.iter().map(String::as_str).collect()
        }
    }

    /// What the process exits with: that something is left behind weighs more than why.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.leftovers.is_empty() { self.reason.exit_code() } else { Reason::Leftovers.exit_code() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(object) = &self.object {
            write!(f, " ({object})")?;
        }
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

/// What a failure was made of is told by its own text, so that is no source of its own: see [`Failure::source_as`].
impl Error for Failure {}

/// An error and its sources, outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The first error of this type among an error and its sources.
pub(crate) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The text of the innermost source of an error.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read it")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_failure_still_knows_the_type_of_what_caused_it() {
        let error = Outer(io::Error::new(io::ErrorKind::PermissionDenied, "no way"));
        let failure = Failure::new(Reason::Usage, "cannot start").caused_by(error).because("no way at all");
        assert_eq!(failure.causes, ["cannot read it", "no way", "no way at all"]);
        let kind = failure.source_as::<io::Error>().map(io::Error::kind);
        assert_eq!((failure.source_as::<Outer>().is_some(), kind), (true, Some(io::ErrorKind::PermissionDenied)));
        assert!(failure.source_as::<fmt::Error>().is_none());
        let changed = Failure { reason: Reason::Docker, ..failure.on("port 1").recognised(Speaker::Docker) };
        assert!(changed.source_as::<Outer>().is_some(), "whatever is added, the source stays");
    }

    #[test]
    fn failures_that_say_the_same_are_the_same() {
        let plain = Failure::new(Reason::Usage, "no").because("denied");
        assert_eq!(plain.clone().keeping(io::Error::other("x")), plain.keeping(io::Error::other("y")));
    }

    #[test]
    fn the_innermost_source_is_the_one_without_a_source() {
        assert_eq!(innermost(&Outer(io::Error::other("disk"))), "disk");
        assert_eq!(innermost(&fmt::Error), fmt::Error.to_string());
    }
}
