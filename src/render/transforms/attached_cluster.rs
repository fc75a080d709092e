//! `attached-cluster`: without cluster-scoped objects and NodePorts.

use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use crate::flyte::workflow::DEFINITION;
use crate::manifest::Object;

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    if context.spec.scope().owns_cluster {
        return Ok(());
    }
    let by_the_admin =
        |object: &Object| object.kind() == "Namespace" || object.is("CustomResourceDefinition", DEFINITION);
    let beyond: Vec<_> = draft.objects.iter().filter(|object| object.namespace().is_none()).cloned().collect();
    for object in beyond.iter().filter(|object| !by_the_admin(object)) {
        draft.warn(
            Effect::Differs,
            object,
            "is left out: it is cluster-scoped, and on an attached cluster only objects in namespaces are applied",
        );
    }
    draft.objects.retain(|object| object.namespace().is_some());
    for service in draft.objects.iter_mut().filter(|object| object.kind() == "Service") {
        // A node's port is one for the whole cluster, and many quotas allow none.
        if service.get("/spec/type").is_some_and(|kind| kind == "NodePort") {
            service.set(&["spec", "type"], "ClusterIP");
        }
        let ports = service.get_mut("/spec/ports").and_then(serde_json::Value::as_array_mut);
        for port in ports.into_iter().flatten().filter_map(serde_json::Value::as_object_mut) {
            port.shift_remove("nodePort");
        }
    }
    Ok(())
}
