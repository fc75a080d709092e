//! flyteadmin's HTTP API: requests and answers, whichever way they travel.
//!
//! Smoke asks through the published port, as a user does; projects are registered through the Kubernetes API's proxy,
//! which needs nothing but admin itself. Both send what is made here and read with what is here.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::spec::Spec;

/// The path of projects.
pub const PROJECTS: &str = "/api/v1/projects";

/// The path of flyteadmin's health.
pub const HEALTH: &str = "/healthcheck";

/// The Service port of the HTTP API, by its name.
pub const PORT: &str = "http";

/// The workflow that the smoke checks execute.
pub const SMOKE_WORKFLOW: &str = "sandbox.smoke.wf";

/// The most executions that are counted, and so listed at once.
pub const EXECUTIONS_COUNTED: u64 = 100;

/// Label of the projects that this program registered; admin takes no key with a slash or a dot.
const MANAGED_BY: (&str, &str) = ("managed-by", "sandbox");

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// GET, POST, PUT or DELETE.
    pub method: Method,
    /// Path and query, from `/api/v1/` on.
    pub path: String,
    /// JSON, where something is sent.
    pub body: Option<Value>,
}

impl Request {
    /// A GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None }
    }

    /// A POST.
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), body: Some(body) }
    }

    fn put(path: String, body: Value) -> Self {
        Self { method: Method::PUT, path, body: Some(body) }
    }

    /// Every project, archived ones too: by itself admin lists the active ones. No project has a state 2; there are 0
    /// and 1.
    #[must_use]
    pub fn all_projects() -> Self {
        Self::get(format!("{PROJECTS}?filters=ne(state,2)"))
    }

    /// The executions of a project in a domain, those of the smoke workflow aside; at most [`EXECUTIONS_COUNTED`].
    #[must_use]
    pub fn executions(project: &str, domain: &str) -> Self {
        let filter = format!("filters=ne(workflow.name,{SMOKE_WORKFLOW})");
        Self::get(format!("/api/v1/executions/{project}/{domain}?limit={EXECUTIONS_COUNTED}&{filter}"))
    }

    /// The newest executions of a project in a domain, the newest first.
    #[must_use]
    pub fn newest_executions(project: &str, domain: &str, limit: usize) -> Self {
        let order = "sort_by.key=created_at&sort_by.direction=DESCENDING";
        Self::get(format!("/api/v1/executions/{project}/{domain}?limit={limit}&{order}"))
    }

    /// One execution of a project and a domain, where there are any: of admin's lists the only one that tells of a table that
    /// is not there. The others are empty then.
    #[must_use]
    pub fn any_execution(spec: &Spec) -> Option<Self> {
        let (project, domain) = spec.projects.first().zip(spec.domains.first())?;
        Some(Self::get(format!("/api/v1/executions/{project}/{}?limit=1", domain.id)))
    }

    /// Writes down that an execution such as `x/d-dev/f4a2b` is aborted, and why. Where its workflow is there it is removed,
    /// and its propeller tells admin of the end.
    #[must_use]
    pub fn abort(execution: &str, cause: &str) -> Self {
        let path = format!("/api/v1/executions/{execution}");
        Self { method: Method::DELETE, path, body: Some(json!({"cause": cause})) }
    }

    /// Tells admin that an execution has ended as aborted, as its propeller would. `at` is RFC 3339. The producer is the one
    /// that propellers of old name, and that admin compares with nothing: since 1.x any other must be the cluster that the
    /// execution is recorded for (flyteadmin's `ValidateCluster`).
    #[must_use]
    pub fn aborted(execution: &str, cause: &str, at: &str) -> Self {
        let mut parts = execution.splitn(3, '/').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        let id = json!({"project": part(), "domain": part(), "name": part()});
        let error = json!({"code": "Aborted", "message": cause, "kind": "SYSTEM"});
        let event = json!({"execution_id": id, "producer_id": "propeller", "phase": "ABORTED", "occurred_at": at, "error": error});
        Self::post("/api/v1/events/workflows", json!({"request_id": format!("aborted-{execution}"), "event": event}))
    }

    /// Registers a project as one of this program's.
    #[must_use]
    pub fn register_project(id: &str) -> Self {
        let description = format!("{id} description");
        let project = json!({"id": id, "name": id, "description": description, "labels": own_labels()});
        Self::post(PROJECTS, json!({"project": project}))
    }

    /// Archives a project, or takes an archived or unlabelled one back. Labels that are not sent are lost.
    #[must_use]
    pub fn set_project_state(id: &str, state: ProjectState) -> Self {
        let state = match state {
            ProjectState::Active => "ACTIVE",
            ProjectState::Archived => "ARCHIVED",
        };
        Self::put(format!("{PROJECTS}/{id}"), json!({"id": id, "state": state, "labels": own_labels()}))
    }
}

fn own_labels() -> Value {
    let (key, value) = MANAGED_BY;
    json!({"values": {key: value}})
}

/// The state of a project. Admin cannot delete one: archived, it is on no list and takes no executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectState {
    /// Listed.
    Active,
    /// Off the lists.
    Archived,
}

/// The answer to a list of projects.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProjectList {
    /// The projects.
    #[serde(default)]
    pub projects: Vec<Project>,
}

/// A project in a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// Absent where it is active.
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    domains: Vec<Domain>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Labels {
    #[serde(default)]
    values: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Domain {
    id: String,
}

impl Project {
    /// Whether it takes executions.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state.as_deref().is_none_or(|state| state == "ACTIVE")
    }

    /// Whether this program registered it. What others register stays theirs.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let (key, value) = MANAGED_BY;
        self.labels.values.get(key).is_some_and(|own| own == value)
    }

    /// The ids of its domains.
    #[must_use]
    pub fn domains(&self) -> BTreeSet<&str> {
        self.domains.iter().map(|domain| domain.id.as_str()).collect()
    }
}

/// The answer to a list of executions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExecutionList {
    /// The executions.
    #[serde(default)]
    pub executions: Vec<Execution>,
}

/// An execution.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
pub struct Execution {
    #[serde(default)]
    id: ExecutionId,
    #[serde(default)]
    closure: Closure,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
struct ExecutionId {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
struct WorkflowId {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
struct Closure {
    #[serde(default)]
    phase: Option<String>,
    #[serde(default)]
    workflow_id: Option<WorkflowId>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    started_at: Option<String>,
    #[serde(default)]
    duration: Option<String>,
    #[serde(default)]
    error: Option<ExecutionError>,
    #[serde(default)]
    abort_metadata: Option<Abort>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct ExecutionError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Abort {
    #[serde(default)]
    cause: String,
}

impl Execution {
    /// Its phase; none until its propeller has told admin of it.
    #[must_use]
    pub fn phase(&self) -> Option<&str> {
        self.closure.phase.as_deref().filter(|phase| *phase != "UNDEFINED")
    }

    /// Its name, where it comes from a list.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.id.name
    }

    /// The name of its workflow.
    #[must_use]
    pub fn workflow(&self) -> Option<&str> {
        self.closure.workflow_id.as_ref().map(|id| id.name.as_str())
    }

    /// When it was created, or else when it began, RFC 3339.
    #[must_use]
    pub fn began(&self) -> Option<&str> {
        self.closure.created_at.as_deref().or(self.closure.started_at.as_deref())
    }

    /// How long it took in seconds, once it has ended: admin says `12.5s`.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let seconds = self.closure.duration.as_deref()?.strip_suffix('s')?.parse().ok();
        seconds.filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
    }

    /// Whether it has succeeded; none until it has ended.
    #[must_use]
    pub fn outcome(&self) -> Option<bool> {
        match self.phase()? {
            "SUCCEEDED" => Some(true),
            "FAILED" | "ABORTED" | "TIMED_OUT" => Some(false),
            _ => None,
        }
    }

    /// Why it failed, in lines as admin has them.
    pub fn error_lines(&self) -> impl Iterator<Item = &str> {
        self.closure.error.iter().flat_map(|error| error.message.lines())
    }

    /// Why it failed, in one line.
    #[must_use]
    pub fn error(&self) -> String {
        let Closure { error, abort_metadata, .. } = &self.closure;
        let error = error.as_ref().map(|ExecutionError { code, message }| match (code.as_str(), message.trim()) {
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        });
        let aborted = abort_metadata.as_ref().map(|abort| abort.cause.clone());
        let words = error.or(aborted).filter(|words| !words.is_empty());
        words.unwrap_or_else(|| "admin has no error for it".to_owned()).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The message of a refusal, where its body is admin's.
#[must_use]
pub fn refusal(body: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    ["message", "error"].iter().find_map(|key| json.get(key)?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Execution, Request};

    #[test]
    fn the_end_of_an_execution_is_told_of_the_one_that_is_named() {
        let told = Request::aborted("x/d-dev/f4a2b", "why", "2026-11-27T10:00:00Z").body.expect("a body");
        let id = &told["event"]["execution_id"];
        assert_eq!((&id["project"], &id["domain"], &id["name"]), (&"x".into(), &"d-dev".into(), &"f4a2b".into()));
        assert_eq!(told["event"]["producer_id"], "propeller", "admin of 1.x takes any other for a cluster's name");
        assert_eq!(Request::abort("x/d-dev/f4a2b", "why").path, "/api/v1/executions/x/d-dev/f4a2b");
    }

    #[test]
    fn an_execution_in_a_list_has_a_name_and_times_whatever_is_missing() {
        let full =
            r#"{"id":{"name":"f1"},"closure":{"workflow_id":{"name":"a.wf"},"created_at":"2026","duration":"1.5s"}}"#;
        for (body, name, workflow, began, seconds) in [
            ("{}", "", None, None, None),
            (full, "f1", Some("a.wf"), Some("2026"), Some(1.5)),
            (r#"{"closure":{"started_at":"2025","duration":"-3s"}}"#, "", None, Some("2025"), None),
            (r#"{"closure":{"duration":"infs"}}"#, "", None, None, None),
        ] {
            let one: Execution = serde_json::from_str(body).expect("an execution");
            assert_eq!((one.name(), one.workflow(), one.began(), one.seconds()), (name, workflow, began, seconds));
        }
    }

    #[test]
    fn an_execution_is_read_in_every_phase() {
        let table = [
            ("{}", None, "admin has no error for it"),
            (r#"{"closure":{"phase":"UNDEFINED"}}"#, None, "admin has no error for it"),
            (r#"{"closure":{"phase":"QUEUED","started_at":"2021"}}"#, Some("QUEUED"), "admin has no error for it"),
            (
                r#"{"closure":{"phase":"FAILED","error":{"code":"USER:NonZeroExitCode","message":"exit\n code 1","kind":"USER"}}}"#,
                Some("FAILED"),
                "USER:NonZeroExitCode: exit code 1",
            ),
            (r#"{"closure":{"phase":"FAILED","error":{"message":"no"}}}"#, Some("FAILED"), "no"),
            (r#"{"closure":{"phase":"ABORTED","abort_metadata":{"cause":"by hand"}}}"#, Some("ABORTED"), "by hand"),
        ];
        for (body, phase, error) in table {
            let execution: Execution = serde_json::from_str(body).expect("an execution");
            assert_eq!((execution.phase(), execution.error().as_str()), (phase, error), "{body}");
        }
    }
}
