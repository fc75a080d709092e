//! Edits that several transforms make.

use serde_json::Value;

/// Sets a key of a mapping; anything else is left as it is, for Kubernetes to refuse.
pub(super) fn put(value: &mut Value, key: &str, new: impl Into<Value>) {
    if let Some(map) = value.as_object_mut() {
        map.insert(key.to_owned(), new.into());
    }
}

/// Makes a container the first init container of a pod. One of that name keeps what is not given, such as its image,
/// which has its own transform.
pub(super) fn put_init_container(pod: &mut Value, container: Value) {
    if !pod["initContainers"].is_array() {
        put(pod, "initContainers", Value::Array(Vec::new()));
    }
    let Some(containers) = pod.get_mut("initContainers").and_then(Value::as_array_mut) else { return };
    let given = containers.iter().position(|one| one["name"] == container["name"]).map(|at| containers.remove(at));
    let mut merged = container;
    if let (Some(Value::Object(given)), Value::Object(merged)) = (given, &mut merged) {
        for (key, value) in given {
            if key == "image" || !merged.contains_key(&key) {
                merged.insert(key, value);
            }
        }
    }
    containers.insert(0, merged);
}

/// Sets a variable of a container, by its name.
pub(super) fn put_variable(container: &mut Value, variable: Value) {
    put_named(container, "env", variable);
}

/// Sets an item of a list in a mapping, by its name.
pub(super) fn put_named(value: &mut Value, list: &str, item: Value) {
    if !value[list].is_array() {
        put(value, list, Value::Array(Vec::new()));
    }
    let Some(items) = value.get_mut(list).and_then(Value::as_array_mut) else { return };
    match items.iter_mut().find(|given| given["name"] == item["name"]) {
        Some(given) => *given = item,
        None => items.push(item),
    }
}

/// The words of a container's command and arguments; of a shell's line too.
pub(super) fn words(container: &Value) -> impl Iterator<Item = &str> {
    let words = ["command", "args"].into_iter().filter_map(|list| container.get(list)?.as_array()).flatten();
    words.filter_map(Value::as_str).flat_map(str::split_ascii_whitespace)
}

/// The value of a container's flag: `--flag=value` or `--flag value`.
pub(super) fn flag_value<'a>(container: &'a Value, flag: &str) -> Option<&'a str> {
    let words: Vec<&str> = words(container).collect();
    let inline = words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
    inline.or_else(|| words.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1]))
}
