//! Requests to flyteadmin, and the meaning of its refusals.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::failed_part::FailedPart;
use super::smoke_workflow::SmokeWorkflow;
use crate::flyte::admin::{self, Execution, Request};
use crate::limits::EXECUTION_REQUEST;
use crate::run::Deadline;
use crate::smoke::check_failure::CheckFailure;
use crate::smoke::http::Reply;
use crate::smoke::target::CheckContext;

const PAUSE: Duration = Duration::from_millis(500);

/// The part of Flyte that a refusal's text points at.
type PartOf = fn(&str) -> FailedPart;

/// Registration of task and workflow, and the workflow read back from the object store.
pub(super) async fn register(
    workflow: &SmokeWorkflow,
    context: &CheckContext<'_>,
    deadline: Deadline,
) -> Result<(), CheckFailure> {
    let by_admin: PartOf = |text| FailedPart::from_message(text, FailedPart::Admin);
    ask(context, workflow.create_task(), by_admin, deadline).await?;
    ask(context, workflow.create_workflow(), by_admin, deadline).await?;
    // Where the bucket was missing, the write was lost without a word, and reading it back fails.
    let by_storage: PartOf = |text| FailedPart::from_message(text, FailedPart::Storage);
    let reply = ask(context, workflow.read_workflow(), by_storage, deadline).await?;
    let compiled = serde_json::from_slice::<Value>(&reply.body).ok();
    match compiled.as_ref().and_then(|workflow| workflow.pointer("/closure/compiled_workflow/primary")) {
        Some(_) => Ok(()),
        None => Err(FailedPart::Storage.attribute(reply.failure("no closure.compiled_workflow in what was read back"))),
    }
}

/// Creation of launch plan and execution. For an execution admin makes a FlyteWorkflow.
pub(super) async fn launch(
    workflow: &SmokeWorkflow,
    context: &CheckContext<'_>,
    deadline: Deadline,
) -> Result<(), CheckFailure> {
    let by_admin: PartOf = |text| FailedPart::from_message(text, FailedPart::Admin);
    ask(context, workflow.create_launch_plan(), by_admin, deadline).await?;
    let by_role: PartOf = |text| match text.contains("failed to create workflow in propeller") {
        true => FailedPart::from_message(text, FailedPart::Permission),
        false => FailedPart::from_message(text, FailedPart::Admin),
    };
    ask(context, workflow.create_execution(), by_role, deadline).await.map(|_| ())
}

/// The execution as admin reports it.
pub(super) async fn look(workflow: &SmokeWorkflow, context: &CheckContext<'_>) -> Result<Execution, CheckFailure> {
    let reply = once(context, &workflow.read_execution()).await.map_err(|(failure, _)| failure)?;
    serde_json::from_slice(&reply.body).map_err(|error| reply.failure(format!("not an execution: {error}")))
}

/// The link to the task's log that admin hands to the console.
pub(super) async fn log_link(
    workflow: &SmokeWorkflow,
    context: &CheckContext<'_>,
    deadline: Deadline,
) -> Result<String, CheckFailure> {
    let by_admin: PartOf = |text| FailedPart::from_message(text, FailedPart::Admin);
    let reply = ask(context, workflow.list_task_executions(), by_admin, deadline).await?;
    let tasks = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    let link = tasks.pointer("/task_executions/0/closure/logs/0/uri").and_then(Value::as_str);
    link.map(str::to_owned).ok_or_else(|| {
        let failure = reply.failure("the task's execution has no link to a log");
        FailedPart::Propeller.attribute(failure.hint("plugins.logs of the propeller's configuration makes the links"))
    })
}

/// A request that is repeated until there is an answer, good or bad.
async fn ask(
    context: &CheckContext<'_>,
    request: Request,
    part_of: PartOf,
    deadline: Deadline,
) -> Result<Reply, CheckFailure> {
    let deadline = deadline.min(EXECUTION_REQUEST);
    loop {
        match once(context, &request).await {
            Ok(reply) => return Ok(reply),
            Err((failure, text)) if failure.final_answer || deadline.has_passed() => {
                return Err(part_of(&text).attribute(failure));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// One request. A failure that is not final may pass; it comes with the text of the refusal.
pub(super) async fn once(context: &CheckContext<'_>, request: &Request) -> Result<Reply, (CheckFailure, String)> {
    let Request { method, path, body } = request;
    // Admin of 1.x answers in camel case where JSON is not asked for by this name.
    let headers = [(ACCEPT, "application/json"), (CONTENT_TYPE, "application/json")];
    let headers = if body.is_some() { &headers[..] } else { &headers[..1] };
    let sent = body.as_ref().map(Value::to_string).unwrap_or_default().into_bytes();
    let reply = context.http.send(method.clone(), &context.console(path), headers, sent).await;
    let reply = reply.map_err(|failure| (failure, String::new()))?;
    match reply.status {
        StatusCode::OK => Ok(reply),
        // An earlier attempt came through, and only its answer did not.
        StatusCode::CONFLICT if *method == Method::POST => Ok(reply),
        status => {
            let text = message(&reply);
            let failure = CheckFailure::new(reply.asked.clone(), format!("HTTP {status}: {text}"));
            let passing = matches!(status.as_u16(), 429 | 502..=504);
            Err((if passing { failure } else { failure.final_answer() }, text))
        }
    }
}

/// The error message of admin, or of a proxy that answers in its place.
fn message(reply: &Reply) -> String {
    let text = admin::refusal(&reply.body).or_else(|| reply.excerpt());
    text.unwrap_or_else(|| "no message".to_owned())
}
