//! `unused-settings`: no settings that nothing reads.

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use crate::manifest::Object;

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let has_webhook = draft.objects.iter().any(|object| object.kind() == "MutatingWebhookConfiguration");
    for component in
        [Component::Flyteadmin, Component::Datacatalog, Component::Flytepropeller, Component::Flytescheduler]
    {
        draft.edit_config(component, |config| {
            // Belongs under `storage`; at the top level it is ignored.
            config.remove(&["cache"]);
            if !has_webhook {
                config.remove(&["webhook"]);
            }
        })?;
    }
    for object in &mut draft.objects {
        drop_hooks(object);
    }
    Ok(())
}

/// Helm's hooks mean nothing to anyone but Helm.
fn drop_hooks(object: &mut Object) {
    let Some(annotations) = object.get_mut("/metadata/annotations").and_then(|found| found.as_object_mut()) else {
        return;
    };
    annotations.retain(|key, _| !key.starts_with("helm.sh/"));
    if annotations.is_empty() {
        object.remove(&["metadata", "annotations"]);
    }
}
