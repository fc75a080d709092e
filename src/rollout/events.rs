//! Kubernetes events about an object: what the cluster itself says it did or could not do.

use serde_json::Value;

/// Text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// A count at a JSON pointer; absent and negative ones are 0, as in Kubernetes' own encoding.
pub(crate) fn count(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// The elements at a JSON pointer.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// When the event was last seen, as RFC 3339 text, which sorts by time.
fn seen(event: &Value) -> &str {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    times.iter().find_map(|pointer| text(event, pointer)).unwrap_or_default()
}

/// The events about an object, oldest first. Where both sides tell a uid, it decides; an earlier object of the same
/// name has events of its own.
pub(crate) fn about<'a>(events: &[&'a Value], object: &Value) -> Vec<&'a Value> {
    let (name, uid) = (text(object, "/metadata/name"), text(object, "/metadata/uid"));
    let is_about = |event: &Value| match (text(event, "/involvedObject/uid"), uid) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => name.is_some() && text(event, "/involvedObject/name") == name,
    };
    let mut found: Vec<_> = events.iter().copied().filter(|event| is_about(event)).collect();
    found.sort_by_key(|event| seen(event));
    found
}

/// The message of the last event that has one of these reasons and says what is `wanted`.
pub(crate) fn last<'a>(events: &[&'a Value], reasons: &[&str], wanted: impl Fn(&&str) -> bool) -> Option<&'a str> {
    let newest_first = events.iter().rev();
    let right = newest_first.filter(|event| text(event, "/reason").is_some_and(|reason| reasons.contains(&reason)));
    right.filter_map(|event| text(event, "/message")).find(|said| wanted(said))
}

/// The last events, one line each, oldest first; the same words once.
pub(crate) fn tail(events: &[&Value]) -> Vec<String> {
    const MOST: usize = 5;
    let mut lines: Vec<_> = events.iter().map(|event| line(event)).collect();
    lines.dedup();
    lines.split_off(lines.len().saturating_sub(MOST))
}

/// One line for an event, such as `Failed: Failed to pull image "x" (3 times)`.
fn line(event: &Value) -> String {
    let said = one_line(text(event, "/message").unwrap_or_default());
    let reason = text(event, "/reason").unwrap_or("Event");
    match count(event, "/count") {
        0 | 1 => format!("{reason}: {said}"),
        times => format!("{reason}: {said} ({times} times)"),
    }
}

/// Text on one line, cut where it stops being readable.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", flat.get(..end).unwrap_or_default()),
        None => flat,
    }
}
