//! Names, labels and annotations: which the API takes, and its words for those that it refuses.

use serde_json::Value;

use super::{Check, text};

/// What a name must be.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// `my-name`.
    Label,
    /// `my-name` that begins with a letter, as a Service's.
    Label1035,
    /// `example.com`.
    Subdomain,
    /// Anything that may stand in a path, as the names of Roles.
    Path,
}

/// Checks a name.
pub(super) fn name(name: &str, form: Form, at: &str) -> Check {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label =
        |part: &str| part.starts_with(inner) && part.ends_with(inner) && part.chars().all(|c| inner(c) || c == '-');
    let (valid, longest, must) = match form {
        Form::Label => (
            is_label(name),
            63,
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end \
             with an alphanumeric character",
        ),
        Form::Label1035 => (
            is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()),
            63,
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
        ),
        Form::Subdomain => (
            name.split('.').all(is_label),
            253,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
             and end with an alphanumeric character",
        ),
        Form::Path => (!name.contains(['/', '%']) && name != "." && name != "..", 253, "may not contain '/' or '%'"),
    };
    if name.len() > longest {
        return Err(format!("{at}: Invalid value: \"{name}\": must be no more than {longest} characters"));
    }
    if valid { Ok(()) } else { Err(format!("{at}: Invalid value: \"{name}\": {must}")) }
}

/// Checks the name, the labels and the annotations of an object.
pub(super) fn metadata(object: &Value) -> Check {
    let metadata = &object["metadata"];
    let form = match text(&object["kind"]) {
        "Service" => Form::Label1035,
        "Namespace" => Form::Label,
        "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => Form::Path,
        _ => Form::Subdomain,
    };
    name(text(&metadata["name"]), form, "metadata.name")?;
    labels(&metadata["labels"], "metadata.labels")?;
    for key in metadata["annotations"].as_object().into_iter().flatten().map(|(key, _)| key) {
        qualified(key, "metadata.annotations")?;
    }
    Ok(())
}

/// Checks keys and values of labels, or of a selector.
pub(super) fn labels(labels: &Value, at: &str) -> Check {
    for (key, value) in labels.as_object().into_iter().flatten() {
        qualified(key, at)?;
        let value = text(value);
        if value.len() > 63 {
            return Err(format!("{at}: Invalid value: \"{value}\": must be no more than 63 characters"));
        }
        if !value.is_empty() && !is_label_text(value) {
            return Err(format!(
                "{at}: Invalid value: \"{value}\": a valid label must be an empty string or consist of alphanumeric \
                 characters, '-', '_' or '.', and must start and end with an alphanumeric character"
            ));
        }
    }
    Ok(())
}

fn qualified(key: &str, at: &str) -> Check {
    let last = key.rsplit_once('/').map_or(key, |(_, last)| last);
    if last.len() > 63 {
        return Err(format!("{at}: Invalid value: \"{key}\": name part must be no more than 63 characters"));
    }
    if is_label_text(last) {
        return Ok(());
    }
    Err(format!(
        "{at}: Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character"
    ))
}

fn is_label_text(text: &str) -> bool {
    let end = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(end) && text.ends_with(end) && text.chars().all(|c| end(c) || matches!(c, '-' | '_' | '.'))
}

/// Checks the name of a port, which DNS has services by.
pub(super) fn port_name(name: &str, at: &str) -> Check {
    let told = |must: &str| Err(format!("{at}: Invalid value: \"{name}\": {must}"));
    if name.len() > 15 {
        return told("must be no more than 15 characters");
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return told("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !name.chars().any(|c| c.is_ascii_lowercase()) {
        return told("must contain at least one letter or number (a-z, 0-9)");
    }
    Ok(())
}

/// Checks that a value is one of those that the API knows.
pub(super) fn one_of(value: &Value, known: &[&str], at: &str) -> Check {
    if value.is_null() || value.as_str().is_some_and(|value| known.contains(&value)) {
        return Ok(());
    }
    let known: Vec<String> = known.iter().map(|one| format!("\"{one}\"")).collect();
    Err(format!("{at}: Unsupported value: {value}: supported values: {}", known.join(", ")))
}

/// Checks that a port is one.
pub(super) fn port_number(value: &Value, at: &str) -> Check {
    match value.as_i64() {
        Some(number) if !(1..=65535).contains(&number) => {
            Err(format!("{at}: Invalid value: {number}: must be between 1 and 65535, inclusive"))
        }
        _ => Ok(()),
    }
}
