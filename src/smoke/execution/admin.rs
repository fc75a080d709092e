//! Requests to admin, and what its refusals mean.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::culprit::Culprit;
use super::trial::Trial;
use crate::run::Deadline;
use crate::smoke::http::Reply;
use crate::smoke::miss::Miss;
use crate::smoke::target::Context;

/// For one step, from its first request to its answer: a gateway that was just told of admin may say 503 for a while.
const STEP: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(500);

/// Whom a refusal blames, by its words.
type Blame = fn(&str) -> Culprit;

/// Task and workflow, and the workflow read back from the object store.
pub(super) async fn register(trial: &Trial, context: &Context<'_>, deadline: Deadline) -> Result<(), Miss> {
    let by_admin: Blame = |words| Culprit::of_words(words, Culprit::Admin);
    ask(context, (Method::POST, "/api/v1/tasks"), Some(trial.task()), by_admin, deadline).await?;
    ask(context, (Method::POST, "/api/v1/workflows"), Some(trial.workflow()), by_admin, deadline).await?;
    // Where the bucket was missing, the write was lost without a word, and reading it back fails.
    let by_storage: Blame = |words| Culprit::of_words(words, Culprit::Storage);
    let reply = ask(context, (Method::GET, &trial.workflow_path()), None, by_storage, deadline).await?;
    let compiled = serde_json::from_slice::<Value>(&reply.body).ok();
    match compiled.as_ref().and_then(|workflow| workflow.pointer("/closure/compiled_workflow/primary")) {
        Some(_) => Ok(()),
        None => Err(Culprit::Storage.blame(reply.miss("no closure.compiled_workflow in what was read back"))),
    }
}

/// Launch plan and execution. Creating it, admin makes a FlyteWorkflow.
pub(super) async fn launch(trial: &Trial, context: &Context<'_>, deadline: Deadline) -> Result<(), Miss> {
    let by_admin: Blame = |words| Culprit::of_words(words, Culprit::Admin);
    ask(context, (Method::POST, "/api/v1/launch_plans"), Some(trial.launch_plan()), by_admin, deadline).await?;
    let by_role: Blame = |words| match words.contains("failed to create workflow in propeller") {
        true => Culprit::of_words(words, Culprit::Permission),
        false => Culprit::of_words(words, Culprit::Admin),
    };
    ask(context, (Method::POST, "/api/v1/executions"), Some(trial.execution()), by_role, deadline).await.map(|_| ())
}

/// An execution as admin tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
pub(super) struct Execution {
    #[serde(default)]
    closure: Closure,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
struct Closure {
    #[serde(default)]
    phase: Option<String>,
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
    /// Nothing until its propeller has told admin of it.
    pub(super) fn phase(&self) -> Option<&str> {
        self.closure.phase.as_deref().filter(|phase| *phase != "UNDEFINED")
    }

    /// Why it failed, in one line.
    pub(super) fn error(&self) -> String {
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

/// How far the execution is.
pub(super) async fn look(trial: &Trial, context: &Context<'_>) -> Result<Execution, Miss> {
    let reply = once(context, &Method::GET, &trial.execution_path(), None).await.map_err(|(miss, _)| miss)?;
    serde_json::from_slice(&reply.body).map_err(|error| reply.miss(format!("not an execution: {error}")))
}

/// The address of the log, as admin gives it to the console.
pub(super) async fn log_link(trial: &Trial, context: &Context<'_>, deadline: Deadline) -> Result<String, Miss> {
    let by_admin: Blame = |words| Culprit::of_words(words, Culprit::Admin);
    let reply = ask(context, (Method::GET, &trial.task_executions_path()), None, by_admin, deadline).await?;
    let tasks = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    let link = tasks.pointer("/task_executions/0/closure/logs/0/uri").and_then(Value::as_str);
    link.map(str::to_owned).ok_or_else(|| {
        let miss = reply.miss("the task's execution has no link to a log");
        Culprit::Propeller.blame(miss.hint("plugins.logs of the propeller's configuration makes the links"))
    })
}

/// Asks until there is an answer, good or bad.
async fn ask(
    context: &Context<'_>,
    (method, path): (Method, &str),
    body: Option<Value>,
    blame: Blame,
    deadline: Deadline,
) -> Result<Reply, Miss> {
    let deadline = deadline.min(STEP);
    loop {
        match once(context, &method, path, body.as_ref()).await {
            Ok(reply) => return Ok(reply),
            Err((miss, words)) if miss.settled || deadline.remaining().is_zero() => {
                return Err(blame(&words).blame(miss));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// One request. A miss that is not settled may pass; it comes with the words that blame.
async fn once(
    context: &Context<'_>,
    method: &Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Reply, (Miss, String)> {
    let headers = [(CONTENT_TYPE, "application/json")];
    let headers = if body.is_some() { &headers[..] } else { &[] };
    let sent = body.map(Value::to_string).unwrap_or_default().into_bytes();
    let reply = context.http.send(method.clone(), &context.console(path), headers, sent).await;
    let reply = reply.map_err(|miss| (miss, String::new()))?;
    match reply.status {
        StatusCode::OK => Ok(reply),
        // An earlier attempt came through, and only its answer did not.
        StatusCode::CONFLICT if *method == Method::POST => Ok(reply),
        status => {
            let words = message(&reply);
            let miss = Miss::new(reply.asked.clone(), format!("HTTP {status}: {words}"));
            let passing = matches!(status.as_u16(), 429 | 502..=504);
            Err((if passing { miss } else { miss.settled() }, words))
        }
    }
}

/// What admin says, or who answers in its place.
fn message(reply: &Reply) -> String {
    let json: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let said = json.as_ref().and_then(|json| ["message", "error"].iter().find_map(|key| json.get(key)?.as_str()));
    said.map(str::to_owned).or_else(|| reply.excerpt()).unwrap_or_else(|| "without a word".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Execution;

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
