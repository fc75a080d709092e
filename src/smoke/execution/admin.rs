//! Requests to admin, and what its refusals mean.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::culprit::Culprit;
use super::trial::Trial;
use crate::flyte::admin::{self, Execution, Request};
use crate::limits::EXECUTION_REQUEST;
use crate::run::Deadline;
use crate::smoke::http::Reply;
use crate::smoke::miss::Miss;
use crate::smoke::target::Context;

const PAUSE: Duration = Duration::from_millis(500);

/// Whom a refusal blames, by its words.
type Blame = fn(&str) -> Culprit;

/// Task and workflow, and the workflow read back from the object store.
pub(super) async fn register(trial: &Trial, context: &Context<'_>, deadline: Deadline) -> Result<(), Miss> {
    let by_admin: Blame = |words| Culprit::of_words(words, Culprit::Admin);
    ask(context, trial.create_task(), by_admin, deadline).await?;
    ask(context, trial.create_workflow(), by_admin, deadline).await?;
    // Where the bucket was missing, the write was lost without a word, and reading it back fails.
    let by_storage: Blame = |words| Culprit::of_words(words, Culprit::Storage);
    let reply = ask(context, trial.read_workflow(), by_storage, deadline).await?;
    let compiled = serde_json::from_slice::<Value>(&reply.body).ok();
    match compiled.as_ref().and_then(|workflow| workflow.pointer("/closure/compiled_workflow/primary")) {
        Some(_) => Ok(()),
        None => Err(Culprit::Storage.blame(reply.miss("no closure.compiled_workflow in what was read back"))),
    }
}

/// Launch plan and execution. Creating it, admin makes a FlyteWorkflow.
pub(super) async fn launch(trial: &Trial, context: &Context<'_>, deadline: Deadline) -> Result<(), Miss> {
    let by_admin: Blame = |words| Culprit::of_words(words, Culprit::Admin);
    ask(context, trial.create_launch_plan(), by_admin, deadline).await?;
    let by_role: Blame = |words| match words.contains("failed to create workflow in propeller") {
        true => Culprit::of_words(words, Culprit::Permission),
        false => Culprit::of_words(words, Culprit::Admin),
    };
    ask(context, trial.create_execution(), by_role, deadline).await.map(|_| ())
}

/// How far the execution is.
pub(super) async fn look(trial: &Trial, context: &Context<'_>) -> Result<Execution, Miss> {
    let reply = once(context, &trial.read_execution()).await.map_err(|(miss, _)| miss)?;
    serde_json::from_slice(&reply.body).map_err(|error| reply.miss(format!("not an execution: {error}")))
}

/// The address of the log, as admin gives it to the console.
pub(super) async fn log_link(trial: &Trial, context: &Context<'_>, deadline: Deadline) -> Result<String, Miss> {
    let by_admin: Blame = |words| Culprit::of_words(words, Culprit::Admin);
    let reply = ask(context, trial.list_task_executions(), by_admin, deadline).await?;
    let tasks = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    let link = tasks.pointer("/task_executions/0/closure/logs/0/uri").and_then(Value::as_str);
    link.map(str::to_owned).ok_or_else(|| {
        let miss = reply.miss("the task's execution has no link to a log");
        Culprit::Propeller.blame(miss.hint("plugins.logs of the propeller's configuration makes the links"))
    })
}

/// Asks until there is an answer, good or bad.
async fn ask(context: &Context<'_>, request: Request, blame: Blame, deadline: Deadline) -> Result<Reply, Miss> {
    let deadline = deadline.min(EXECUTION_REQUEST);
    loop {
        match once(context, &request).await {
            Ok(reply) => return Ok(reply),
            Err((miss, words)) if miss.settled || deadline.has_passed() => {
                return Err(blame(&words).blame(miss));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// One request. A miss that is not settled may pass; it comes with the words that blame.
async fn once(context: &Context<'_>, request: &Request) -> Result<Reply, (Miss, String)> {
    let Request { method, path, body } = request;
    let headers = [(CONTENT_TYPE, "application/json")];
    let headers = if body.is_some() { &headers[..] } else { &[] };
    let sent = body.as_ref().map(Value::to_string).unwrap_or_default().into_bytes();
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
    let said = admin::refusal(&reply.body).or_else(|| reply.excerpt());
    said.unwrap_or_else(|| "without a word".to_owned())
}
