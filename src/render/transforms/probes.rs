//! `probes`: a readiness probe for every component, asked every second, where its settings say that it listens.

use serde_json::{Value, json};

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use super::edit::put;
use super::listeners::{Listener, port};

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for component in Component::ALL {
        let port = port(draft, component, Listener::Main)?;
        for workload in draft.workloads_mut(component) {
            for container in workload.containers_mut("containers").filter(|one| one["name"] == component.id()) {
                let mut probe = probe(component, port, container);
                put(&mut probe, "periodSeconds", json!(1));
                put(&mut probe, "timeoutSeconds", json!(5));
                put(container, "readinessProbe", probe);
                if component != Component::Dashboard {
                    // Made for another version, another port or a quicker machine, they end a program that only starts.
                    for other in ["livenessProbe", "startupProbe"] {
                        container.as_object_mut().and_then(|container| container.shift_remove(other));
                    }
                }
            }
        }
    }
    Ok(())
}

fn probe(component: Component, port: u16, container: &Value) -> Value {
    let http = |path: &str| json!({"httpGet": {"path": path, "port": port}});
    match component {
        // Over TCP: while the image initialises the data directory, a temporary server answers on the unix socket.
        Component::Postgres => {
            let variables = container.get("env").and_then(Value::as_array);
            let named = variables.into_iter().flatten().find(|variable| variable["name"] == "POSTGRES_DB");
            let database = named.and_then(|variable| variable["value"].as_str()).unwrap_or("postgres");
            let mut command = json!(["pg_isready", "-U", "postgres", "-d", database, "-h", "127.0.0.1"]);
            if let (..=5431 | 5433.., Some(words)) = (port, command.as_array_mut()) {
                words.extend([json!("-p"), json!(port.to_string())]);
            }
            json!({"exec": {"command": command}})
        }
        // `live` and `ready` always answer 200.
        Component::Minio => http("/minio/health/cluster"),
        Component::Datacatalog | Component::Flyteadmin | Component::Flytepropeller | Component::Flytescheduler => {
            http("/healthcheck")
        }
        Component::Flyteconsole => http("/console/healthz"),
        Component::Dashboard => http("/"),
        Component::Registry => http("/v2/"),
        Component::Gateway => json!({"tcpSocket": {"port": port}}),
    }
}
