//! `gateway`: a static Envoy in the place of Contour, its CRDs, its certificate Job and the Ingress.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::component::Component;
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use crate::manifest::Object;

const CONTOUR: &str = "projectcontour";

/// Where Contour stands, and where it stood in upstream's first releases.
const NAMESPACES: [&str; 2] = [CONTOUR, "heptio-contour"];

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for ingress in draft.objects.iter().filter(|object| is_ingress(object)).cloned().collect::<Vec<_>>() {
        let mut elsewhere = leads_elsewhere(&ingress);
        // Others' controllers take names for what they do themselves, such as a redirection.
        elsewhere.retain(|service| draft.find("Service", service).is_some());
        if !elsewhere.is_empty() {
            let services = elsewhere.into_iter().collect::<Vec<_>>().join(", ");
            let message =
                format!("is left out: no ingress controller runs in the sandbox, so it does not lead to {services}");
            draft.warn(Effect::Differs, &ingress, message);
        }
    }
    draft.objects.retain(|object| !is_contours(object) && !is_ingress(object));
    for object in draft.objects.iter_mut().filter(|object| object.kind() == "Service") {
        drop_annotations(object);
    }
    if draft.workloads(Component::Gateway).next().is_none() {
        draft.add_missing(context.built_in(Component::Gateway)?);
    }
    Ok(())
}

fn is_contours(object: &Object) -> bool {
    ["app.kubernetes.io/name", "app"].iter().any(|key| object.label(key) == Some("contour"))
        // In upstream's first releases it stands beside Flyte, without a label.
        || (object.name() == "contour" && !matches!(object.kind(), "Namespace" | "CustomResourceDefinition"))
        || ["projectcontour.io/", "contour.heptio.com/"].iter().any(|group| object.api_version().starts_with(group))
        || NAMESPACES.iter().any(|name| object.is("Namespace", name) || object.namespace() == Some(name))
        || (object.kind() == "CustomResourceDefinition"
            && [".projectcontour.io", ".contour.heptio.com"].iter().any(|group| object.name().ends_with(group)))
        || (matches!(object.kind(), "ClusterRole" | "ClusterRoleBinding") && object.name().contains("contour"))
}

fn is_ingress(object: &Object) -> bool {
    matches!(object.kind(), "Ingress" | "IngressClass")
}

/// The Services that it leads to, besides those that the gateway leads to.
fn leads_elsewhere(ingress: &Object) -> BTreeSet<&str> {
    fn backends<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("serviceName").and_then(Value::as_str));
                found.extend(map.get("service").and_then(|service| service.get("name")?.as_str()));
                map.values().for_each(|inner| backends(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| backends(inner, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    backends(ingress.value(), &mut found);
    // The store has a port of its own on the host.
    found.retain(|service| !matches!(*service, "flyteadmin" | "flyteconsole" | "minio" | "redoc"));
    found
}

fn drop_annotations(object: &mut Object) {
    let Some(annotations) = object.get_mut("/metadata/annotations").and_then(Value::as_object_mut) else { return };
    annotations.retain(|key, _| !key.starts_with(CONTOUR));
    if annotations.is_empty() {
        object.remove(&["metadata", "annotations"]);
    }
}
