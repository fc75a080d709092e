//! `namespace`: the system namespace and the workflow namespaces, and every reference to them.

use std::collections::BTreeSet;

use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use super::super::references::Move;
use crate::flyte::labels;
use crate::manifest::Object;

const CLUSTER_SCOPED: [&str; 14] = [
    "APIService",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PodSecurityPolicy",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingWebhookConfiguration",
];

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for origin in context.origins.iter().map(String::as_str).filter(|origin| *origin != context.system) {
        let local = draft.objects.iter().filter(|object| object.namespace() == Some(origin));
        let services =
            local.filter(|object| object.kind() == "Service").map(|object| object.name().to_owned()).collect();
        let relocation = Move { from: origin, to: &context.system, services: &services };
        for object in &mut draft.objects {
            relocation.object(object)?;
        }
    }
    for object in &mut draft.objects {
        if object.namespace().is_none() && !CLUSTER_SCOPED.contains(&object.kind()) {
            object.set(&["metadata", "namespace"], context.system.as_str());
        }
    }
    drop_uninhabited(context, draft);
    let system = std::iter::once(context.system.as_str());
    let missing = system.chain(context.workflows.iter().map(|workflow| workflow.name.as_str()));
    draft.add_missing(missing.map(|name| Object::named("v1", "Namespace", name)).collect());
    let workflows: BTreeSet<&str> = context.workflows.iter().map(|workflow| workflow.name.as_str()).collect();
    for namespace in draft.objects.iter_mut().filter(|object| object.kind() == "Namespace") {
        if let Some(name) = workflows.get(namespace.name()) {
            namespace.set(&["metadata", "labels", labels::WORKFLOW_NAMESPACE], *name);
        }
    }
    Ok(())
}

/// Drops namespaces in which nothing but permissions would be left, and the account that every namespace has; those have
/// their own transform.
fn drop_uninhabited(context: &Context<'_>, draft: &mut Draft) {
    let lives =
        |object: &&Object| !matches!(object.kind(), "Role" | "RoleBinding") && !object.is("ServiceAccount", "default");
    let inhabited: BTreeSet<String> =
        draft.objects.iter().filter(lives).filter_map(|object| object.namespace().map(str::to_owned)).collect();
    let is_foreign = |object: &Object| object.kind() == "Namespace" && !context.is_ours(object.name());
    draft.objects.retain(|object| !is_foreign(object) || inhabited.contains(object.name()));
    for foreign in draft.objects.iter().filter(|object| is_foreign(object)).cloned().collect::<Vec<_>>() {
        draft.warn(
            Effect::Differs,
            &foreign,
            "is kept, though it is none of this sandbox's: objects that no transform moves live in it",
        );
    }
}
