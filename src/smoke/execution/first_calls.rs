//! flyteadmin's first calls. v0.6.13 registers a counter at the first call of each method and result, and two first
//! calls of one kind at the same moment end its process: "duplicate metrics collector registration".

use super::smoke_workflow::SmokeWorkflow;
use super::{admin, smoke_workflow};
use crate::flyte::names;
use crate::smoke::target::CheckContext;

/// The port of flyteadmin's metrics.
const METRICS_PORT: u16 = 10254;

/// The counters that a workflow registers, by method and result (`pkg/rpc/adminservice`, v0.6.13).
const COUNTERS: [(&str, &str); 14] = [
    ("create_task", "OK"),
    ("create_workflow", "OK"),
    ("get_workflow", "OK"),
    ("create_launch_plan", "OK"),
    ("create_execution", "OK"),
    ("get_execution", "OK"),
    ("list_projects", "OK"),
    ("list_task_execution", "OK"),
    ("create_execution_event", "OK"),
    ("create_node_execution_event", "OK"),
    ("create_task_execution_event", "OK"),
    // A propeller repeats an event now and then.
    ("create_execution_event", "AlreadyExists"),
    ("create_node_execution_event", "AlreadyExists"),
    ("create_task_execution_event", "AlreadyExists"),
];

/// Whether flyteadmin has had all calls of a workflow since it started: then no two of them can be the first of their
/// kind. Not where its metrics cannot be read.
pub(super) async fn are_made(context: &CheckContext<'_>) -> bool {
    let system = context.spec.system_namespace();
    let Ok(pods) = context.api.pods(&system, "").await else { return false };
    let names = pods.iter().filter_map(|pod| pod.metadata.name.as_deref());
    // A Deployment's pods are called <deployment>-<template hash>-<suffix>.
    let admins: Vec<_> = names.filter(|name| name.rsplitn(3, '-').nth(2) == Some(names::ADMIN)).collect();
    for pod in &admins {
        let metrics = context.api.pod(&system, pod, METRICS_PORT, "metrics").await;
        if !metrics.is_ok_and(|metrics| are_registered(&metrics)) {
            return false;
        }
    }
    !admins.is_empty()
}

fn are_registered(metrics: &str) -> bool {
    let counted: Vec<_> = metrics.lines().filter_map(|line| line.split(' ').next()).collect();
    let is_registered = |(method, code): &(&str, &str)| {
        let counter = format!("admin:{method}:codes:{code}");
        counted.iter().any(|name| name.ends_with(&counter))
    };
    COUNTERS.iter().all(is_registered)
}

/// Repeats the last events of a workflow that has succeeded, which flyteadmin refuses as known: that result's counters
/// are registered then. What comes of it is nothing to a user.
pub(super) async fn repeat_events(workflow: &SmokeWorkflow, context: &CheckContext<'_>) {
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    for event in smoke_workflow::Event::ALL {
        let _ = admin::once(context, &workflow.repeat(event, &now)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{COUNTERS, are_registered};

    #[test]
    fn one_counter_less_is_not_all() {
        let line = |(method, code): &(&str, &str)| format!("flyte:admin:{method}:codes:{code} 3\n");
        let all: Vec<_> = COUNTERS.iter().map(line).collect();
        assert!(are_registered(&all.concat()));
        for missing in 0..all.len() {
            let mut some = all.clone();
            some.remove(missing);
            assert!(!are_registered(&some.concat()), "without {}", all[missing]);
        }
        assert!(!are_registered("flyte:admin:create_execution:duration_ms_count 3\n"));
    }
}
