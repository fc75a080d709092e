//! `task-resources`: what a task pod asks for and gets that names nothing, and the most that one may name.
//!
//! Admin v0.6.13 sets the requests that a task lacks, and makes limits of requests.

use serde_json::Value;

use super::super::component::Component;
use super::super::config::Config;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use crate::manifest::Quantity;

const HOME: &str = "task_resource_defaults.yaml";

/// What flytekit with pandas needs. With upstream's 200Mi it is killed.
const LEAST_MEMORY: &str = "500Mi";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let tasks = &context.spec.tasks;
    draft.edit_config(Component::Flyteadmin, |config| {
        for (resource, default, limit) in
            [("cpu", &tasks.defaults.cpu, &tasks.limits.cpu), ("memory", &tasks.defaults.memory, &tasks.limits.memory)]
        {
            let (defaults, limits) = (["task_resources", "defaults", resource], ["task_resources", "limits", resource]);
            if let Some(limit) = limit {
                config.set(HOME, &limits, limit.as_str());
            }
            if let Some(default) = default {
                config.set(HOME, &defaults, default.as_str());
            } else if resource == "memory" && amount(config, &defaults) < Quantity::of(&LEAST_MEMORY.into()) {
                config.set(HOME, &defaults, LEAST_MEMORY);
            }
            // What the spec says of one of the two holds for the other.
            match (amount(config, &defaults), amount(config, &limits)) {
                (Some(given), Some(most)) if given > most => {
                    let (from, to) = if limit.is_some() { (limits, defaults) } else { (defaults, limits) };
                    if let Some(value) = config.get(&from).cloned() {
                        config.set(HOME, &to, value);
                    }
                }
                _ => {}
            }
        }
    })
}

fn amount(config: &Config, path: &[&str]) -> Option<Quantity> {
    config.get(path).and_then(|value: &Value| Quantity::of(value))
}
