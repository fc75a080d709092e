//! Facts about a run that a reader elsewhere needs: the machine, and the spec with its origins.

use std::thread::available_parallelism;

use serde_json::Value;

use crate::evidence::mask::Mask;
use crate::report::{About, Event, Fact};
use crate::spec::{Origin, Resolved};

/// This machine.
pub(super) fn host() -> Event {
    let mut facts = vec![Fact::new("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH))];
    facts.extend(available_parallelism().ok().map(|processors| Fact::new("processors", processors)));
    Event::Facts { about: About::Host, facts }
}

/// A spec, each key with its value and origin. Secrets are masked.
pub(super) fn spec(resolved: &Resolved) -> Event {
    let spec = Mask::default().value(serde_json::to_value(&resolved.spec).unwrap_or_default());
    let is_generated = |key: &String| resolved.provenance.get(key) == Some(&Origin::Generated);
    let fact = |key: &String| Fact {
        name: key.clone(),
        value: find(&spec, key).map_or_else(|| if is_generated(key) { "hidden" } else { "not set" }.to_owned(), shown),
        origin: resolved.provenance.get(key).map(ToString::to_string),
    };
    Event::Facts { about: About::Spec, facts: resolved.provenance.keys().map(fact).collect() }
}

/// The value of a key such as `ports.console`; a part of a key may have dots itself.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    if let Some(found) = value.get(key) {
        return Some(found);
    }
    key.match_indices('.').find_map(|(at, _)| find(value.get(&key[..at])?, &key[at + 1..]))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) if all.iter().all(|one| one.is_string() || one["id"].is_string()) => {
            let names = all.iter().filter_map(|one| one.as_str().or(one["id"].as_str()));
            names.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_found_whatever_dots_it_has() {
        let spec = json!({
            "ports": {"console": 1}, "registryMirrors": {"docker.io": ["a", "b"]}, "domains": [{"id": "d", "name": "D"}]
        });
        let of = |key| find(&spec, key).map(shown);
        assert_eq!(of("ports.console").as_deref(), Some("1"));
        assert_eq!(of("registryMirrors.docker.io").as_deref(), Some("a, b"));
        assert_eq!(of("domains").as_deref(), Some("d"));
        assert_eq!(of("ports.minio"), None);
    }
}
