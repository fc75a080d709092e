//! `database`: a database that exists before the first migration, and components that wait for it.

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::containers::is_lasting;
use super::edit::{put, put_init_container};

/// The init container that upstream gives admin, but not datacatalog.
pub(super) const CHECK_DATABASE: &str = "check-db-ready";

/// The name of the database's user, and of the database, where settings leave them out.
const USER: &str = "postgres";
const DATABASE: &str = "flyte_development";

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let database = text(draft, Component::Flyteadmin, "dbname", DATABASE)?;
    let user = text(draft, Component::Flyteadmin, "username", USER)?;
    let mut image = Value::Null;
    for workload in draft.workloads_mut(Component::Postgres) {
        for container in workload.containers_mut("containers").filter(|one| one["name"] == Component::Postgres.id()) {
            image = container["image"].clone();
            default_variable(container, "POSTGRES_DB", &database);
            // The data is as throw-away as the cluster.
            default_variable(container, "POSTGRES_INITDB_ARGS", "--no-sync");
            if user != USER {
                // Who connects; the image makes no other user.
                default_variable(container, "POSTGRES_USER", &user);
            }
            let is_given =
                |name: &str| container["env"].as_array().into_iter().flatten().any(|variable| variable["name"] == name);
            if container.get("envFrom").is_none() && !is_given("POSTGRES_PASSWORD") {
                // The image does not start with neither this nor a password.
                default_variable(container, "POSTGRES_HOST_AUTH_METHOD", "trust");
            }
        }
    }
    for component in [Component::Datacatalog, Component::Flyteadmin, Component::Flytescheduler] {
        let (host, port) = (text(draft, component, "host", "postgres")?, text(draft, component, "port", "5432")?);
        let user = text(draft, component, "username", USER)?;
        // With a user, or the check ends with `no attempt` for ever where a pod's own has no name in the image.
        // After a node's start names and Services lead to pods that are no more, and a try without a limit hangs on them
        // for five seconds.
        let wait = format!("until timeout 1 pg_isready -U {user} -h {host} -p {port}; do sleep 0.2; done");
        let check = json!({"name": CHECK_DATABASE, "image": image, "command": ["sh", "-c", wait]});
        for pod in draft.workloads_mut(component).filter(|one| is_lasting(one)).filter_map(|one| one.pod_spec_mut()) {
            put_init_container(pod, check.clone());
        }
    }
    Ok(())
}

/// A setting of a component's database, as text.
fn text(draft: &Draft, component: Component, key: &str, otherwise: &str) -> Result<String, RenderError> {
    Ok(match draft.config_value(component, &["database", key])? {
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        _ => otherwise.to_owned(),
    })
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
