//! What tasks get that name no resources, by project and domain: requests to flyteadmin about it, and the answer.
//!
//! Admin v0.6.13 has limits there as well, and takes them for those of a task that names none; the most that a task may name
//! is in its settings alone.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::admin::Request;
use crate::spec::Resources;

/// The path of what admin does otherwise for a project in a domain.
pub const PROJECT_DOMAIN_ATTRIBUTES: &str = "/api/v1/project_domain_attributes";

/// The path of the list of it.
pub const MATCHABLE_ATTRIBUTES: &str = "/api/v1/matchable_attributes";

/// What of that is about resources of tasks.
const TASK_RESOURCE: &str = "TASK_RESOURCE";

fn path(project: &str, domain: &str) -> String {
    format!("{PROJECT_DOMAIN_ATTRIBUTES}/{project}/{domain}")
}

/// What is said of each project and domain.
#[must_use]
pub fn list() -> Request {
    Request::get(format!("{MATCHABLE_ATTRIBUTES}?resource_type={TASK_RESOURCE}"))
}

/// Says what tasks of a project get in a domain.
#[must_use]
pub fn set(project: &str, domain: &str, resources: &Resources) -> Request {
    let attributes = json!({"task_resource_attributes": {"defaults": resources}});
    let body = json!({"attributes": {"project": project, "domain": domain, "matching_attributes": attributes}});
    Request { method: Method::PUT, path: path(project, domain), body: Some(body) }
}

/// Leaves that to admin's settings.
#[must_use]
pub fn forget(project: &str, domain: &str) -> Request {
    let body = json!({"project": project, "domain": domain, "resource_type": TASK_RESOURCE});
    Request { method: Method::DELETE, path: path(project, domain), body: Some(body) }
}

/// The answer to [`list`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct TaskResources {
    #[serde(default)]
    configurations: Vec<TaskConfiguration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct TaskConfiguration {
    #[serde(default)]
    project: String,
    #[serde(default)]
    domain: String,
    /// Absent where it holds for all of them.
    #[serde(default)]
    workflow: String,
    attributes: TaskAttributes,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct TaskAttributes {
    task_resource_attributes: TaskDefaults,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct TaskDefaults {
    #[serde(default)]
    defaults: Resources,
}

impl TaskResources {
    /// What is said of a project in a domain.
    #[must_use]
    pub fn of(&self, project: &str, domain: &str) -> Option<&Resources> {
        let own = |one: &&TaskConfiguration| one.project == project && one.domain == domain && one.workflow.is_empty();
        self.configurations.iter().find(own).map(|one| &one.attributes.task_resource_attributes.defaults)
    }
}
