//! `projects-and-domains`: Flyte's domains, the template of workflow namespaces, and no projects in admin's pod.

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::words;

const SEED: &str = "seed-projects";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let spec = context.spec;
    let domains: Vec<Value> = spec.domains.iter().map(|domain| json!({"id": domain.id, "name": domain.name})).collect();
    draft.edit_config(Component::Flyteadmin, |config| {
        config.set("domain.yaml", &["domains"], domains.clone());
        config.set("server.yaml", &["namespace_mapping", "template"], spec.namespace_template());
        // Deprecated; admin complains about it and goes by the template.
        config.remove(&["namespace_mapping", "mapping"]);
    })?;
    // Admin would restart for every project that comes or goes. Its API, which registers them, is used once it is up.
    for workload in draft.workloads_mut(Component::Flyteadmin) {
        let containers = workload.pod_spec_mut().and_then(|pod| pod.get_mut("initContainers"));
        if let Some(containers) = containers.and_then(Value::as_array_mut) {
            containers.retain(|container| !seeds(container));
        }
    }
    Ok(())
}

fn seeds(container: &Value) -> bool {
    words(container).any(|word| word == SEED)
}
