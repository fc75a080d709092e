//! Where a namespace can stand in a value: under a key that says so, in an argument or variable that says so, or in
//! the DNS name of a Service. A textual replacement would hit labels, API groups and database names as well.

use std::collections::BTreeSet;

use serde_json::Value;

use super::config::Config;
use super::error::RenderError;
use crate::manifest::Object;

/// The label that Kubernetes gives every namespace.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// Renames a namespace wherever one can stand.
pub(super) struct Move<'a> {
    /// The namespace as it is written.
    pub(super) from: &'a str,
    /// The namespace it becomes.
    pub(super) to: &'a str,
    /// The Services in it, whose names may be followed by the namespace alone (`minio.flyte:9000`).
    pub(super) services: &'a BTreeSet<String>,
}

impl Move<'_> {
    /// Renames within an object and within the YAML files it carries.
    pub(super) fn object(&self, object: &mut Object) -> Result<(), RenderError> {
        if object.kind() == "ConfigMap" {
            let mut config = Config::open(object)?;
            config.each(|file| self.value(file));
            for (name, value) in object.get_mut("/data").and_then(Value::as_object_mut).into_iter().flatten() {
                if !config.has(name) {
                    self.value(value);
                }
            }
            config.close(object);
            let metadata = object.get_mut("/metadata");
            metadata.map(|metadata| self.value(metadata));
        } else if object.kind() != "CustomResourceDefinition" {
            self.value(object.value_mut());
        }
        Ok(())
    }

    /// Renames within a value; says whether anything changed.
    fn value(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => {
                let mut changed = false;
                for rename in [Self::dns, Self::argument, Self::words] {
                    if let Some(renamed) = rename(self, text) {
                        *text = renamed;
                        changed = true;
                    }
                }
                changed
            }
            Value::Array(items) => {
                let mut changed = false;
                let mut flagged = false;
                for item in items {
                    changed |= if flagged { self.name(item) } else { self.value(item) };
                    flagged = item.as_str().is_some_and(|flag| flag.starts_with('-') && is_namespace_key(flag));
                }
                changed
            }
            Value::Object(map) => {
                let variable = map.get("name").and_then(Value::as_str).is_some_and(is_namespace_key);
                // Of a selector: the label that every namespace has with its own name.
                let labelled = map.get("key").and_then(Value::as_str) == Some(NAMESPACE_LABEL);
                let mut changed = false;
                for (key, value) in map {
                    changed |= match value {
                        Value::String(_) if key == NAMESPACE_LABEL => self.name(value),
                        Value::String(_) if is_namespace_key(key) || (variable && key == "value") => self.name(value),
                        Value::Array(items)
                            if matches!(key.as_str(), "namespaces" | "matchNames") || (labelled && key == "values") =>
                        {
                            items.iter_mut().fold(false, |any, item| self.name(item) | any)
                        }
                        _ => self.value(value),
                    };
                }
                changed
            }
            _ => false,
        }
    }

    fn name(&self, value: &mut Value) -> bool {
        let found = value.as_str() == Some(self.from);
        if found {
            *value = Value::from(self.to);
        }
        found
    }

    fn argument(&self, text: &str) -> Option<String> {
        let (flag, value) = text.split_once('=')?;
        let found = flag.starts_with('-') && is_namespace_key(flag) && value == self.from;
        found.then(|| format!("{flag}={}", self.to))
    }

    /// Where scripts, JSON and TOML say that it is one (`-n flyte`, `"namespace": "flyte"`), and in an identity
    /// (`ns/flyte/sa/…`, `system:serviceaccount:flyte:…`).
    fn words(&self, text: &str) -> Option<String> {
        let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let mut renamed = String::new();
        let mut copied = 0;
        for (at, _) in text.match_indices(self.from) {
            let (before, after) = (&text[..at], &text[at + self.from.len()..]);
            if before.ends_with(in_name) || after.starts_with(in_name) || at < copied {
                continue;
            }
            let word =
                before.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '=' | ':' | '\\'));
            let separated = word.len() < before.len();
            let keyed = separated && word.rsplit(|c: char| !in_name(c)).next().is_some_and(is_namespace_key);
            let spaced = separated && before[word.len()..].chars().all(char::is_whitespace);
            let flagged = spaced && word.ends_with("-n") && !word[..word.len() - 2].ends_with(in_name);
            let identity = (before.ends_with("ns/") || before.ends_with("/namespaces/")) && after.starts_with('/')
                || before.ends_with("system:serviceaccount:")
                || before.ends_with("system:serviceaccounts:");
            if keyed || flagged || identity {
                renamed.push_str(&text[copied..at]);
                renamed.push_str(self.to);
                copied = at + self.from.len();
            }
        }
        renamed.push_str(&text[copied..]);
        (copied > 0).then_some(renamed)
    }

    fn dns(&self, text: &str) -> Option<String> {
        let places = dns_names(text, self.from, self.services);
        let mut renamed = text.to_owned();
        for at in places.iter().rev() {
            renamed.replace_range(*at..at + self.from.len(), self.to);
        }
        (!places.is_empty()).then_some(renamed)
    }
}

/// Whether a key, variable or flag says that its value is a namespace.
pub(super) fn is_namespace_key(key: &str) -> bool {
    const WORD: &str = "namespace";
    let Some((stem, word)) = key.len().checked_sub(WORD.len()).and_then(|at| key.split_at_checked(at)) else {
        return false;
    };
    word.eq_ignore_ascii_case(WORD) && (stem.is_empty() || stem.ends_with(['-', '_']) || word.starts_with('N'))
}

/// Where in a text a namespace stands in the DNS name of a Service: `<service>.<namespace>.svc` with any Service, or
/// `<service>.<namespace>` alone with one of those named.
pub(super) fn dns_names(text: &str, namespace: &str, services: &BTreeSet<String>) -> Vec<usize> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let found = text.match_indices(namespace).filter(|(at, _)| {
        let (before, after) = (&text[..*at], &text[at + namespace.len()..]);
        let Some(before) = before.strip_suffix('.') else { return false };
        let start = before
            .rfind(|c: char| !in_name(c))
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let service = &before[start..];
        let qualified =
            after.strip_prefix(".svc").is_some_and(|rest| !rest.starts_with(|c: char| in_name(c) && c != '.'));
        let bare = !after.starts_with(in_name) && services.contains(service);
        // Kubernetes' own Service stays where it is.
        let api = namespace == "default" && service == "kubernetes";
        !api && !service.is_empty() && !service.contains('.') && (qualified || bare)
    });
    found.map(|(at, _)| at).collect()
}

/// The Services of a namespace that a text names in full: `<service>.<namespace>.svc`.
pub(super) fn services_in<'a>(text: &'a str, namespace: &str) -> Vec<&'a str> {
    let places = dns_names(text, namespace, &BTreeSet::new());
    let service = |at: usize| {
        let before = text[..at].strip_suffix('.')?;
        before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '-').next()
    };
    places.into_iter().filter_map(service).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_namespace_positions_are_renamed() {
        let services = BTreeSet::from(["minio".to_owned()]);
        let relocation = Move { from: "flyte", to: "S", services: &services };
        for (before, after) in [
            (json!({"namespace": "flyte"}), json!({"namespace": "S"})),
            (json!({"configmap-namespace": "flyte"}), json!({"configmap-namespace": "S"})),
            (json!({"namespaces": ["flyte", "a"]}), json!({"namespaces": ["S", "a"]})),
            (json!({"name": "POD_NAMESPACE", "value": "flyte"}), json!({"name": "POD_NAMESPACE", "value": "S"})),
            (json!(["--namespace=flyte", "-n=flyte"]), json!(["--namespace=S", "-n=flyte"])),
            (json!(["--namespace", "flyte"]), json!(["--namespace", "S"])),
            (json!("kubectl -n flyte get pods\n"), json!("kubectl -n S get pods\n")),
            (json!("kubectl get pods --namespace flyte --all"), json!("kubectl get pods --namespace S --all")),
            (json!("[k8s]\nnamespace = \"flyte\"\n"), json!("[k8s]\nnamespace = \"S\"\n")),
            (json!("{\"watchNamespace\": \"flyte\"}"), json!("{\"watchNamespace\": \"S\"}")),
            (json!("cluster.local/ns/flyte/sa/flyteadmin"), json!("cluster.local/ns/S/sa/flyteadmin")),
            (json!("system:serviceaccount:flyte:default"), json!("system:serviceaccount:S:default")),
            (
                json!({"matchLabels": {"kubernetes.io/metadata.name": "flyte"}}),
                json!({"matchLabels": {"kubernetes.io/metadata.name": "S"}}),
            ),
            (
                json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["flyte", "b"]}),
                json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["S", "b"]}),
            ),
            (json!("http://minio.flyte:9000"), json!("http://minio.S:9000")),
            (json!("minio.flyte"), json!("minio.S")),
            (json!("ä minio.flyte"), json!("ä minio.S")),
            (json!("a.flyte.svc.cluster.local,b.flyte.svc"), json!("a.S.svc.cluster.local,b.S.svc")),
        ] {
            let mut value = before.clone();
            assert!(relocation.value(&mut value), "{before}");
            assert_eq!(value, after);
        }
        for same in [
            json!({"app.kubernetes.io/instance": "flyte", "metrics-prefix": "flyte", "dbname": "flyte_development"}),
            json!({"metricsScope": "flyte:", "path": "/etc/flyte/config", "name": "flyte"}),
            json!("cr.flyte.org/flyteorg/flyteadmin:v1"),
            json!("flyteworkflows.flyte.lyft.com"),
            json!("other.flyte:80"),
            json!("echo flyte"),
            json!("psql -n=flyteadmin -d flyte"),
            json!("a namespace for flyte"),
            json!("minio.flyte.svc-like"),
            json!("my.minio.flyte"),
            json!("minio.flytes"),
        ] {
            let mut value = same.clone();
            assert!(!relocation.value(&mut value), "{same} became {value}");
        }
    }
}
