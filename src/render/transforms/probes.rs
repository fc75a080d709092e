//! `probes`: a readiness probe for every component, asked every second.

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::put;

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for component in Component::ALL {
        for workload in draft.workloads_mut(component) {
            for container in workload.containers_mut("containers").filter(|one| one["name"] == component.id()) {
                let mut probe = probe(component, container);
                put(&mut probe, "periodSeconds", json!(1));
                put(&mut probe, "timeoutSeconds", json!(5));
                put(container, "readinessProbe", probe);
            }
        }
    }
    Ok(())
}

fn probe(component: Component, container: &Value) -> Value {
    let http = |path: &str, port: u16| json!({"httpGet": {"path": path, "port": port}});
    match component {
        // Over TCP: while the image initialises the data directory, a temporary server answers on the unix socket.
        Component::Postgres => {
            let variables = container.get("env").and_then(Value::as_array);
            let named = variables.into_iter().flatten().find(|variable| variable["name"] == "POSTGRES_DB");
            let database = named.and_then(|variable| variable["value"].as_str()).unwrap_or("postgres");
            json!({"exec": {"command": ["pg_isready", "-U", "postgres", "-d", database, "-h", "127.0.0.1"]}})
        }
        // `live` and `ready` always answer 200.
        Component::Minio => http("/minio/health/cluster", 9000),
        Component::Datacatalog => http("/healthcheck", 8080),
        Component::Flyteadmin => http("/healthcheck", 8088),
        Component::Flytepropeller => http("/healthcheck", 10254),
        Component::Flyteconsole => http("/console/healthz", 8080),
        Component::Dashboard => http("/", 9090),
        Component::Gateway => json!({"tcpSocket": {"port": 8080}}),
    }
}
