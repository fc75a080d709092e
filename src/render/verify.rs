//! What holds after every render, whatever came in.

use std::collections::BTreeSet;

use serde_json::Value;

use super::changes::{join, segment};
use super::component::component_of;
use super::config::is_yaml;
use super::context::Context;
use super::error::RenderError;
use super::pod_references::PodReference;
use super::references::{dns_names, is_namespace_key};
use crate::manifest::Object;
use crate::yaml;

/// API versions that Kubernetes 1.22 to 1.33 no longer serve.
const REMOVED: [&str; 18] = [
    "admissionregistration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiregistration.k8s.io/v1beta1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v2beta1",
    "autoscaling/v2beta2",
    "batch/v1beta1",
    "coordination.k8s.io/v1beta1",
    "extensions/v1beta1",
    "networking.k8s.io/v1beta1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "rbac.authorization.k8s.io/v1beta1",
    "scheduling.k8s.io/v1beta1",
    "storage.k8s.io/v1beta1",
];

/// The owner id as upstream mistyped it.
const MISTYPED: &str = "10302-";

/// The first thing that does not hold.
pub(super) fn verify(context: &Context<'_>, objects: &[Object]) -> Result<(), RenderError> {
    let given = if context.spec.scope().owns_cluster { Vec::new() } else { context.spec.namespaces() };
    let rendered = objects.iter().filter(|object| object.kind() == "Namespace").map(Object::name);
    let rendered: BTreeSet<&str> = rendered.chain(given.iter().map(String::as_str)).collect();
    let left = context.origins.iter().map(String::as_str).filter(|origin| !rendered.contains(origin)).collect();
    let services = objects.iter().filter(|object| object.kind() == "Service");
    let mut check = Check {
        left,
        services: services.map(|service| service.name().to_owned()).collect(),
        mistyped: context.spec.appid != MISTYPED.trim_end_matches('-'),
        seen: BTreeSet::new(),
    };
    let mut identities = BTreeSet::new();
    for object in objects {
        let broken = |path: &str, why: String| {
            Err(RenderError::Invariant { object: Box::new(object.reference()), path: path.to_owned(), why })
        };
        if !identities.insert((object.kind(), object.namespace(), object.name())) {
            return broken("metadata.name", "is that of another object too".to_owned());
        }
        if REMOVED.contains(&object.api_version()) {
            return broken("apiVersion", format!("is {}, which Kubernetes no longer serves", object.api_version()));
        }
        if matches!(object.kind(), "ClusterRole" | "ClusterRoleBinding") {
            return broken("kind", "reaches beyond the sandbox's namespaces".to_owned());
        }
        if let Some(namespace) = object.namespace().filter(|namespace| !rendered.contains(namespace)) {
            return broken("metadata.namespace", format!("is `{namespace}`, which is not a namespace of this sandbox"));
        }
        // On a cluster that is there already, what is named may be there too; what is no component's is warned of.
        if let (Some(_), true) = (component_of(object), context.spec.scope().owns_cluster)
            && let Some(missing) = PodReference::dangling(object, objects).first()
        {
            let why = format!("names the {} `{}`, which is not there", missing.kind, missing.name);
            return broken("spec.template.spec", why);
        }
        let found = if object.kind() == "CustomResourceDefinition" { None } else { check.value(object.value()) };
        if let Some((path, why)) = found {
            return broken(&path, why);
        }
    }
    Ok(())
}

struct Check<'a> {
    /// The namespaces that were moved away from.
    left: Vec<&'a str>,
    services: BTreeSet<String>,
    mistyped: bool,
    /// Configuration files already found good; the instances of one component share most of theirs.
    seen: BTreeSet<&'a str>,
}

/// Where something is wrong, built from the inside out, and what.
type Found = Option<(String, String)>;

impl<'a> Check<'a> {
    fn value(&mut self, value: &'a Value) -> Found {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
                let (path, why) = self.value(item)?;
                Some((join(&format!("[{index}]"), &path), why))
            }),
            Value::Object(map) => map.iter().find_map(|(key, value)| {
                let (path, why) = match value {
                    Value::String(text) if is_yaml(key) => self.file(text),
                    Value::String(text) if is_namespace_key(key) && self.left.contains(&text.as_str()) => {
                        Some((String::new(), format!("still names the namespace `{text}`")))
                    }
                    _ => self.value(value),
                }?;
                Some((join(&segment(key), &path), why))
            }),
            _ => None,
        }
    }

    fn file(&mut self, text: &'a str) -> Found {
        if !self.seen.insert(text) || !self.is_suspect(text) {
            return None;
        }
        let Ok(content) = yaml::settings(text) else { return self.text(text) };
        let services = std::mem::take(&mut self.services);
        let mut inner = Check { left: self.left.clone(), services, mistyped: self.mistyped, seen: BTreeSet::new() };
        let found = inner.value(&content);
        self.services = inner.services;
        found
    }

    /// Whether a file is worth parsing, only to name the place: parsing one for each instance would take most of the
    /// time of a render.
    fn is_suspect(&self, text: &str) -> bool {
        let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let names = |line: &str| line.split(|c: char| !in_name(c)).any(|word| self.left.contains(&word));
        let mut lines = text.lines().peekable();
        let mut named = false;
        while let Some(line) = lines.next() {
            named |= line.to_ascii_lowercase().contains("namespace")
                && (names(line) || lines.peek().is_some_and(|next| names(next)));
        }
        named || self.text(text).is_some()
    }

    fn text(&self, text: &str) -> Found {
        let dns = self.left.iter().find(|left| !dns_names(text, left, &self.services).is_empty());
        let why = dns.map(|left| format!("still names a Service in the namespace `{left}`")).or_else(|| {
            let starts = |at: usize| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            let mistyped = self.mistyped && text.match_indices(MISTYPED).any(|(at, _)| starts(at));
            mistyped.then(|| format!("still has the mistyped owner id `{MISTYPED}`"))
        });
        why.map(|why| (String::new(), why))
    }
}
