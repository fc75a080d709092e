//! Admin's list of projects, brought to what the spec says.
//!
//! It is asked through the Kubernetes API's proxy, so this needs nothing but admin itself. Admin cannot forget a project:
//! one that goes is archived, which takes it off every list and refuses new executions, and comes back as it was.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use kube::Client;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Failure, Reason};
use crate::flyte::admin::{self, Project, ProjectList, ProjectState, Request};
use crate::flyte::names;
use crate::kubernetes::{ApiError, ask, retry};
use crate::limits::{API_ANSWER, REGISTRATION};
use crate::report::Stage;
use crate::run::Run;
use crate::spec::Spec;

/// Admin's own refusals carry a code of gRPC's, and this is the last of them.
const LAST_CODE: u16 = 16;

/// A request that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    /// Admin has never heard of it.
    Register(&'a str),
    /// It is archived, or somebody else registered it.
    TakeOver(&'a str),
    /// It was ours, and the spec has it no longer.
    Archive(&'a str),
}

fn steps<'a>(spec: &'a Spec, listed: &'a [Project]) -> Vec<Step<'a>> {
    let wanted = spec.projects.iter().filter_map(|id| match listed.iter().find(|project| project.id == *id) {
        None => Some(Step::Register(id)),
        Some(project) if project.is_active() && project.is_ours() => None,
        Some(_) => Some(Step::TakeOver(id)),
    });
    let stale = |project: &&Project| project.is_active() && project.is_ours() && !spec.projects.contains(&project.id);
    wanted.chain(listed.iter().filter(stale).map(|project| Step::Archive(&project.id))).collect()
}

/// Registers what is missing and archives what is ours and wanted no longer. Whether anything had to be done.
///
/// # Errors
/// [`Reason::Registration`] with admin's words.
pub(super) async fn reconcile(client: &Client, spec: &Spec, run: &Run) -> Result<bool, Failure> {
    let run = &Run { deadline: run.deadline.min(REGISTRATION), ..run.clone() };
    let work = async {
        retry(run, &"flyteadmin", Duration::ZERO, || async {
            let listed = list(client, spec).await.map_err(unless_admins)?;
            let steps = steps(spec, &listed);
            for step in &steps {
                take(client, spec, *step).await.map_err(unless_admins)?;
                run.report.progress(Stage::Rollout, told(*step));
            }
            Ok::<_, kube::Error>(!steps.is_empty())
        })
        .await
        .map_err(failure)
    };
    run.unless_cancelled(work).await
}

/// Every project that admin has, archived ones too.
///
/// # Errors
/// [`Reason::Registration`] with admin's words.
pub(super) async fn listed(client: &Client, spec: &Spec) -> Result<Vec<Project>, Failure> {
    ask(API_ANSWER, list(client, spec)).await.map_err(failure)
}

/// An error as one of the way to admin, unless it is admin's own: just after a node's start the way to a Service may lead
/// elsewhere, and whoever answers there knows nothing of projects.
fn unless_admins(error: kube::Error) -> kube::Error {
    match error {
        kube::Error::Api(status) if status.code > LAST_CODE => kube::Error::Service(status.message.clone().into()),
        kube::Error::SerdeError(error) => kube::Error::Service(error.into()),
        error => error,
    }
}

fn failure(error: ApiError) -> Failure {
    Failure::new(Reason::Registration, "admin does not take the projects").on("deployment flyteadmin").because(error)
}

fn told(step: Step<'_>) -> String {
    match step {
        Step::Register(id) | Step::TakeOver(id) => format!("project {id}: registered"),
        Step::Archive(id) => format!("project {id}: archived"),
    }
}

async fn list(client: &Client, spec: &Spec) -> kube::Result<Vec<Project>> {
    Ok(send::<ProjectList>(client, spec, Request::all_projects()).await?.projects)
}

async fn take(client: &Client, spec: &Spec, step: Step<'_>) -> kube::Result<()> {
    let request = match step {
        Step::Register(id) => Request::register_project(id),
        Step::TakeOver(id) => Request::set_project_state(id, ProjectState::Active),
        Step::Archive(id) => Request::set_project_state(id, ProjectState::Archived),
    };
    send::<Value>(client, spec, request).await.map(|_| ())
}

/// One request to admin's HTTP API, by way of Kubernetes'.
async fn send<T: DeserializeOwned>(client: &Client, spec: &Spec, request: Request) -> kube::Result<T> {
    let (namespace, admin, port) = (spec.system_namespace(), names::ADMIN, admin::PORT);
    let uri = format!("/api/v1/namespaces/{namespace}/services/{admin}:{port}/proxy{}", request.path);
    let body = request.body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let request = http::Request::builder().method(request.method).uri(uri).header(CONTENT_TYPE, "application/json");
    client.request(request.body(body).map_err(|error| kube::Error::Service(error.into()))?).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(json: &Value) -> Vec<Project> {
        serde_json::from_value(json.clone()).expect("projects")
    }

    #[test]
    fn only_admins_own_refusals_are_final() {
        let answered = |code, words: &str| {
            let status = kube::core::Status::failure(words, "").with_code(code).boxed();
            matches!(unless_admins(kube::Error::Api(status)), kube::Error::Api(_))
        };
        assert!(answered(3, "invalid value for field id"));
        assert!(!answered(403, "a proxy's words"));
        assert!(!answered(503, "no endpoints available"));
    }

    #[test]
    fn what_is_missing_is_registered_and_what_was_ours_is_archived() {
        let ours = json!({"values": {"managed-by": "sandbox"}});
        let spec = Spec::default();
        let table = [
            (json!([]), vec![Step::Register("x"), Step::Register("y")]),
            (json!([{"id": "x", "labels": ours}, {"id": "y", "labels": ours}]), vec![]),
            (
                json!([{"id": "x", "labels": ours, "state": "ARCHIVED"}, {"id": "y"}]),
                vec![Step::TakeOver("x"), Step::TakeOver("y")],
            ),
            (
                json!([{"id": "x", "labels": ours}, {"id": "y", "labels": ours}, {"id": "z", "labels": ours}]),
                vec![Step::Archive("z")],
            ),
            (
                json!([{"id": "x", "labels": ours}, {"id": "y", "labels": ours}, {"id": "by-hand"},
                    {"id": "gone", "labels": ours, "state": "ARCHIVED"}]),
                vec![],
            ),
        ];
        for (given, wanted) in table {
            assert_eq!(steps(&spec, &listed(&given)), wanted, "{given}");
        }
    }
}
