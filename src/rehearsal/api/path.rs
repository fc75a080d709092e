//! Paths of the Kubernetes API.

use serde_json::Value;

/// API root (`api/v1`, `apis/apps/v1`), plural, namespace (empty where cluster-scoped), name, and subresource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Path {
    pub(super) root: String,
    pub(super) plural: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) part: String,
}

impl Path {
    /// The path of a URL such as `/apis/apps/v1/namespaces/n/deployments/d`.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/');
        let root = match (parts.next()?, parts.next()?) {
            ("api", version) => format!("api/{version}"),
            ("apis", group) => format!("apis/{group}/{}", parts.next()?),
            _ => return None,
        };
        let rest: Vec<_> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let at = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
        Some(Self { root, plural: at(0), namespace: namespace.to_owned(), name: at(1), part: at(2) })
    }

    /// The path of an object, by its kind and metadata.
    pub(super) fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let version = text("/apiVersion");
        Self {
            root: if version.contains('/') { format!("apis/{version}") } else { format!("api/{version}") },
            plural: plural(text("/kind")),
            namespace: text("/metadata/namespace").to_owned(),
            name: text("/metadata/name").to_owned(),
            part: String::new(),
        }
    }

    /// The path of the namespace.
    pub(super) fn home(&self) -> Self {
        Self {
            root: "api/v1".to_owned(),
            plural: "namespaces".to_owned(),
            name: self.namespace.clone(),
            ..Self::default()
        }
    }

    /// True if a list of this path includes an object: of one namespace, or of all.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let same = (&self.root, &self.plural) == (&other.root, &other.plural);
        same && (self.namespace.is_empty() || self.namespace == other.namespace)
    }

    /// `pods`, or `deployments.apps`, as the API calls it in its messages.
    pub(super) fn qualified(&self) -> String {
        match self.root.split('/').collect::<Vec<_>>()[..] {
            ["apis", group, _] => format!("{}.{group}", self.plural),
            _ => self.plural.clone(),
        }
    }
}

fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        _ if kind == "endpoints" => kind,
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}
