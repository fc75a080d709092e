//! `scheduler`: flytescheduler, where the spec asks for it: the one of the manifests or, where they have none, our own.

use super::super::component::{Component, component_of};
use super::super::context::{Context, Draft};
use super::super::error::RenderError;

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let is_there = draft.workloads(Component::Flytescheduler).next().is_some();
    if context.spec.scheduler && !is_there {
        draft.objects.extend(context.built_in(Component::Flytescheduler)?);
    }
    // Of somebody else's it is told that it is left out.
    if !context.spec.scheduler && context.is_built_in {
        draft.objects.retain(|object| component_of(object) != Some(Component::Flytescheduler));
    }
    Ok(())
}
