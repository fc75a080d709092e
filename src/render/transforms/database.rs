//! `database`: a database that exists before the first migration, and components that wait for it.

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::{put, put_init_container};

/// The init container that upstream gives admin, but not datacatalog.
pub(super) const CHECK_DATABASE: &str = "check-db-ready";

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let setting = |key| draft.config_value(Component::Flyteadmin, &["database", key]);
    let text = |value: Option<Value>, otherwise: &str| match value {
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        _ => otherwise.to_owned(),
    };
    let database = text(setting("dbname")?, "flyte_development");
    let (host, port) = (text(setting("host")?, "postgres"), text(setting("port")?, "5432"));
    let user = text(setting("username")?, "postgres");
    for workload in draft.workloads_mut(Component::Postgres) {
        for container in workload.containers_mut("containers").filter(|one| one["name"] == Component::Postgres.id()) {
            default_variable(container, "POSTGRES_DB", &database);
            // The data is as throw-away as the cluster.
            default_variable(container, "POSTGRES_INITDB_ARGS", "--no-sync");
        }
    }
    let postgres = draft.workloads(Component::Postgres).next();
    let image = postgres.and_then(|workload| workload.containers().last()?.get("image").cloned()).unwrap_or_default();
    for component in [Component::Datacatalog, Component::Flyteadmin] {
        for pod in draft.workloads_mut(component).filter_map(|workload| workload.pod_spec_mut()) {
            // With a user, or the check ends with `no attempt` for ever where a pod's own has no name in the image.
            let wait = format!("until pg_isready -U {user} -h {host} -p {port}; do sleep 0.2; done");
            let check = json!({"name": CHECK_DATABASE, "image": image, "command": ["sh", "-c", wait]});
            put_init_container(pod, check);
        }
    }
    Ok(())
}

fn default_variable(container: &mut Value, name: &str, value: &str) {
    if !container["env"].is_array() {
        put(container, "env", json!([]));
    }
    if let Some(variables) = container["env"].as_array_mut()
        && !variables.iter().any(|variable| variable["name"] == name)
    {
        variables.push(json!({"name": name, "value": value}));
    }
}
