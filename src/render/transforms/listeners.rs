//! The ports that the programs of components listen on, as their settings say.

use serde_json::Value;

use super::super::component::Component;
use super::super::context::Draft;
use super::super::error::RenderError;
use super::edit::flag_value;

/// Where datacatalog serves HTTP, its health, where its settings do not say.
pub(super) const DATACATALOG_HTTP: u16 = 8080;
/// Where datacatalog serves gRPC, where its settings do not say.
pub(super) const DATACATALOG_GRPC: u16 = 8089;
/// Where admin serves HTTP, where its settings do not say.
pub(super) const ADMIN_HTTP: u16 = 8088;
/// Where admin serves gRPC, where its settings do not say.
pub(super) const ADMIN_GRPC: u16 = 8089;
/// Where admin and propellers serve metrics, and propellers their health: checks ask there.
pub(super) const PROFILER: u16 = 10254;

/// What a component serves: HTTP or, of those that speak it beside that, gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listener {
    /// What its readiness probe asks, and most clients.
    Main,
    /// gRPC of admin and datacatalog.
    Grpc,
}

/// The port that a component listens on.
pub(super) fn port(draft: &Draft, component: Component, listener: Listener) -> Result<u16, RenderError> {
    let setting = |path: &[&str], otherwise: u16| -> Result<u16, RenderError> {
        let value = draft.config_value(component, path)?;
        let number = value.as_ref().and_then(|value| match value {
            Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        });
        Ok(number.unwrap_or(otherwise))
    };
    let server =
        || draft.workloads(component).flat_map(|one| one.containers()).find(|one| one["name"] == component.id());
    Ok(match (component, listener) {
        (Component::Datacatalog, Listener::Main) => setting(&["application", "httpPort"], DATACATALOG_HTTP)?,
        (Component::Datacatalog, Listener::Grpc) => setting(&["application", "grpcPort"], DATACATALOG_GRPC)?,
        (Component::Flyteadmin, Listener::Main) => setting(&["server", "httpPort"], ADMIN_HTTP)?,
        (Component::Flyteadmin, Listener::Grpc) => setting(&["server", "grpcPort"], ADMIN_GRPC)?,
        (Component::Flytepropeller | Component::Flytescheduler, _) => PROFILER,
        (Component::Postgres, _) => server().and_then(|one| variable(one, "PGPORT")).unwrap_or(5432),
        (Component::Minio, _) => server().and_then(|one| flag(one, "--address")).unwrap_or(9000),
        (Component::Flyteconsole, _) => server().and_then(|one| variable(one, "PORT")).unwrap_or(8080),
        (Component::Dashboard, _) => 9090,
        (Component::Gateway, _) => 8080,
        (Component::Registry, _) => server().and_then(container_port).unwrap_or(5050),
    })
}

fn variable(container: &Value, name: &str) -> Option<u16> {
    let variables = container.get("env")?.as_array()?;
    variables.iter().find(|variable| variable["name"] == name)?.get("value")?.as_str()?.parse().ok()
}

fn container_port(container: &Value) -> Option<u16> {
    container.pointer("/ports/0/containerPort")?.as_u64()?.try_into().ok()
}

/// The port at the end of an address that a flag gives, such as `--address :9000`.
fn flag(container: &Value, name: &str) -> Option<u16> {
    flag_value(container, name)?.rsplit(':').next()?.parse().ok()
}
