//! The difference between two sets of objects. Computed from outside a transform, so that none can hide what it did.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::config::is_yaml;
use crate::manifest::{Object, ObjectRef};
use crate::yaml;

/// What a transform did to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The transform's name.
    pub transform: &'static str,
    /// Why there is such a transform.
    pub why: &'static str,
    /// The object, as it is afterwards if it still is.
    pub object: ObjectRef,
    /// What.
    pub what: What,
}

/// What was done to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It was not there before.
    Added,
    /// It is there no longer.
    Removed,
    /// It is another.
    Edited {
        /// Where: keys joined by dots, and into the YAML files of a ConfigMap:
        /// `data[core.yaml].propeller.limit-namespace`.
        paths: Vec<String>,
    },
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added => f.write_str("added"),
            Self::Removed => f.write_str("removed"),
            Self::Edited { paths } => f.write_str(&paths.join(", ")),
        }
    }
}

/// What turns `before` into `after`. An object that merely moved to another namespace or API version counts as edited.
pub(super) fn between<'a>(before: &'a [Object], after: &'a [Object]) -> Vec<(ObjectRef, What)> {
    // Most of thousands stay as and where they are, and need not be looked for.
    let kept: Vec<bool> = before.iter().zip(after).map(|(old, new)| old == new).collect();
    let rest =
        |all: &'a [Object]| all.iter().enumerate().filter(|(at, _)| kept.get(*at) != Some(&true)).map(|(_, one)| one);
    let mut old: BTreeMap<ObjectRef, &Object> = rest(before).map(|object| (object.reference(), object)).collect();
    let mut changes = Vec::new();
    let mut unmatched = Vec::new();
    for object in rest(after) {
        match old.remove(&object.reference()) {
            Some(same) => changes.extend(edited(same, object)),
            None => unmatched.push(object),
        }
    }
    for object in unmatched {
        let moved = old.values().find(|old| old.is(object.kind(), object.name())).map(|old| old.reference());
        match moved.and_then(|reference| old.remove(&reference)) {
            Some(was) => changes.extend(edited(was, object)),
            None => changes.push((object.reference(), What::Added)),
        }
    }
    changes.extend(old.into_keys().map(|reference| (reference, What::Removed)));
    changes.sort_by(|(a, _), (b, _)| a.cmp(b));
    changes
}

fn edited(before: &Object, after: &Object) -> Option<(ObjectRef, What)> {
    let mut paths = Vec::new();
    differences(before.value(), after.value(), "", &mut paths);
    (!paths.is_empty()).then(|| (after.reference(), What::Edited { paths }))
}

/// The paths at which two values differ.
pub(super) fn differences(before: &Value, after: &Value, path: &str, paths: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                let (old, new) = (before.get(key), after.get(key));
                // Most is equal, in thousands of objects: its path is not worth writing.
                if old == new {
                    continue;
                }
                let inner = join(path, &segment(key));
                match (old, new) {
                    (Some(Value::String(old)), Some(Value::String(new))) if is_yaml(key) => {
                        match (yaml::settings(old), yaml::settings(new)) {
                            (Ok(old), Ok(new)) if old != new => differences(&old, &new, &inner, paths),
                            _ => paths.push(inner),
                        }
                    }
                    (Some(old), Some(new)) => differences(old, new, &inner, paths),
                    _ => paths.push(inner),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (old, new)) in before.iter().zip(after).enumerate() {
                differences(old, new, &format!("{path}[{index}]"), paths);
            }
        }
        _ if before == after => {}
        _ => paths.push(path.to_owned()),
    }
}

/// A key as part of a path; one with a dot in it stands in brackets.
pub(super) fn segment(key: &str) -> String {
    if key.contains('.') { format!("[{key}]") } else { key.to_owned() }
}

/// Two parts of a path.
pub(super) fn join(path: &str, rest: &str) -> String {
    let dot = if path.is_empty() || rest.is_empty() || rest.starts_with('[') { "" } else { "." };
    format!("{path}{dot}{rest}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(namespace: &str, name: &str, data: &Value) -> Object {
        let metadata = json!({"name": name, "namespace": namespace});
        Object::new(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))
            .expect("an object")
    }

    #[test]
    fn a_difference_is_told_down_to_the_setting() {
        let before = [
            object("a", "moved", &json!({"c.yaml": "p: {x: 1, y: 2}", "t": "1"})),
            object("a", "gone", &json!({})),
            object("a", "same", &json!({})),
        ];
        let after = [
            object("b", "moved", &json!({"c.yaml": "p: {x: 3, y: 2}\n", "u": "1"})),
            object("a", "new", &json!({})),
            object("a", "same", &json!({})),
        ];
        let changes: Vec<_> = between(&before, &after).into_iter().map(|(o, what)| (o.name, what)).collect();
        let paths = ["metadata.namespace", "data[c.yaml].p.x", "data.t", "data.u"].map(str::to_owned).to_vec();
        assert_eq!(
            changes,
            [
                ("gone".to_owned(), What::Removed),
                ("new".to_owned(), What::Added),
                ("moved".to_owned(), What::Edited { paths })
            ]
        );
    }
}
