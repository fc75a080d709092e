//! `projects-and-domains`: Flyte's projects and domains, and the template of their namespaces.

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use crate::manifest::Object;

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
    let mut seeded = false;
    for workload in draft.workloads_mut(Component::Flyteadmin) {
        for container in workload.containers_mut("initContainers") {
            for list in ["command", "args"] {
                seeded |= container.get_mut(list).is_some_and(|words| seed(words, &spec.projects));
            }
        }
    }
    let admin: Vec<Object> = draft.workloads(Component::Flyteadmin).take(1).cloned().collect();
    for admin in admin.iter().filter(|_| !seeded) {
        draft.warn(admin, "has no init container with `seed-projects`, so no project is registered");
    }
    Ok(())
}

/// Puts the projects after the word `seed-projects`, in the place of what follows it.
fn seed(words: &mut Value, projects: &[String]) -> bool {
    let Some(words) = words.as_array_mut() else { return false };
    let Some(at) = words.iter().position(|word| word == SEED) else { return false };
    words.truncate(at + 1);
    words.extend(projects.iter().map(|project| Value::from(project.as_str())));
    true
}
