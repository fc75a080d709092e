//! `resources`: no processor limits, and disk limits that a component's own log does not reach.

use serde_json::Value;

use super::super::component::component_of;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;

/// At log level 4 a container's log, which counts as its ephemeral storage, passes upstream's 100 MiB.
const EPHEMERAL_STORAGE: &str = "500Mi";

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for object in draft.objects.iter_mut().filter(|object| component_of(object).is_some()) {
        for list in ["initContainers", "containers"] {
            for container in object.containers_mut(list) {
                if let Some(limits) = container.pointer_mut("/resources/limits").and_then(Value::as_object_mut) {
                    limits.shift_remove("cpu");
                    if let Some(disk) = limits.get_mut("ephemeral-storage") {
                        *disk = Value::from(EPHEMERAL_STORAGE);
                    }
                }
                for kind in ["/resources/limits", "/resources/requests"] {
                    let quantities = container.pointer_mut(kind).and_then(Value::as_object_mut);
                    for (_, quantity) in quantities.into_iter().flatten().filter(|(_, quantity)| quantity.is_number()) {
                        *quantity = Value::from(quantity.to_string());
                    }
                }
            }
        }
    }
    Ok(())
}
