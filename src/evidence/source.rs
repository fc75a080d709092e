//! What a source gives, and asking one with a limit.

use std::fmt::Display;

use serde_json::Value;

use super::mask::Mask;
use crate::failure::Failure;
use crate::limits::EVIDENCE_SOURCE;
use crate::run::Deadline;
use crate::yaml;

/// What is in a file, before it is masked: data is masked by its keys, text by its words.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Text(String),
    Json(Value),
    /// JSON, a value a line.
    Lines(Vec<Value>),
    /// YAML, a document each.
    Documents(Vec<Value>),
}

impl Content {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Json(value) => value.is_null(),
            Self::Lines(values) | Self::Documents(values) => values.is_empty(),
        }
    }

    /// As it is written: no secret gets by.
    pub(super) fn masked(self, mask: &Mask) -> String {
        let text = match self {
            Self::Text(text) => text,
            Self::Json(value) => format!("{:#}\n", mask.value(value)),
            Self::Lines(values) => values.into_iter().map(|value| format!("{}\n", mask.value(value))).collect(),
            Self::Documents(values) => {
                let masked: Vec<_> = values.into_iter().map(|value| mask.value(value)).collect();
                yaml::emit_documents(&masked)
            }
        };
        mask.text(&text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Value> for Content {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

/// A file to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct File {
    /// Its path in the folder, `/` between its parts.
    pub(super) path: String,
    /// What it is, a line.
    pub(super) what: String,
    pub(super) content: Content,
    /// Whether its end may explain a failure.
    pub(super) tells: bool,
}

/// Something that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    /// What it would have been.
    pub(super) what: String,
    /// Why it is not.
    pub(super) why: String,
}

/// All that a source had.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    pub(super) files: Vec<File>,
    pub(super) missing: Vec<Missing>,
}

impl Found {
    /// One file. One with nothing in it is as good as none, and says so.
    pub(super) fn file(path: impl Into<String>, what: impl Into<String>, content: impl Into<Content>) -> Self {
        let (what, content) = (what.into(), content.into());
        if content.is_empty() {
            return Self::missing(what, "there is nothing in it");
        }
        Self { files: vec![File { path: path.into(), what, content, tells: false }], missing: Vec::new() }
    }

    /// The same, where the ends of the files may explain a failure.
    pub(super) fn telling(mut self) -> Self {
        self.files.iter_mut().for_each(|file| file.tells = true);
        self
    }

    /// Nothing, and why.
    pub(super) fn missing(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { files: Vec::new(), missing: vec![Missing { what: what.into(), why: why.into() }] }
    }

    /// What was found, or why it was not.
    pub(super) fn or_missing(what: impl Into<String>, found: Result<Self, impl Display>) -> Self {
        found.unwrap_or_else(|why| Self::missing(what, why.to_string()))
    }

    /// The JSON of the file at this path.
    pub(super) fn data(&self, path: &str) -> Option<Value> {
        match &self.files.iter().find(|file| file.path == path)?.content {
            Content::Json(value) => Some(value.clone()),
            _ => None,
        }
    }

    /// Both, in this order.
    #[must_use]
    pub(super) fn and(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self.missing.extend(other.missing);
        self
    }
}

impl FromIterator<Self> for Found {
    fn from_iter<I: IntoIterator<Item = Self>>(all: I) -> Self {
        all.into_iter().fold(Self::default(), Self::and)
    }
}

/// What a source gives before the deadline, and within the limit of one source.
pub(super) async fn ask(
    what: impl Into<String>,
    deadline: Deadline,
    source: impl Future<Output = Result<Found, Failure>>,
) -> Found {
    Found::or_missing(what, answer(deadline.min(EVIDENCE_SOURCE), source).await)
}

/// An answer before the deadline, or why there is none.
pub(super) async fn answer<T>(
    deadline: Deadline,
    asked: impl Future<Output = Result<T, Failure>>,
) -> Result<T, String> {
    let answer = deadline.limit(asked).await.ok_or_else(|| deadline.expired_message())?;
    answer.map_err(|failure| failure.to_string())
}
