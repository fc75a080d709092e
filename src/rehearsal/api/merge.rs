//! What a server-side apply does to an object, as far as one manager and plain values go: mappings merge, lists are
//! replaced, what the manager applied before and does not apply again goes away.

use serde_json::{Map, Value, json};

/// The field manager's share of an object: what it applied last.
const SHARE: &str = "fieldsV1";

/// The object after the apply, without a new resource version; equal to `live` when the apply changed nothing.
pub(crate) fn merged(live: &Value, body: &Value, manager: &str, now: &str) -> Value {
    let mut next = live.clone();
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array).cloned().unwrap_or_default();
    let (mine, mut others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry["manager"] == manager);
    if let Some(before) = mine.first() {
        withdraw(&mut next, &before[SHARE], body);
    }
    lay_over(&mut next, body);
    if mine.first().is_some_and(|before| before[SHARE] == *body) && next == *live {
        return next;
    }
    others.push(json!({"manager": manager, "operation": "Apply", "apiVersion": body["apiVersion"],
        "fieldsType": "FieldsV1", "time": now, SHARE: body}));
    next["metadata"]["managedFields"] = others.into();
    next
}

fn withdraw(live: &mut Value, before: &Value, body: &Value) {
    let (Some(live), Some(before)) = (live.as_object_mut(), before.as_object()) else { return };
    let nothing = Value::Object(Map::new());
    for (key, value) in before {
        match (body.get(key), live.get_mut(key)) {
            (None, Some(inner)) if inner.is_object() && value.is_object() => withdraw(inner, value, &nothing),
            (None, _) => drop(live.remove(key)),
            (Some(again), Some(inner)) => withdraw(inner, value, again),
            (Some(_), None) => {}
        }
    }
}

/// Lays `body` over `live`: mappings merge, anything else is replaced.
pub(crate) fn lay_over(live: &mut Value, body: &Value) {
    match (live, body) {
        (Value::Object(live), Value::Object(body)) => {
            for (key, value) in body {
                lay_over(live.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (live, body) => *live = body.clone(),
    }
}
