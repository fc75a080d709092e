//! Secrets out of text and data. What is masked by mistake costs a reader a word; what is not costs a user a secret:
//! where the two cannot be told apart, it is masked.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// A known secret that is shorter would be found in ordinary words.
const KNOWN: usize = 6;

/// What is masked: what looks like a secret anywhere, and the secrets that are known.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    known: Vec<String>,
}

/// Shapes that are secrets wherever they stand.
static SHAPES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // PEM: whole; cut off at the end; cut off at the beginning. Line ends may be escaped.
        (r"(?s)-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----", MASK),
        (r"-----BEGIN [A-Z0-9 ]+-----(?:(?:\s|\\+[nr])+[A-Za-z0-9+/=]{16,})*(?:(?:\s|\\+[nr])+[A-Za-z0-9+/=]+)?", MASK),
        (r"[A-Za-z0-9+/=]*(?:(?:\s|\\+[nr])+[A-Za-z0-9+/=]{16,})*(?:(?:\s|\\+[nr])*[A-Za-z0-9+/=]+)?(?:\s|\\+[nr])*-----END [A-Z0-9 ]+-----", MASK),
        // JSON Web Tokens, and anything else that is base64 of an object.
        (r"\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)*", MASK),
        // k3s' own: K10, a hash, and a password or a bootstrap token after it.
        (r#"\bK10[0-9a-f]{16,}(?:::[^\s"'\\]+)?"#, MASK),
        (r#"(?i)\b(authorization\\*["']?\s*[:=]\s*\\*["']?(?:[a-z]+\s+)?)[^\s"'\\,]+"#, "${1}***"),
        (r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{16,}", "${1}***"),
        // A user and a password before a host.
        (r#"\b([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@:"'\\]*:[^\s/@"'\\]*@"#, "${1}***@"),
        (r#"(--(?:[a-z-]+-)?(?:token|password|secret|secret-key|access-key)\s+)[^\s"'-][^\s"']*"#, "${1}***"),
    ]
    .map(|(pattern, by)| (regex(pattern), by))
    .into()
});

/// Names of two words, which say by themselves that what follows is a secret.
const COMPOUND: &str = r"(?:[a-z0-9_.-]*(?:secret[_-]?(?:access[_-]?)?key|access[_-]?key(?:[_-]?id)?|api[_-]?key|private[_-]?key|root[_-]?pass|[_-](?:token|password|passwd|secret))|[a-z-]*(?:certificate|authority|key)(?:-[a-z]+)*-data|[a-z0-9_.-]*[a-z](?:Token|Password|Secret))";
/// The same, and single words, which are ordinary ones too.
const ANY: &str = r"[a-z0-9_.-]*(?:secret[_-]?(?:access[_-]?)?key|access[_-]?key(?:[_-]?id)?|api[_-]?key|private[_-]?key|root[_-]?pass|token|password|passwd|secret|credentials|(?:certificate|authority|key)(?:-[a-z]+)*-data)";

static NAME: LazyLock<Regex> = LazyLock::new(|| regex(&format!("^(?i:{ANY})$")));

/// A name and its value in text: the name with what stands between the two, and the value.
static PAIRS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // name = value, and a value in quotes.
        format!(r#"(?i)(\b{ANY}\\*["']?\s*=\s*)(\\+"[^"\\]*|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|[^\s"'][^\s"']*)"#),
        format!(r#"(?i)(\b{ANY}\\*["']?\s*:\s*)(\\+"[^"\\]*|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?)"#),
        // A block of YAML: its first line.
        format!(r"(?im)(^[\s-]*{ANY}:[ \t]*[|>][-+0-9]*[ \t]*\n[ \t]*)([^\n]+)"),
        // A line of YAML, or a place within {…}. In the middle of a sentence an ordinary word is no name.
        format!(r#"(?im)(^[ \t-]*\\*["']?{ANY}\\*["']?:[ \t]+)([^\s"'|>{{\[][^\n]*)"#),
        format!(r#"(?i)([{{,]\s*\\*["']?{ANY}\\*["']?:[ \t]*)([^\s"'{{\[][^\s"',}}]*)"#),
        format!(r#"(?i)(\b{COMPOUND}:[ \t]*)([^\s"'{{\[|>][^\s"']*)"#),
        format!(r#"(?i)(\b{ANY}:)([^\s"'{{\[:/][^\s"']*)"#),
    ]
    .map(|pattern| regex(&pattern))
    .into()
});

fn regex(pattern: &str) -> Regex {
    #[expect(clippy::unwrap_used, reason = "the patterns are constants, and a test compiles each")]
    Regex::new(pattern).unwrap()
}

/// Whether any of the shapes and pairs could be in a text: most of what a run says is plain words, and there is much of it.
fn may_have_a_secret(text: &str) -> bool {
    let has = |word: &[u8]| text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    text.contains(['=', ':']) || [&b"--"[..], b"eyJ", b"K10", b"bearer", b"authorization"].into_iter().any(has)
}

impl Mask {
    /// A mask that also knows these secrets.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut known = Vec::new();
        for secret in secrets.into_iter().filter(|secret| secret.len() >= KNOWN) {
            let escaped = Value::String(secret.clone()).to_string();
            known.push(escaped[1..escaped.len() - 1].to_owned());
            known.push(secret);
        }
        // One secret may be part of another.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        known.dedup();
        Self { known }
    }

    /// Text without secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut text = self.without_known(text);
        if !may_have_a_secret(&text) {
            return text;
        }
        for (shape, by) in SHAPES.iter() {
            text = shape.replace_all(&text, *by).into_owned();
        }
        for pair in PAIRS.iter() {
            text = pair.replace_all(&text, masked_pair).into_owned();
        }
        text
    }

    fn without_known(&self, text: &str) -> String {
        self.known.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }

    /// Data without secrets: values by their keys, a variable's by its name, a flag's by the flag before it, a Secret's
    /// all; and every text as text.
    #[must_use]
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let is_secret = map.get("kind").is_some_and(|kind| kind == "Secret");
                let names_a_secret = map.get("name").and_then(Value::as_str).is_some_and(|name| NAME.is_match(name));
                let masked = map.into_iter().map(|(key, value)| {
                    let all = is_secret && ["data", "stringData"].contains(&key.as_str());
                    let value = match value {
                        value if all => self.hide_all(value),
                        value if NAME.is_match(&key) || names_a_secret && key == "value" => self.hide(value),
                        value => self.value(value),
                    };
                    (self.without_known(&key), value)
                });
                Value::Object(masked.collect())
            }
            Value::Array(items) => {
                let mut after_flag = false;
                let masked = items.into_iter().map(|item| {
                    let hidden = after_flag;
                    let flag = item.as_str().and_then(|text| text.strip_prefix("--"));
                    after_flag = flag.is_some_and(|name| NAME.is_match(name));
                    if hidden { self.hide(item) } else { self.value(item) }
                });
                Value::Array(masked.collect())
            }
            Value::String(text) => match text.split_once('=') {
                Some((name, value)) if !value.is_empty() && NAME.is_match(name) => {
                    format!("{}={MASK}", self.without_known(name)).into()
                }
                _ => self.text(&text).into(),
            },
            Value::Number(number) if self.known.contains(&number.to_string()) => MASK.into(),
            other => other,
        }
    }

    /// A secret's value; what is no text (a reference, a switch) is none.
    fn hide(&self, value: Value) -> Value {
        match value {
            Value::String(text) if !text.is_empty() => MASK.into(),
            Value::Number(_) => MASK.into(),
            other => self.value(other),
        }
    }

    fn hide_all(&self, value: Value) -> Value {
        match value {
            Value::Object(map) => map.into_iter().map(|(key, _)| (self.without_known(&key), MASK)).collect(),
            _ => MASK.into(),
        }
    }
}

/// The pair with its value masked in its quotes. What cannot be a secret (nothing, a switch, a mask) stays.
fn masked_pair(pair: &Captures<'_>) -> String {
    let (name, value) = (&pair[1], &pair[2]);
    let bare = value.trim_matches(['"', '\'', '\\', ' ', ',', ';', '}', ']', ')']);
    if bare.is_empty() || ["true", "false", "null", "nil", "~", "<nil>"].contains(&bare) || bare == MASK {
        return pair[0].to_owned();
    }
    let escapes = value.len() - value.trim_start_matches('\\').len();
    match &value[escapes..] {
        rest if rest.starts_with('"') => {
            // An escaped end quote comes after this match; a plain one belongs to it.
            let end = if escapes == 0 && rest.len() > 1 && rest.ends_with('"') { "\"" } else { "" };
            format!("{name}{}\"{MASK}{end}", &value[..escapes])
        }
        rest if rest.starts_with('\'') => format!("{name}'{MASK}'"),
        _ => format!("{name}{MASK}"),
    }
}

#[cfg(test)]
mod tests;
