//! `resources`: no processor limits, a share of the processors for each component, disk limits that its own log does not
//! reach, and no request above a limit.

use serde_json::{Map, Value, json};

use super::super::component::{Component, component_of, is_workload};
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use super::edit::put;
use crate::manifest::{Object, Quantity};

/// At log level 4 a container's log, which counts as its ephemeral storage, passes upstream's 100 MiB.
const EPHEMERAL_STORAGE: &str = "500Mi";

/// The most that a container asks the node to keep for it: of a dozen pods, those of production would not fit on a laptop.
const MOST: [(&str, &str); 2] = [("cpu", "50m"), ("memory", "128Mi")];

/// Thousandths of a processor that all propellers ask for together, and the most and the least that one does.
const PROPELLERS: (usize, usize, usize) = (300, 25, 10);

/// What a component asks for of the processors, which is its share where tasks use them up, and what tasks cannot ask for.
/// With 10m each, beside tasks that ask for 100m and may use all, admin answered after six seconds; see docs/tasks.md.
fn cpu(component: Component, propellers: usize) -> String {
    let milli = match component {
        Component::Flyteadmin => 200,
        Component::Postgres => 150,
        Component::Minio | Component::Gateway => 100,
        Component::Datacatalog => 25,
        Component::Flytepropeller => {
            let (all, most, least) = PROPELLERS;
            (all / propellers.max(1)).clamp(least, most)
        }
        Component::Flytescheduler | Component::Flyteconsole | Component::Dashboard | Component::Registry => 10,
    };
    format!("{milli}m")
}

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let mut told = Vec::new();
    for object in draft.objects.iter_mut().filter(|object| is_workload(object)) {
        let component = component_of(object);
        let is_ours = component.is_some();
        let mut raised = Vec::new();
        for list in ["initContainers", "containers"] {
            for container in object.containers_mut(list) {
                let name = container["name"].as_str().unwrap_or_default().to_owned();
                if let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) {
                    as_text(resources);
                    if is_ours {
                        ease(resources);
                    }
                }
                if let Some(component) = component.filter(|component| name == component.id()) {
                    ask(container, &cpu(component, context.workflows.len()));
                }
                let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else { continue };
                raised.extend(raise(resources).into_iter().map(|resource| format!("{resource} of container {name}")));
            }
        }
        quantities(object)?;
        if !raised.is_empty() && !is_ours {
            told.push((object.clone(), format!("has limits as high as its requests: {}", raised.join(", "))));
        }
    }
    for (object, message) in told {
        draft.warn(Effect::Harmless, &object, message);
    }
    Ok(())
}

fn ease(resources: &mut Map<String, Value>) {
    if let Some(requests) = resources.get_mut("requests").and_then(Value::as_object_mut) {
        for (resource, most) in MOST {
            let given = requests.get_mut(resource);
            if let Some(given) = given.filter(|given| Quantity::of(given) > Quantity::of(&Value::from(most))) {
                *given = Value::from(most);
            }
        }
    }
    if let Some(limits) = resources.get_mut("limits").and_then(Value::as_object_mut) {
        limits.shift_remove("cpu");
        if let Some(disk) = limits.get_mut("ephemeral-storage") {
            *disk = Value::from(EPHEMERAL_STORAGE);
        }
    }
}

/// Sets the request for processors, and leaves all else.
fn ask(container: &mut Value, cpu: &str) {
    if !container["resources"].is_object() {
        put(container, "resources", json!({}));
    }
    if !container["resources"]["requests"].is_object() {
        put(&mut container["resources"], "requests", json!({}));
    }
    put(&mut container["resources"]["requests"], "cpu", cpu);
}

fn as_text(resources: &mut Map<String, Value>) {
    for kind in ["limits", "requests"] {
        let quantities = resources.get_mut(kind).and_then(Value::as_object_mut);
        for (_, quantity) in quantities.into_iter().flatten().filter(|(_, quantity)| quantity.is_number()) {
            *quantity = Value::from(quantity.to_string());
        }
    }
}

/// Raises limits to the requests above them, which the API would refuse; of which resources.
fn raise(resources: &mut Map<String, Value>) -> Vec<String> {
    let Some(requests) = resources.get("requests").and_then(Value::as_object).cloned() else { return Vec::new() };
    let Some(limits) = resources.get_mut("limits").and_then(Value::as_object_mut) else { return Vec::new() };
    let mut raised = Vec::new();
    for (resource, request) in requests {
        let Some(limit) = limits.get_mut(&resource) else { continue };
        if Quantity::of(&request) > Quantity::of(limit) {
            *limit = request;
            raised.push(resource);
        }
    }
    raised
}

/// Refuses quantities that the API does not read.
fn quantities(workload: &Object) -> Result<(), RenderError> {
    for container in workload.containers() {
        for kind in ["limits", "requests"] {
            let all = container["resources"][kind].as_object().into_iter().flatten();
            if let Some((resource, given)) = all.into_iter().find(|(_, given)| Quantity::of(given).is_none()) {
                let name = container["name"].as_str().unwrap_or_default();
                return Err(RenderError::Invariant {
                    object: Box::new(workload.reference()),
                    path: format!("{kind}.{resource} of container {name}"),
                    why: format!("is {given}, which is no quantity; write it as 500m, 200Mi or 1.5Gi"),
                });
            }
        }
    }
    Ok(())
}
