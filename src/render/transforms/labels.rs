//! `labels`: whose objects these are. Selectors are left alone: they cannot be changed on a living object.

use super::super::component::component_of;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;
use crate::flyte::labels::{MANAGED_BY, MANAGER, SANDBOX_NAME};

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    for object in &mut draft.objects {
        if let Some(component) = component_of(object) {
            object.set(&["metadata", "labels", "app.kubernetes.io/name"], component.id());
            object.set(&["metadata", "labels", "app.kubernetes.io/instance"], "flyte");
        }
        for labels in [&["metadata", "labels"][..], &["spec", "template", "metadata", "labels"]] {
            let template = labels.len() > 2;
            if template && object.pod_template_mut().is_none() {
                continue;
            }
            let path = |key| [labels, &[key]].concat();
            object.set(&path(MANAGED_BY), MANAGER);
            object.set(&path(SANDBOX_NAME), context.spec.name.as_str());
            object.remove(&path("helm.sh/chart"));
        }
    }
    Ok(())
}
