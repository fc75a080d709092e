//! `gateway`: a static Envoy in the place of Contour, its CRDs, its certificate Job and the Ingress.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use crate::manifest::Object;

const CONTOUR: &str = "projectcontour";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for ingress in draft.objects.iter().filter(|object| is_ingress(object)).cloned().collect::<Vec<_>>() {
        let elsewhere = leads_elsewhere(&ingress);
        if !elsewhere.is_empty() {
            let services = elsewhere.into_iter().collect::<Vec<_>>().join(", ");
            let message =
                format!("is left out: no ingress controller runs in the sandbox, so it does not lead to {services}");
            draft.warn(&ingress, message);
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
    object.label("app.kubernetes.io/name") == Some("contour")
        || object.api_version().starts_with("projectcontour.io/")
        || object.is("Namespace", CONTOUR)
        || object.namespace() == Some(CONTOUR)
        || (object.kind() == "CustomResourceDefinition" && object.name().ends_with(".projectcontour.io"))
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
    found.retain(|service| !matches!(*service, "flyteadmin" | "flyteconsole"));
    found
}

fn drop_annotations(object: &mut Object) {
    let Some(annotations) = object.get_mut("/metadata/annotations").and_then(Value::as_object_mut) else { return };
    annotations.retain(|key, _| !key.starts_with(CONTOUR));
    if annotations.is_empty() {
        object.remove(&["metadata", "annotations"]);
    }
}
