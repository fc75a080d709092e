//! The one door for YAML. No other module names a YAML crate.
//!
//! Manifests are read the way `kubectl` reads them (YAML 1.1: a bare `y` is true, `0644` is octal) and written so that
//! a YAML 1.1 reader gets the same values back: the Go programs that load our ConfigMaps are such readers.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::Options;
pub use serde_saphyr::Spanned;

/// YAML that cannot be read, with the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct YamlError {
    /// What is wrong, without the place.
    pub message: String,
    /// Line, from 1; 0 where unknown.
    pub line: u64,
    /// Column, from 1; 0 where unknown.
    pub column: u64,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {} column {}: ", self.line, self.column)?;
        }
        f.write_str(&self.message)
    }
}

impl From<serde_saphyr::Error> for YamlError {
    fn from(error: serde_saphyr::Error) -> Self {
        let location = error.location();
        let text = error.without_snippet().to_string();
        // The crate appends its own " at line L, column C"; the place is ours to tell.
        let message = text.split(" at line ").next().unwrap_or(&text).trim().to_owned();
        Self {
            message,
            line: location.map_or(0, |at| at.line() as u64),
            column: location.map_or(0, |at| at.column() as u64),
        }
    }
}

fn manifest_options() -> Options {
    serde_saphyr::options! { legacy_octal_numbers: true }
}

/// The documents of a manifest stream; empty ones are left out.
///
/// # Errors
/// The first syntax error, duplicate key or exceeded budget (aliases, depth, size), with its place.
pub fn documents(text: &str) -> Result<Vec<Value>, YamlError> {
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, manifest_options())?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// A single document, such as a configuration file inside a ConfigMap.
///
/// # Errors
/// As [`documents`].
pub fn document(text: &str) -> Result<Value, YamlError> {
    Ok(serde_saphyr::from_str_with_options(text, manifest_options())?)
}

/// A document of a known type, written by a person: only `true` and `false` are booleans, so that a project may be
/// called `y`.
///
/// # Errors
/// As [`documents`], and whatever the type rejects.
pub fn typed<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    Ok(serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })?)
}

/// Writes a value so that YAML 1.1 and 1.2 readers both get it back.
#[must_use]
pub fn emit(value: &impl Serialize) -> String {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(value, options).unwrap_or_else(|error| {
        // JSON values always serialise; a JSON document is a YAML document too.
        tracing::error!(%error, "a value did not serialise as YAML");
        serde_json::to_string(value).unwrap_or_default()
    })
}

/// Writes a manifest stream.
pub fn emit_documents<'a, T: Serialize + 'a>(values: impl IntoIterator<Item = &'a T>) -> String {
    values.into_iter().map(|value| format!("---\n{}", emit(value))).collect()
}
