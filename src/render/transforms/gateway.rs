//! `gateway`: a static Envoy in the place of Contour, its CRDs, its certificate Job and the Ingress.

use serde_json::Value;

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use crate::manifest::Object;

const CONTOUR: &str = "projectcontour";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let strange: Vec<Object> = draft.objects.iter().filter(|object| is_strange_ingress(object)).cloned().collect();
    for ingress in strange {
        draft.warn(&ingress, "is left out: no ingress controller runs in the sandbox");
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
        || (object.kind() == "CustomResourceDefinition" && object.name().ends_with(".projectcontour.io"))
        || (matches!(object.kind(), "ClusterRole" | "ClusterRoleBinding") && object.name().contains("contour"))
}

fn is_ingress(object: &Object) -> bool {
    matches!(object.kind(), "Ingress" | "IngressClass")
}

/// Whether it leads anywhere else than to what the gateway leads to.
fn is_strange_ingress(object: &Object) -> bool {
    fn backends<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
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
    let mut found = Vec::new();
    backends(object.value(), &mut found);
    is_ingress(object) && found.iter().any(|service| !matches!(*service, "flyteadmin" | "flyteconsole"))
}

fn drop_annotations(object: &mut Object) {
    let Some(annotations) = object.get_mut("/metadata/annotations").and_then(Value::as_object_mut) else { return };
    annotations.retain(|key, _| !key.starts_with(CONTOUR));
    if annotations.is_empty() {
        object.remove(&["metadata", "annotations"]);
    }
}
