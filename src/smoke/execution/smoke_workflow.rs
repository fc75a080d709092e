//! The workflow of the smoke test: names, and the exact JSON.
//!
//! flyteadmin v0.6.13 dies of a task without `metadata.runtime` and of nil inputs, and answers 400 to an unknown field:
//! nothing is left out here, and nothing added. An execution of a single task without inputs fails in it, so there is a
//! workflow of one node.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::flyte::admin::{Request, SMOKE_WORKFLOW};
use crate::spec::WorkflowNamespace;

/// The line that the task writes to its log.
pub(super) const MARKER: &str = "sandbox-smoke-ok";
/// The workflow's only node.
pub(super) const NODE: &str = "n0";

const TASK: &str = "sandbox.smoke";

/// A workflow of one task, and its one execution, in one (project, domain).
#[derive(Debug, Clone)]
pub(super) struct SmokeWorkflow {
    /// The workflow namespace that it runs in.
    pub(super) at: WorkflowNamespace,
    /// The execution's name, which is also the version of the workflow.
    pub(super) name: String,
    /// The image of the task's container; it must have a `sh`.
    pub(super) image: String,
}

impl SmokeWorkflow {
    /// Project and domain as a user reads them: `x/d-dev`.
    pub(super) fn pair(&self) -> String {
        format!("{}/{}", self.at.project, self.at.domain)
    }

    /// Registers the task.
    pub(super) fn create_task(&self) -> Request {
        Request::post(
            "/api/v1/tasks",
            json!({"id": self.id("TASK", TASK), "spec": {"template": {
                "type": "container",
                "metadata": {
                    "runtime": {"type": "OTHER", "version": "0.0.0", "flavor": "sandbox"},
                    "retries": {"retries": 0},
                },
                "interface": {"inputs": {}, "outputs": {}},
                "container": {
                    "image": self.image,
                    "command": ["sh", "-c", format!("echo {MARKER}")],
                    "resources": {},
                },
            }}}),
        )
    }

    /// Registers the workflow.
    pub(super) fn create_workflow(&self) -> Request {
        Request::post(
            "/api/v1/workflows",
            json!({"id": self.id("WORKFLOW", SMOKE_WORKFLOW), "spec": {"template": {
                "interface": {"inputs": {}, "outputs": {}},
                "metadata": {},
                "nodes": [{
                    "id": NODE,
                    "metadata": {"name": "smoke", "retries": {"retries": 0}},
                    "task_node": {"reference_id": self.id("TASK", TASK)},
                }],
            }}}),
        )
    }

    /// Registers the launch plan.
    pub(super) fn create_launch_plan(&self) -> Request {
        Request::post(
            "/api/v1/launch_plans",
            json!({"id": self.id("LAUNCH_PLAN", SMOKE_WORKFLOW), "spec": {
                "workflow_id": self.id("WORKFLOW", SMOKE_WORKFLOW),
                "entity_metadata": {},
                "default_inputs": {},
                "fixed_inputs": {},
                "labels": {},
                "annotations": {},
            }}),
        )
    }

    /// Starts the execution.
    pub(super) fn create_execution(&self) -> Request {
        Request::post(
            "/api/v1/executions",
            json!({"project": self.at.project, "domain": self.at.domain, "name": self.name, "inputs": {}, "spec": {
                "launch_plan": self.id("LAUNCH_PLAN", SMOKE_WORKFLOW),
                "metadata": {"mode": "MANUAL"},
                "disable_all": true,
            }}),
        )
    }

    /// Reads the registered workflow back.
    pub(super) fn read_workflow(&self) -> Request {
        Request::get(format!("/api/v1/workflows/{}/{}/{SMOKE_WORKFLOW}/{}", self.at.project, self.at.domain, self.name))
    }

    /// Reads the execution.
    pub(super) fn read_execution(&self) -> Request {
        Request::get(format!("/api/v1/executions/{}/{}/{}", self.at.project, self.at.domain, self.name))
    }

    /// Lists the attempts of the node's task; admin refuses a list without a limit.
    pub(super) fn list_task_executions(&self) -> Request {
        Request::get(format!(
            "/api/v1/task_executions/{}/{}/{}/{NODE}?limit=10",
            self.at.project, self.at.domain, self.name
        ))
    }

    /// Sends the last event of a workflow that has succeeded once more. Admin refuses it: it has that phase already.
    pub(super) fn repeat(&self, event: Event, now: &str) -> Request {
        let execution = json!({"project": self.at.project, "domain": self.at.domain, "name": self.name});
        let node = json!({"node_id": NODE, "execution_id": execution});
        let (path, mut body) = match event {
            Event::Workflow => ("workflows", json!({"execution_id": execution})),
            Event::Node => ("nodes", json!({"id": node})),
            Event::Task => ("tasks", json!({"task_id": self.id("TASK", TASK), "parent_node_execution_id": node})),
        };
        body["phase"] = "SUCCEEDED".into();
        body["occurred_at"] = now.into();
        Request::post(format!("/api/v1/events/{path}"), json!({"request_id": self.name, "event": body}))
    }

    fn id(&self, kind: &str, name: &str) -> Value {
        let (project, domain) = (&self.at.project, &self.at.domain);
        json!({"resource_type": kind, "project": project, "domain": domain, "name": name, "version": self.name})
    }
}

/// What a propeller tells admin about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Workflow,
    Node,
    Task,
}

impl Event {
    pub(super) const ALL: [Self; 3] = [Self::Workflow, Self::Node, Self::Task];
}

/// A name that no other run has. Admin takes `[a-z][a-z0-9-]*` of at most 20 characters.
pub(super) fn fresh_name() -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    name_of(nanos)
}

fn name_of(mut moment: u128) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    // 13 digits hold the nanoseconds of this century and the next.
    for _ in 0..13 {
        digits.push(char::from(DIGITS[(moment % 36) as usize]));
        moment /= 36;
    }
    format!("smoke{}", digits.iter().rev().collect::<String>().trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::{SmokeWorkflow, name_of};
    use crate::spec::Spec;

    #[test]
    fn the_requests_are_exactly_these() {
        let at = Spec::default().workflow_namespaces().remove(0);
        let workflow = SmokeWorkflow { at, name: "smoke1".to_owned(), image: "postgres:10.16-alpine".to_owned() };
        let requests = [
            workflow.create_task(),
            workflow.create_workflow(),
            workflow.create_launch_plan(),
            workflow.create_execution(),
        ];
        let bodies = requests.map(|request| serde_json::to_string_pretty(&request.body).expect("JSON")).join("\n");
        insta::assert_snapshot!("requests", bodies);
    }

    proptest::proptest! {
        #[test]
        fn admin_takes_any_name_that_is_made(moment: u128) {
            let name = name_of(moment);
            proptest::prop_assert!(name.len() <= 20 && name.starts_with("smoke"), "{}", name);
            proptest::prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{}", name);
        }
    }

    #[test]
    fn later_names_differ() {
        let now = 1_795_000_000_000_000_000;
        assert_ne!(name_of(now), name_of(now + 1));
        assert!(name_of(now).len() < 20);
    }
}
