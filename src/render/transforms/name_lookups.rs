//! `name-lookups`: a lost DNS query is repeated after a second.

use serde_json::json;

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::put;

/// Those who look others up when they start.
const CLIENTS: [Component; 5] = [
    Component::Datacatalog,
    Component::Flyteadmin,
    Component::Flytepropeller,
    Component::Flytescheduler,
    Component::Gateway,
];

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for component in CLIENTS {
        for pod in draft.workloads_mut(component).filter_map(|workload| workload.pod_spec_mut()) {
            if pod.get("dnsConfig").is_none() {
                // A name with its namespace and domain has four dots: by default the search list is tried first.
                let options = [("timeout", "1"), ("attempts", "3"), ("ndots", "2")];
                let options = options.map(|(name, value)| json!({"name": name, "value": value}));
                put(pod, "dnsConfig", json!({ "options": options }));
            }
        }
    }
    Ok(())
}
