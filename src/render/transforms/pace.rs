//! `pace`: a propeller that looks at its workflows often. What upstream ships is for thousands of workflows: a new one is
//! first looked at after 5 s, and one whose pod has ended after up to 30 s. Measured for one task that takes no time:
//! 25 to 30 s so, 2 to 4 s with what is set here.

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;

const HOME: &str = "core.yaml";

/// Below `propeller`. `queue.queue.max-delay` stays: with it, the retries of a workflow that meets an error outlast an
/// admin that is away for half an hour.
const SETTINGS: [(&[&str], &str); 3] = [
    (&["workflow-reeval-duration"], "2s"),
    (&["queue", "batching-interval"], "250ms"),
    (&["queue", "queue", "base-delay"], "100ms"),
];

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    draft.edit_config(Component::Flytepropeller, |config| {
        for (path, value) in SETTINGS {
            config.set(HOME, &[&["propeller"], path].concat(), value);
        }
    })
}
