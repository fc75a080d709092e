//! What a source says: one JSON object with a project's keys.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::spec::{Keys, Secret};

/// Unknown fields are somebody else's: a source may say more to others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    access_key: String,
    secret_key: Secret,
    #[serde(default)]
    expires_at: Option<String>,
}

/// Keys from a source's words. What is wrong is told without them: there may be a secret in any.
pub(super) fn read(text: &str) -> Result<Keys, String> {
    let issued: Issued = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => "it lacks `accessKey` or `secretKey`, or one is no text".to_owned(),
        _ => format!("it is no JSON object: line {} column {}", error.line(), error.column()),
    })?;
    for (name, value, least) in
        [("accessKey", issued.access_key.as_str(), 3), ("secretKey", issued.secret_key.expose(), 8)]
    {
        if value.len() < least {
            return Err(format!("`{name}` has less than {least} characters"));
        }
        if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(format!("`{name}` has spaces or control characters in it"));
        }
    }
    let expires_at = issued.expires_at.as_deref().map(seconds).transpose()?;
    Ok(Keys { access_key: issued.access_key, secret_key: issued.secret_key, expires_at })
}

fn seconds(text: &str) -> Result<u64, String> {
    let at: SystemTime =
        humantime::parse_rfc3339(text).map_err(|_| "`expiresAt` is no time such as 2026-11-26T10:00:00Z".to_owned())?;
    Ok(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_with_keys_is_read_and_what_else_it_says_is_not() {
        let text =
            r#"{"accessKey": "AKIA-x", "secretKey": "of-project-x", "expiresAt": "2013-05-24T00:00:00Z", "seal": 1}"#;
        let keys = read(text).expect("keys");
        assert_eq!((keys.access_key.as_str(), keys.secret_key.expose()), ("AKIA-x", "of-project-x"));
        assert_eq!(keys.expires_at, Some(1_369_353_600));
        let without = read(r#"{"accessKey": "AKIA-x", "secretKey": "of-project-x"}"#).expect("keys");
        assert_eq!(without.expires_at, None);
    }

    #[test]
    fn what_is_wrong_is_told_without_what_was_said() {
        let table = [
            ("", "it is no JSON object: line 1 column 0"),
            ("hush-hush", "it is no JSON object: line 1 column 1"),
            (r#"{"accessKey": "hush-hush"}"#, "it lacks `accessKey` or `secretKey`, or one is no text"),
            (r#"["hush-hush"]"#, "it lacks `accessKey` or `secretKey`, or one is no text"),
            (r#"{"accessKey": "ab", "secretKey": "hush-hush"}"#, "`accessKey` has less than 3 characters"),
            (r#"{"accessKey": "abc", "secretKey": "hush"}"#, "`secretKey` has less than 8 characters"),
            (r#"{"accessKey": "abc", "secretKey": "hush hush"}"#, "`secretKey` has spaces or control characters in it"),
            (
                r#"{"accessKey": "abc", "secretKey": "hush-hush", "expiresAt": "tomorrow"}"#,
                "`expiresAt` is no time such as 2026-11-26T10:00:00Z",
            ),
        ];
        for (text, told) in table {
            assert_eq!(read(text).map(|_| ()), Err(told.to_owned()), "{text}");
        }
    }
}
