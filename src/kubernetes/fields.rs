//! Fields as the API records who owns them (FieldsV1), and who writes some of them.

use serde_json::Value;

/// The manager as which the dashboard writes: it replaces the Secrets that it keeps its keys in, labels and all.
pub(super) const DASHBOARD: &str = "dashboard";

/// A mapping's entries; none of anything else.
pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// What is owned of a list's element: by its keys (`k:{"name":"a"}`), or by its value (`v:"a"`).
pub(super) fn element<'a>(owned: &'a Value, item: &Value) -> Option<(Value, &'a Value)> {
    entries(owned).find_map(|(name, below)| {
        let (by, key) = name.split_once(':')?;
        let key: Value = serde_json::from_str(key).ok()?;
        let is_it = match by {
            // A key that was not applied has the API's default.
            "k" => entries(&key).all(|(key, value)| item.get(key).is_none_or(|own| own == value)),
            "v" => key == *item,
            _ => false,
        };
        is_it.then_some((key, below))
    })
}

/// An element of a list by its keys, as the API writes it: `name="a"`.
pub(super) fn told(key: &Value) -> String {
    let Some(keys) = key.as_object() else { return format!("={key}") };
    let keys: Vec<_> = match key.get("name") {
        Some(name) => vec![format!("name={name}")],
        None => keys
            .iter()
            .filter(|(_, value)| !value.is_object() && !value.is_array())
            .map(|(key, value)| format!("{key}={value}"))
            .collect(),
    };
    keys.join(",")
}
