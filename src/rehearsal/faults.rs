//! Faults to inject into a rehearsal.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::refusal;

/// All faults of a rehearsal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Faults of requests.
    pub requests: Vec<Request>,
    /// Faults of pods, by the name of their Deployment.
    pub pods: BTreeMap<String, PodFault>,
    /// The fault of every workflow.
    pub workflows: Option<Workflow>,
}

/// A fault of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// A part of the request: `METHOD /path`, after `api`, `console`, `dashboard` or `minio` in a whole cluster.
    pub what: String,
    /// The number of times; none for always.
    pub times: Option<usize>,
    /// The injected answer.
    pub answer: Answer,
}

/// An injected answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A status and a body; from the API an error's message.
    Status(u16, String),
    /// The right answer, after a delay in milliseconds.
    Late(u64),
    /// No answer.
    Silence,
    /// An answer whose connection breaks.
    Broken,
}

impl Answer {
    /// A status and a body.
    #[must_use]
    pub fn status(code: u16, text: &str) -> Self {
        Self::Status(code, text.to_owned())
    }

    /// The response; none for the right one. An error of the API is a `Status` object.
    pub(super) async fn response(self, by_the_api: bool) -> Option<Response> {
        match self {
            Self::Status(code, text) if by_the_api && code >= 400 => {
                let mut response = refusal(code, &text);
                if code == 429 || code == 503 {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                }
                Some(response)
            }
            Self::Status(code, text) => {
                let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Some((status, text).into_response())
            }
            Self::Late(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                None
            }
            Self::Silence => pending().await,
            Self::Broken => {
                let broken = stream::iter([Ok("{"), Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
                Some(Body::from_stream(broken).into_response())
            }
        }
    }
}

/// The answer of the first fault that matches a request and has times left.
pub(super) fn due(faults: &mut [Request], asked: &str) -> Option<Answer> {
    let fault = faults.iter_mut().find(|fault| fault.times != Some(0) && asked.contains(&fault.what))?;
    fault.times = fault.times.map(|times| times - 1);
    Some(fault.answer.clone())
}

/// The fault of a Deployment's pod, which is never ready.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PodFault {
    /// Merged into the status of every container.
    pub container: Value,
    /// The status of the first init container, if any.
    pub init: Value,
    /// Merged into the pod's status.
    pub status: Value,
    /// The log of its first container, or first init container.
    pub log: String,
    /// Reason and message of an event about it.
    pub event: Option<(String, String)>,
}

impl PodFault {
    /// A pod whose containers wait for this reason, with this message.
    #[must_use]
    pub fn waiting(reason: &str, message: &str) -> Self {
        let container = json!({"state": {"waiting": {"reason": reason, "message": message}}});
        Self { container, ..Self::default() }
    }

    /// A pod whose containers crash again and again with this exit code, for this reason (`Error`, `OOMKilled`).
    #[must_use]
    pub fn crashed(code: i64, reason: &str) -> Self {
        let container = json!({"restartCount": 4,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}},
            "lastState": {"terminated": {"exitCode": code, "reason": reason}}});
        Self { container, ..Self::default() }
    }

    /// A pod that cannot be scheduled.
    #[must_use]
    pub fn unschedulable(message: &str) -> Self {
        let status = json!({"phase": "Pending", "containerStatuses": [], "conditions": [{"type": "PodScheduled",
            "status": "False", "reason": "Unschedulable", "message": message}]});
        Self { status, ..Self::default() }
    }

    /// A pod that runs, and whose readiness probe fails.
    #[must_use]
    pub fn unready(message: &str) -> Self {
        let container = json!({"state": {"running": {"startedAt": "2021-06-01T00:00:00Z"}}});
        Self { container, event: Some(("Unhealthy".to_owned(), message.to_owned())), ..Self::default() }
    }
}

/// The fault of every workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Workflow {
    /// No propeller handles it.
    Ignored,
    /// It fails with this code and message.
    Fails(String, String),
    /// Its pod waits for ever, with this reason and message.
    Waits(String, String),
    /// Admin creates it in this wrong namespace.
    Elsewhere(String),
    /// The dashboard shows this in place of its log.
    Log(String),
    /// This is the link to its log.
    Link(String),
}
