//! `dashboard`: the Kubernetes dashboard, reduced to task logs. Served over HTTP without login flags, every request uses
//! its ServiceAccount, and links open directly.

use serde_json::json;

use super::super::component::{Component, component_of};
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::put;
use crate::manifest::Object;

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let own = context.built_in(Component::Dashboard)?;
    // One that stands elsewhere, as its own project's manifests have it, could not be reached by short names; one that
    // Helm named after its release would be a second beside ours, with permissions that nobody asks about.
    let is_other = |object: &Object| {
        let elsewhere = object.namespace().is_some_and(|namespace| {
            namespace != context.system && !context.origins.iter().any(|one| one == namespace)
        });
        let known = own.iter().any(|one| one.is(object.kind(), object.name()));
        component_of(object) == Some(Component::Dashboard) && (elsewhere || !known)
    };
    draft.objects.retain(|object| !is_other(object) || matches!(object.kind(), "Role" | "RoleBinding"));
    draft.add_missing(own);
    let arguments = json!([format!("--namespace={}", context.system), "--metrics-provider=none"]);
    for workload in draft.workloads_mut(Component::Dashboard) {
        for container in workload.containers_mut("containers") {
            if container["name"] == Component::Dashboard.id() {
                put(container, "args", arguments.clone());
            }
        }
    }
    if let Some(settings) = draft.find_mut("ConfigMap", "kubernetes-dashboard-settings") {
        settings.set(&["data", "_global"], global_settings(context));
    }
    Ok(())
}

fn global_settings(context: &Context<'_>) -> String {
    let workflows: Vec<&str> = context.workflows.iter().map(|workflow| workflow.name.as_str()).collect();
    json!({
        "clusterName": context.spec.name,
        "itemsPerPage": 10,
        "labelsLimit": 3,
        "logsAutoRefreshTimeInterval": 5,
        "resourceAutoRefreshTimeInterval": 5,
        // It may list neither namespaces nor nodes, and would say so on every page.
        "disableAccessDeniedNotifications": true,
        "defaultNamespace": workflows.first().unwrap_or(&context.system.as_str()),
        "namespaceFallbackList": workflows,
    })
    .to_string()
}
