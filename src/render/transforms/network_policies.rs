//! `network-policies`: where it is asked for, a pod is reached only by those who have business with it.
//!
//! What is published on the host stays open to all, and so do parts that no transform knows. What pods reach is not
//! limited: task code fetches from wherever it likes.

use serde_json::{Value, json};

use super::super::component::{Component, component_of, is_workload};
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use crate::flyte::labels;
use crate::manifest::Object;

/// Says in the pods of a component which one they are of. Other labels are as whoever wrote the manifests chose them.
const COMPONENT_LABEL: &str = "sandbox.flyte/component";

/// The label that Kubernetes gives every namespace (`NamespaceDefaultLabelName`, 1.21).
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

const KIND: &str = "NetworkPolicy";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    if !context.spec.network_policies {
        warn_of_given(context, draft);
        return Ok(());
    }
    for workload in draft.objects.iter_mut().filter(|object| is_workload(object)) {
        if let Some(component) = component_of(workload) {
            workload.set(&["spec", "template", "metadata", "labels", COMPONENT_LABEL], component.id());
        }
    }
    let of_components = Component::ALL.into_iter().filter_map(|component| of_component(context, component));
    let of_workflows = context.workflows.iter().map(|workflow| {
        let mut policy = policy("within-namespace", &workflow.name, json!({}), &[json!({"podSelector": {}})]);
        policy.set(&["metadata", "labels", labels::WORKFLOW_NAMESPACE], workflow.name.as_str());
        policy
    });
    let policies: Vec<Object> = of_components.chain(of_workflows).collect();
    draft.objects.retain(|object| !policies.iter().any(|policy| policy.reference() == object.reference()));
    draft.objects.extend(policies);
    Ok(())
}

/// What came in has no effect on a node of ours; whoever wrote it would think otherwise.
fn warn_of_given(context: &Context<'_>, draft: &mut Draft) {
    let given: Vec<Object> = draft.objects.iter().filter(|object| object.kind() == KIND).cloned().collect();
    for policy in given.iter().filter(|_| context.spec.scope().owns_cluster) {
        draft.warn(
            Effect::Harmless,
            policy,
            "is kept, and has no effect: a node enforces it where a spec says `networkPolicies: true`",
        );
    }
}

/// Who reaches a component; nobody is told where it is published.
fn of_component(context: &Context<'_>, component: Component) -> Option<Object> {
    let (components, workflows): (&[Component], bool) = match component {
        Component::Minio | Component::Dashboard | Component::Gateway | Component::Registry => return None,
        Component::Postgres if context.spec.ports.postgres.is_some() => return None,
        Component::Postgres => (&[Component::Flyteadmin, Component::Datacatalog, Component::Flytescheduler], false),
        Component::Datacatalog => (&[Component::Flytepropeller], false),
        // A task may register or start other workflows.
        Component::Flyteadmin => (&[Component::Gateway, Component::Flytepropeller, Component::Flytescheduler], true),
        Component::Flyteconsole => (&[Component::Gateway], false),
        Component::Flytescheduler if !context.spec.scheduler => return None,
        Component::Flytepropeller | Component::Flytescheduler => (&[], false),
    };
    let pods = |component: &Component| json!({"matchLabels": {COMPONENT_LABEL: component.id()}});
    let mut from: Vec<Value> = components.iter().map(|component| json!({"podSelector": pods(component)})).collect();
    if workflows {
        let names: Vec<&str> = context.workflows.iter().map(|workflow| workflow.name.as_str()).collect();
        let of_workflows = json!({"key": NAMESPACE_NAME, "operator": "In", "values": names});
        from.push(json!({"namespaceSelector": {"matchExpressions": [of_workflows]}}));
    }
    let mut policy = policy(component.id(), &context.system, pods(&component), &from);
    policy.set(&["metadata", "labels", "app.kubernetes.io/name"], component.id());
    Some(policy)
}

fn policy(name: &str, namespace: &str, pods: Value, from: &[Value]) -> Object {
    let mut policy = Object::named("networking.k8s.io/v1", KIND, name);
    policy.set(&["metadata", "namespace"], namespace);
    // A rule whose `from` is empty lets everybody in; no rule lets in nobody.
    let ingress: Vec<Value> = if from.is_empty() { Vec::new() } else { vec![json!({"from": from})] };
    policy.set(&["spec"], json!({"podSelector": pods, "policyTypes": ["Ingress"], "ingress": ingress}));
    policy
}
