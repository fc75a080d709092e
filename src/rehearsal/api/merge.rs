//! Server-side apply, as far as plain values go: mappings merge, lists are replaced whole, what
//! the manager applied before and does not apply again goes away, and what another applied is not changed unasked.

use serde_json::{Map, Value, json};

/// The fields that a manager applied last, in the API's own notation: `f:` before each key, nothing below a value or a list.
const FIELDS: &str = "fieldsV1";
/// Fields that identify an object and have no owner.
const IDENTITY: [&str; 2] = ["apiVersion", "kind"];

/// The object after the apply, without a new resource version; equal to `live` when the apply changed nothing.
pub(super) fn merged(live: &Value, body: &Value, manager: &str, now: &str) -> Value {
    let mut next = live.clone();
    let (mine, mut others): (Vec<_>, Vec<_>) = entries(live).iter().cloned().partition(|entry| is_of(entry, manager));
    let fields = owned(body);
    if let Some(before) = mine.first() {
        let theirs: Vec<_> = others.iter().map(|entry| &entry[FIELDS]).collect();
        withdraw(&mut next, &before[FIELDS], body, &theirs);
    }
    overlay(&mut next, body);
    if mine.first().is_some_and(|before| before[FIELDS] == fields) && next == *live {
        return next;
    }
    for other in &mut others {
        give_up(&mut other[FIELDS], &fields, live, body);
    }
    others.push(json!({"manager": manager, "operation": "Apply", "apiVersion": body["apiVersion"],
        "fieldsType": "FieldsV1", "time": now, FIELDS: fields}));
    next["metadata"]["managedFields"] = others.into();
    next
}

/// The object after a write that is no apply, from `live` to `next`: what it changed or added is the manager's from then on, and
/// what it changed or removed is nobody else's.
pub(super) fn updated(live: &Value, mut next: Value, manager: &str, now: &str) -> Value {
    let mut changed = changed(live, &next);
    if let Some(top) = changed.as_object_mut() {
        top.remove("f:status");
        if let Some(metadata) = top.get_mut("f:metadata").and_then(Value::as_object_mut) {
            metadata.retain(|key, _| matches!(key.as_str(), "f:labels" | "f:annotations" | "f:finalizers"));
        }
        top.retain(|key, inner| key != "f:metadata" || !is_leaf(inner));
    }
    let mut all = entries(live).to_vec();
    for entry in &mut all {
        let own = entry["manager"] == manager && entry["operation"] == "Update";
        if own {
            overlay(&mut entry[FIELDS], &changed);
        } else {
            lose_changed(&mut entry[FIELDS], live, &next);
        }
    }
    let is_new = !all.iter().any(|entry| entry["manager"] == manager && entry["operation"] == "Update");
    if is_new && !is_leaf(&changed) {
        all.push(json!({"manager": manager, "operation": "Update", "apiVersion": next["apiVersion"],
            "fieldsType": "FieldsV1", "time": now, FIELDS: changed}));
    }
    all.retain(|entry| !is_leaf(&entry[FIELDS]));
    if !all.is_empty() {
        next["metadata"]["managedFields"] = all.into();
    }
    next
}

/// The fields that are in `next` and are not the same in `live`.
fn changed(live: &Value, next: &Value) -> Value {
    let mut found = Map::new();
    for (key, value) in next.as_object().into_iter().flatten() {
        match live.get(key) {
            Some(before) if before == value => {}
            Some(before) if before.is_object() && value.is_object() => {
                let below = changed(before, value);
                if !is_leaf(&below) {
                    found.insert(format!("f:{key}"), below);
                }
            }
            _ => drop(found.insert(format!("f:{key}"), fields(value))),
        }
    }
    Value::Object(found)
}

/// Removes from a share the fields that are not the same any more.
fn lose_changed(share: &mut Value, live: &Value, next: &Value) {
    let Some(owned) = share.as_object_mut() else { return };
    owned.retain(|key, below| {
        let Some(name) = key.strip_prefix("f:") else { return true };
        if is_leaf(below) {
            return live[name] == next[name];
        }
        lose_changed(below, &live[name], &next[name]);
        !is_leaf(below)
    });
}

/// Conflicts with other managers' values: manager and field, such as `.spec.replicas`.
pub(super) fn conflicts(live: &Value, body: &Value, manager: &str) -> Vec<(String, String)> {
    let others = entries(live).iter().filter(|entry| !is_of(entry, manager));
    let found = others.flat_map(|entry| {
        let mut paths = Vec::new();
        clashes(&entry[FIELDS], live, body, "", &mut paths);
        let name = entry["manager"].as_str().unwrap_or_default().to_owned();
        paths.into_iter().map(move |path| (name.clone(), path))
    });
    found.collect()
}

/// Merges `body` into `live`: mappings merge, anything else is replaced.
pub(crate) fn overlay(live: &mut Value, body: &Value) {
    match (live, body) {
        (Value::Object(live), Value::Object(body)) => {
            for (key, value) in body {
                overlay(live.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (live, body) => *live = body.clone(),
    }
}

fn entries(live: &Value) -> &[Value] {
    live.pointer("/metadata/managedFields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn is_of(entry: &Value, manager: &str) -> bool {
    entry["manager"] == manager && entry["operation"] == "Apply"
}

fn owned(body: &Value) -> Value {
    let mut all = fields(body);
    if let Some(top) = all.as_object_mut() {
        top.retain(|key, _| !IDENTITY.iter().any(|own| key.strip_prefix("f:") == Some(own)));
        if let Some(metadata) = top.get_mut("f:metadata").and_then(Value::as_object_mut) {
            metadata.retain(|key, _| key != "f:name" && key != "f:namespace");
        }
        top.retain(|key, inner| key != "f:metadata" || inner.as_object().is_some_and(|map| !map.is_empty()));
    }
    all
}

fn fields(value: &Value) -> Value {
    let within =
        |map: &Map<String, Value>| map.iter().map(|(key, value)| (format!("f:{key}"), fields(value))).collect();
    Value::Object(value.as_object().map(within).unwrap_or_default())
}

/// Each field of a share: its key, and what is below it.
fn each(share: &Value) -> impl Iterator<Item = (&str, &Value)> {
    share.as_object().into_iter().flatten().filter_map(|(key, below)| Some((key.strip_prefix("f:")?, below)))
}

fn is_leaf(below: &Value) -> bool {
    below.as_object().is_none_or(Map::is_empty)
}

/// Removes fields that were applied before and are not applied now, unless others applied them too.
fn withdraw(live: &mut Value, before: &Value, body: &Value, others: &[&Value]) {
    let Some(live) = live.as_object_mut() else { return };
    for (key, below) in each(before) {
        let theirs: Vec<_> = others.iter().filter_map(|share| share.get(format!("f:{key}"))).collect();
        match (body.get(key), live.get_mut(key)) {
            (None, Some(inner)) if inner.is_object() && !is_leaf(below) => {
                withdraw(inner, below, &Value::Null, &theirs);
            }
            (None, _) if theirs.is_empty() => drop(live.remove(key)),
            (Some(again), Some(inner)) => withdraw(inner, below, again, &theirs),
            (None, _) | (Some(_), None) => {}
        }
    }
}

fn clashes(share: &Value, live: &Value, body: &Value, at: &str, found: &mut Vec<String>) {
    for (key, below) in each(share) {
        let Some(wanted) = body.get(key) else { continue };
        let path = format!("{at}.{key}");
        match is_leaf(below) {
            true if live[key] != *wanted => found.push(path),
            true => {}
            false => clashes(below, &live[key], wanted, &path, found),
        }
    }
}

/// Removes from another manager's fields those that are forced to a new value.
fn give_up(share: &mut Value, taken: &Value, live: &Value, body: &Value) {
    let Some(fields) = share.as_object_mut() else { return };
    fields.retain(|key, below| {
        let (Some(taken), Some(name)) = (taken.get(key), key.strip_prefix("f:")) else { return true };
        if is_leaf(below) {
            return live[name] == body[name];
        }
        give_up(below, taken, &live[name], &body[name]);
        !is_leaf(below)
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{conflicts, merged, updated};

    const NOW: &str = "2021-06-01T00:00:00Z";

    #[test]
    fn what_is_not_applied_again_goes_and_what_others_own_stays() {
        let live = merged(&json!({}), &json!({"data": {"a": "1", "b": "1"}}), "one", NOW);
        let live = merged(&live, &json!({"data": {"c": "1"}}), "other", NOW);
        let live = merged(&live, &json!({"data": {"a": "2"}}), "one", NOW);
        assert_eq!(live["data"], json!({"a": "2", "c": "1"}));
        assert_eq!(merged(&live, &json!({"data": {"a": "2"}}), "one", "later"), live, "nothing new");
    }

    #[test]
    fn another_managers_value_is_a_conflict_and_forced_it_changes_hands() {
        let live = merged(&json!({}), &json!({"spec": {"replicas": 1, "paused": true}}), "one", NOW);
        let same = json!({"spec": {"replicas": 1}});
        assert_eq!(conflicts(&live, &same, "other"), []);
        let body = json!({"spec": {"replicas": 2}});
        assert_eq!(conflicts(&live, &body, "other"), [("one".to_owned(), ".spec.replicas".to_owned())]);
        assert_eq!(conflicts(&live, &body, "one"), []);
        let forced = merged(&live, &body, "other", NOW);
        assert_eq!(forced["spec"], json!({"replicas": 2, "paused": true}));
        assert_eq!(conflicts(&forced, &json!({"spec": {"replicas": 3}}), "one")[0].0, "other");
        assert_eq!(conflicts(&forced, &json!({"spec": {"paused": false}}), "other")[0].0, "one");
    }

    #[test]
    fn an_update_takes_what_it_changes_and_nobody_owns_what_it_removes() {
        let body = json!({"metadata": {"labels": {"a": "b"}}, "data": {"a": "1", "b": "1", "c": "1"}});
        let live = merged(&json!({}), &body, "one", NOW);
        let mut next = live.clone();
        next["data"] = json!({"a": "2", "b": "1", "d": "1"});
        let after = updated(&live, next, "kubectl-edit", NOW);
        let owned = |index: usize| after["metadata"]["managedFields"][index]["fieldsV1"].clone();
        assert_eq!(owned(0), json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:data": {"f:b": {}}}));
        assert_eq!(owned(1), json!({"f:data": {"f:a": {}, "f:d": {}}}));
        assert_eq!(merged(&after, &body, "one", NOW)["data"], json!({"a": "1", "b": "1", "c": "1", "d": "1"}));
        let mut status = live.clone();
        status["status"] = json!({"replicas": 1});
        assert_eq!(updated(&live, status, "k3s", NOW)["metadata"], live["metadata"], "a status is another resource's");
    }

    #[test]
    fn what_names_an_object_is_owned_by_nobody() {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"a": "b"}}});
        let live = merged(&json!({}), &body, "one", NOW);
        let fields = &live["metadata"]["managedFields"][0]["fieldsV1"];
        assert_eq!(*fields, json!({"f:metadata": {"f:labels": {"f:a": {}}}}));
    }
}
