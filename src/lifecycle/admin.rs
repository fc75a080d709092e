//! Requests to flyteadmin through the Kubernetes API's proxy, which needs nothing but admin itself.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use kube::Client;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Reason};
use crate::flyte::admin::{self, ExecutionList, Project, ProjectList, Request};
use crate::flyte::names;
use crate::kubernetes::{ApiError, ask, retry};
use crate::limits::API_ANSWER;
use crate::run::Run;
use crate::spec::Spec;

/// Admin's own refusals carry a code of gRPC's, and this is the last of them.
const LAST_CODE: u16 = 16;

/// Every project that admin has, archived ones too.
///
/// # Errors
/// [`Reason::Registration`] with admin's words.
pub(super) async fn listed(client: &Client, spec: &Spec) -> Result<Vec<Project>, Failure> {
    let answer = ask(API_ANSWER, send::<ProjectList>(client, spec, Request::all_projects())).await;
    Ok(answer.map_err(failure)?.projects)
}

/// Asks for what tells whether admin's tables are there.
///
/// # Errors
/// [`Reason::Registration`] with admin's words.
pub(super) async fn find_tables(client: &Client, spec: &Spec) -> Result<(), Failure> {
    let Some(request) = Request::any_execution(spec) else { return Ok(()) };
    ask(API_ANSWER, send::<serde_json::Value>(client, spec, request)).await.map_err(failure).map(|_| ())
}

/// How many executions admin has in these, each a project and a domain, the smoke workflow's aside.
///
/// # Errors
/// [`Reason::Registration`] with admin's words.
pub(super) async fn executions(
    client: &Client,
    spec: &Spec,
    within: impl Iterator<Item = (&str, &str)>,
    run: &Run,
) -> Result<u64, Failure> {
    let mut count = 0;
    // One after another: admin v0.6.13 does not survive two first calls of a kind.
    for (project, domain) in within {
        let request = Request::executions(project, domain);
        let listed = repeated::<ExecutionList>(client, spec, &request, run).await;
        let failed = |error| Failure::new(Reason::Registration, "cannot count the executions").because(error);
        count += listed.map_err(failed)?.executions.len() as u64;
    }
    Ok(count)
}

/// The answer to a request that is repeated until admin gives one, or the run's deadline passes.
pub(super) async fn repeated<T: DeserializeOwned>(
    client: &Client,
    spec: &Spec,
    request: &Request,
    run: &Run,
) -> Result<T, ApiError> {
    retry(run, &"flyteadmin", Duration::ZERO, || async {
        send(client, spec, request.clone()).await.map_err(unless_admins)
    })
    .await
}

/// The failure of a request about projects.
pub(super) fn failure(error: ApiError) -> Failure {
    Failure::new(Reason::Registration, "admin does not take the projects").on("deployment flyteadmin").because(error)
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

/// One request to admin's HTTP API, by way of Kubernetes'.
pub(super) async fn send<T: DeserializeOwned>(client: &Client, spec: &Spec, request: Request) -> kube::Result<T> {
    let (namespace, admin, port) = (spec.system_namespace(), names::ADMIN, admin::PORT);
    let uri = format!("/api/v1/namespaces/{namespace}/services/{admin}:{port}/proxy{}", request.path);
    let body = request.body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let request = http::Request::builder().method(request.method).uri(uri);
    let request = request.header(ACCEPT, "application/json").header(CONTENT_TYPE, "application/json");
    client.request(request.body(body).map_err(|error| kube::Error::Service(error.into()))?).await
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
