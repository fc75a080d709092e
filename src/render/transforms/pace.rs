//! `pace`: a propeller that looks at its workflows often. What upstream ships is for thousands of workflows: a new one is
//! first looked at after 5 s, and one whose pod has ended after up to 30 s. That a pod has ended is seen at the next look
//! alone: v0.12.9 drops the events of pods (`enqueueWorkflowForNodeUpdates` in flytepropeller `pkg/controller/controller.go`
//! goes on only after an error). Measured for one task that takes no time: 25 to 30 s so, 1 to 3 s with what is set here.

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;

const HOME: &str = "core.yaml";

/// Below `propeller`. `base-delay` doubles with each change of a workflow that is not yet looked at, the propeller's own
/// five among them (flytepropeller `composite_workqueue.go`). `queue.queue.max-delay` stays: with it, the retries of a
/// workflow that meets an error outlast an admin that is away for half an hour.
const SETTINGS: [(&[&str], &str); 3] = [
    (&["workflow-reeval-duration"], "500ms"),
    (&["queue", "batching-interval"], "100ms"),
    (&["queue", "queue", "base-delay"], "10ms"),
];

/// The longest pause between two attempts to connect to admin. It grows to 8 s by default (flyteidl
/// `clients/go/admin/config.go`), and a propeller starts before admin where a node starts again: the first execution then
/// waits for the next attempt.
const RECONNECT: (&[&str], &str) = (&["admin", "maxBackoffDelay"], "500ms");

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    draft.edit_config(Component::Flytepropeller, |config| {
        for (path, value) in SETTINGS {
            config.set(HOME, &[&["propeller"], path].concat(), value);
        }
        let (path, pause) = RECONNECT;
        config.set(HOME, path, pause);
    })
}
