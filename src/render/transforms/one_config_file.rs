//! `one-config-file`: a propeller's settings in one file. It watches each file that it reads with an inotify instance of
//! its own, ten of them with upstream's files; where a user has the usual 128, two sandboxes or four projects would use
//! them up, and the next propeller ends with `too many open files`.

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;

const HOME: &str = "core.yaml";

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    draft.edit_config(Component::Flytepropeller, |config| config.merge_into(HOME))
}
