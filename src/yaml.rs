//! The one door for YAML. No other module names a YAML crate.
//!
//! Manifests are read the way `kubectl` reads them (YAML 1.1: a bare `y` is true, `0644` is octal) and written so that
//! a YAML 1.1 reader gets the same values back: the Go programs that load our ConfigMaps are such readers.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
pub use serde_saphyr::Spanned;
use serde_saphyr::options::AliasLimits;
use serde_saphyr::{Budget, Options};

/// A position in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}

impl Position {
    /// None where the line is 0, which is the YAML crate's word for a position that it does not know.
    pub(crate) fn known(line: u64, column: u64) -> Option<Self> {
        (line > 0).then_some(Self { line, column })
    }
}

/// YAML that cannot be read, with its position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct YamlError {
    /// What is wrong, without the position.
    pub message: String,
    /// Where, if the reader knows.
    pub position: Option<Position>,
    /// Where the trouble is a key that the type does not have: that key, and those it has.
    pub unknown_key: Option<(String, Vec<&'static str>)>,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "line {line} column {column}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl From<serde_saphyr::Error> for YamlError {
    fn from(error: serde_saphyr::Error) -> Self {
        let location = error.location();
        let text = error.without_snippet().to_string();
        let message = match error.without_snippet() {
            serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` stands twice"),
            serde_saphyr::Error::Budget { breach, .. } => format!("this is more than is read: {}", counted(breach)),
            serde_saphyr::Error::Unexpected { expected: "sequence start", .. } => {
                "a list is wanted here, such as `[x, y]`".to_owned()
            }
            serde_saphyr::Error::Unexpected { expected: "mapping start", .. } => {
                "keys with values are wanted here, such as `{key: value}`".to_owned()
            }
            serde_saphyr::Error::MultipleDocuments { .. } => "there is more than one document; one is read".to_owned(),
            // The crate appends its own " at line L, column C"; the place is ours to tell.
            _ => text.split(" at line ").next().unwrap_or(&text).trim().to_owned(),
        };
        let unknown_key = match error.without_snippet() {
            serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => Some((field.clone(), expected.clone())),
            _ => None,
        };
        Self { unknown_key, message, position: location.and_then(|at| Position::known(at.line(), at.column())) }
    }
}

/// What there is too much of: the crate has a name and numbers for it, such as `Documents { documents: 1025 }`.
fn counted(breach: &serde_saphyr::budget::BudgetBreach) -> String {
    let shown = format!("{breach:?}");
    let within = shown.split_once("{ ").map_or(shown.as_str(), |(_, within)| within.trim_end_matches(" }"));
    within.replace('_', " ")
}

/// What stands in a text is bounded by the text, which is read up to a limit: ten thousand objects are no mistake.
fn budget() -> Option<Budget> {
    serde_saphyr::budget! { max_documents: 50_000, max_nodes: 2_000_000, max_events: 5_000_000, max_merge_keys: 1_000 }
}

/// What aliases make of a text is not bounded by it; real files repeat little.
fn alias_limits() -> AliasLimits {
    serde_saphyr::alias_limits! { max_total_replayed_events: 50_000 }
}

fn manifest_options() -> Options {
    serde_saphyr::options! { legacy_octal_numbers: true, budget: budget(), alias_limits: alias_limits() }
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

/// A configuration file of a program that takes the last of a key that stands more than once, as Flyte's do.
///
/// # Errors
/// As [`documents`], but for duplicate keys.
pub fn settings(text: &str) -> Result<Value, YamlError> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        budget: budget(),
        alias_limits: alias_limits(),
    };
    Ok(serde_saphyr::from_str_with_options(text, options)?)
}

/// A document of a known type, written by a person: only `true` and `false` are booleans, so that a project may be
/// called `y`.
///
/// # Errors
/// As [`documents`], and whatever the type rejects.
pub fn typed<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    let options = serde_saphyr::options! { strict_booleans: true, budget: budget(), alias_limits: alias_limits() };
    Ok(serde_saphyr::from_str_with_options(text, options)?)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn manifests_are_read_as_kubectl_reads_them() {
        for (text, value) in [
            ("a: y", json!({"a": true})),
            ("a: \"y\"", json!({"a": "y"})),
            ("a: off", json!({"a": false})),
            ("a: 0644", json!({"a": 420})),
            ("a: \"0644\"", json!({"a": "0644"})),
            ("a: &b {c: 1}\nd: {<<: *b, e: 2}", json!({"a": {"c": 1}, "d": {"c": 1, "e": 2}})),
            ("a: {{ x }}", json!(null)),
        ] {
            match document(text) {
                Ok(read) => assert_eq!(read, value, "for {text:?}"),
                Err(error) => assert!(value.is_null(), "{text:?}: {error}"),
            }
        }
    }

    #[test]
    fn empty_documents_are_left_out_and_an_error_in_a_later_one_is_an_error() {
        assert_eq!(documents("---\n# nothing\n---\na: 1\n---\n").expect("valid"), [json!({"a": 1})]);
        let error = documents("a: 1\n---\nb: [\n---\nc: 1\n").expect_err("an open bracket");
        assert!(error.position.is_some_and(|at| at.line >= 3), "{error}");
    }

    #[test]
    fn thousands_of_documents_are_read_and_too_many_are_told() {
        let many = |count| "---\na: 1\n".repeat(count);
        assert_eq!(documents(&many(10_000)).map(|documents| documents.len()), Ok(10_000));
        let error = documents(&many(50_001)).expect_err("too many");
        assert_eq!(error.message, "this is more than is read: documents: 50001");
    }

    #[test]
    fn duplicate_keys_are_refused_with_their_place() {
        let error = document("a: 1\na: 2\n").expect_err("twice");
        assert_eq!(error.to_string(), "line 2 column 1: the key `a` stands twice");
    }

    #[test]
    fn of_a_key_that_stands_twice_in_settings_the_last_counts() {
        assert_eq!(settings("a: {b: 1, b: 2}\na: {c: 3}\n").expect("settings"), json!({"a": {"c": 3}}));
        settings("a: [").expect_err("an open bracket");
    }

    #[test]
    fn alias_bombs_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let previous = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        document(&text).expect_err("10^12 scalars");
        typed::<Value>(&text).expect_err("10^12 scalars");
    }

    #[test]
    fn merge_key_bombs_are_refused_long_before_they_are_a_wait() {
        let mut text = "a0: &a0 {k0: 1}\n".to_owned();
        for level in 1..9 {
            let previous = vec![format!("*a{}", level - 1); 4].join(", ");
            text.push_str(&format!("a{level}: &a{level} {{<<: [{previous}], k{level}: *a{}}}\n", level - 1));
        }
        let error = document(&text).expect_err("some 4^9 keys");
        assert!(error.position.is_some_and(|at| at.line <= 7), "given up at {error}");
    }

    #[test]
    fn ten_thousand_objects_are_read() {
        let object =
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {a: b, c: d}\ndata: {e: f}\n---\n";
        assert_eq!(documents(&object.repeat(10_000)).expect("valid").len(), 10_000);
    }

    #[test]
    fn what_lies_too_deep_is_refused() {
        for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
            let text = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            document(&text).expect_err("deeper than any stack");
        }
    }

    #[test]
    fn numbers_that_json_has_not_are_refused_or_kept() {
        for text in ["1e999", "-1e999", ".inf", ".nan", "1e99999999999999999999"] {
            document(text).expect_err("no number in JSON");
        }
        assert_eq!(document("18446744073709551615").expect("fits"), json!(u64::MAX));
    }

    #[test]
    fn strings_that_a_yaml_1_1_reader_would_change_are_quoted() {
        for text in ["y", "n", "on", "no", "true", "0644", "1e3", "12:30:45", "~", "null", "=", "<<", "1_000", ""] {
            let emitted = emit(&json!({ "a": text }));
            let bare = emitted.trim_end() == format!("a: {text}");
            assert!(!bare, "{text:?} was emitted bare: {emitted}");
            assert_eq!(document(&emitted).expect("own output"), json!({ "a": text }));
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\n]{0,40}".prop_map(Value::from),
            Just(Value::from("y")),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-z.-]{1,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_emitted_reads_back(value in values()) {
            prop_assert_eq!(&document(&emit(&value)).expect("own output"), &value);
        }

        #[test]
        fn an_independent_reader_agrees_on_what_is_emitted(value in values()) {
            let read: Value = serde_yaml::from_str(&emit(&value)).expect("valid YAML");
            prop_assert_eq!(&read, &value);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
            let _ = documents(&text);
        }
    }
}
