//! The log of the run itself: its failure, its events, the output of other programs, its plan.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::source::{Content, Found};
use crate::failure::Failure;
use crate::plan::Plan;
use crate::report::{Event, Json, View};

/// The failure as a program reads it.
pub(super) fn failure(failure: &Failure) -> Found {
    file("failure.json", "why the run failed", failure)
}

/// The run's events, as `--output json` prints them.
pub(super) fn run(history: &[(Duration, Event)]) -> Found {
    let what = "everything that the run said, an event a line";
    let mut lines = Vec::new();
    for (at, event) in history {
        if let Err(error) = Json::new(&mut lines).on(*at, event) {
            return Found::missing(what, error.to_string());
        }
    }
    let values = serde_json::Deserializer::from_slice(&lines).into_iter::<Value>();
    Found::file("run.ndjson", what, Content::Lines(values.filter_map(Result::ok).collect()))
}

/// What other programs wrote, with the time since the run began.
pub(super) fn program_output(output: &[(Duration, String)]) -> Found {
    let mut text = String::new();
    for (at, line) in output {
        let _ = writeln!(text, "{:>8.3}  {line}", at.as_secs_f64());
    }
    Found::file("k3d.log", "what k3d was asked, and all that it wrote", text)
}

/// The plan, and the objects in it as manifests.
pub(super) fn plan(plan: Result<&Plan, &Failure>) -> Found {
    let plan = match plan {
        Ok(plan) => plan,
        Err(failure) => return Found::missing("the plan, and the manifests", failure.to_string()),
    };
    let waves: Vec<_> = plan
        .waves
        .iter()
        .map(|wave| json!({ "name": wave.name, "objects": wave.objects.iter().map(|o| o.reference().to_string()).collect::<Vec<_>>() }))
        .collect();
    let shown = json!({
        "spec": plan.spec, "cluster": plan.cluster, "images": plan.images, "nodeImages": plan.node_images,
        "waves": waves, "digest": plan.digest,
    });
    let objects = plan.waves.iter().flat_map(|wave| &wave.objects).map(|object| object.value().clone()).collect();
    let manifests = "the manifests as they go to the API, in that order";
    Found::file("plan.json", "what `up` is to make; the objects are in manifests.yaml", shown).and(Found::file(
        "manifests.yaml",
        manifests,
        Content::Documents(objects),
    ))
}

fn file(path: &str, what: &str, value: &impl Serialize) -> Found {
    match serde_json::to_value(value) {
        Ok(value) => Found::file(path, what, value),
        Err(error) => Found::missing(what, error.to_string()),
    }
}
