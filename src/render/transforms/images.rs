//! `images`: pinned images, replaced by those that the spec names, and no container whose image is not pinned.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::component::{Component, component_of};
use super::super::context::{Context, Draft, Effect, Warning};
use super::super::error::RenderError;
use super::database::CHECK_DATABASE;
use super::edit::put;
use crate::manifest::{ImageRef, Object};

/// Serves admin's API description from an image without a tag, within the pod of admin: where it cannot be pulled,
/// admin is not ready.
const REDOC: &str = "redoc";

/// Waits in the gateway's pod until names resolve, with the tools of the database's image: Envoy's may have no shell.
const CHECK_NAMES: &str = "check-names";

const COPILOT_FILE: &str = "copilot.yaml";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let pinned: BTreeMap<Component, &ImageRef> = context
        .lock
        .pins()
        .map(|(component, pin)| (component, context.spec.images.get(component.id()).unwrap_or(&pin.image)))
        .collect();
    let overridden = |component: Component| context.spec.images.contains_key(component.id());
    let mut warnings = Vec::new();
    for object in &mut draft.objects {
        let Some(component) = component_of(object) else { continue };
        drop_redoc(object, component);
        let main = main_image(object, component);
        let reference = object.reference();
        let mut replaced = BTreeSet::new();
        for list in ["initContainers", "containers"] {
            for container in object.containers_mut(list) {
                put(container, "imagePullPolicy", Value::from("IfNotPresent"));
                match owner(container, component, main.as_ref()).and_then(|owner| Some((owner, pinned.get(&owner)?))) {
                    Some((owner, image)) => {
                        let given = container["image"].as_str().filter(|given| *given != image.as_str());
                        if let Some(given) = given.filter(|_| owner == component && !overridden(component)) {
                            replaced.insert((given.to_owned(), *image));
                        }
                        put(container, "image", Value::from(image.as_str()));
                    }
                    None => warnings.push(Warning {
                        effect: Effect::Differs,
                        object: reference.clone(),
                        message: format!(
                            "runs {} in container {}, which is not pinned",
                            container["image"], container["name"]
                        ),
                    }),
                }
            }
        }
        warnings.extend(replaced.into_iter().map(|(given, image)| Warning {
            effect: if same_release(&given, image) { Effect::Harmless } else { Effect::Differs },
            object: reference.clone(),
            message: format!("runs {image}, which is pinned, and not {given}; `images` in a spec says otherwise"),
        }));
    }
    draft.warnings.extend(warnings);
    match context.lock.copilot() {
        Some(copilot) => draft.edit_config(Component::Flytepropeller, |config| {
            config.set(COPILOT_FILE, &["plugins", "k8s", "co-pilot", "image"], copilot.image.as_str());
        }),
        None => Ok(()),
    }
}

/// Whether two images are of one minor version, as far as their tags tell; of what is not Flyte's nothing is lost.
fn same_release(given: &str, pinned: &ImageRef) -> bool {
    let minor = |image: &ImageRef| {
        let mut numbers = image.tag()?.trim_start_matches('v').split('.').map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    let of_flyte = pinned.repository().contains("flyteorg/");
    let given = given.parse::<ImageRef>().ok();
    !of_flyte || given.is_some_and(|given| minor(&given).is_some() && minor(&given) == minor(pinned))
}

fn main_image(object: &Object, component: Component) -> Option<Value> {
    object.containers().find(|container| container["name"] == component.id())?.get("image").cloned()
}

/// Whose image a container of a component's pod runs.
fn owner(container: &Value, component: Component, main: Option<&Value>) -> Option<Component> {
    if container["name"] == CHECK_DATABASE || container["name"] == CHECK_NAMES {
        return Some(Component::Postgres);
    }
    if container["name"] == component.id() || container.get("image") == main {
        return Some(component);
    }
    let image: ImageRef = container.get("image")?.as_str()?.parse().ok()?;
    Component::of_id(image.repository().rsplit('/').next()?)
}

fn drop_redoc(object: &mut Object, component: Component) {
    if component != Component::Flyteadmin {
        return;
    }
    if let Some(containers) = object.pod_spec_mut().and_then(|pod| pod.get_mut("containers")?.as_array_mut()) {
        containers.retain(|container| {
            let image = container["image"].as_str().and_then(|image| image.parse::<ImageRef>().ok());
            let of_image = image.is_some_and(|image| image.repository().rsplit('/').next() == Some(REDOC));
            container["name"] != REDOC && !of_image
        });
    }
    if object.kind() == "Service"
        && let Some(ports) = object.get_mut("/spec/ports").and_then(Value::as_array_mut)
    {
        ports.retain(|port| port["name"] != REDOC);
    }
}
