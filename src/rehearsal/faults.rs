//! What a stand-in's node does wrong: a file in it, which is read at every turn, so that it may change while it runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::apiserver::refusal;
use super::execution::Trouble;

/// The variable that a node is born with.
pub(super) const VARIABLE: &str = "STANDIN_FAULTS";

/// What a node does wrong.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Faults {
    /// k3s ends as soon as it starts: the line that it logs last, and its exit code.
    pub(crate) ends: Option<(String, u8)>,
    /// What comes of requests.
    pub(crate) requests: Vec<Request>,
    /// What becomes of the pods of a Deployment, by its name.
    pub(crate) pods: BTreeMap<String, PodFault>,
    /// What becomes of every workflow.
    pub(crate) workflows: Option<Workflow>,
    /// What containerd says to every import, in place of doing it.
    pub(crate) import: Option<String>,
}

/// What comes of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Stands in `api METHOD /path`; Flyte's ports are `console`, `dashboard` and `minio`.
    pub(crate) what: String,
    /// How often; none for always.
    pub(crate) times: Option<usize>,
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// A status and a body; from the API an error's message.
    Status(u16, String),
    /// The right one, so many milliseconds later.
    Late(u64),
    /// None.
    Silence,
    /// The connection breaks within it.
    Broken,
}

/// What becomes of a Deployment's pod, which is never ready.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PodFault {
    /// Laid over the status of every container.
    pub(crate) container: Value,
    /// The status of the first init container, if it is to have one.
    pub(crate) init: Value,
    /// Laid over the pod's status.
    pub(crate) status: Value,
    /// What its first container, or its first init container, has logged.
    pub(crate) log: String,
    /// Reason and message of an event about it.
    pub(crate) event: Option<(String, String)>,
}

/// What becomes of every workflow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Workflow {
    /// No propeller takes it.
    Ignored,
    /// It fails with this code and message.
    Fails(String, String),
    /// Its pod waits for ever, for this reason and message.
    Waits(String, String),
}

impl Faults {
    /// Where they are in the node.
    pub(crate) const FILE: &str = "/run/standin-faults.json";

    /// Every request that has `what` in it is answered so.
    pub(crate) fn answering(what: &str, answer: Answer) -> Self {
        Self::default().and(what, None, answer)
    }

    /// And of those that have `what` in them, so many are answered so.
    pub(crate) fn and(mut self, what: &str, times: Option<usize>, answer: Answer) -> Self {
        self.requests.push(Request { what: what.to_owned(), times, answer });
        self
    }

    /// The pod of this Deployment never becomes ready.
    pub(crate) fn pod(deployment: &str, fault: PodFault) -> Self {
        Self { pods: [(deployment.to_owned(), fault)].into(), ..Self::default() }
    }

    /// Writes them to a file.
    pub(crate) fn write(&self, file: &Path) {
        std::fs::write(file, serde_json::to_string(self).expect("JSON")).expect("a file");
    }

    /// Those that this node has now; at its first start those that it was born with.
    pub(super) fn now() -> Self {
        let file = Path::new(Self::FILE);
        let text = std::fs::read_to_string(file).or_else(|_| std::env::var(VARIABLE)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// When they were last told.
    pub(super) fn written() -> Option<SystemTime> {
        std::fs::metadata(Self::FILE).and_then(|file| file.modified()).ok()
    }

    /// What comes of a request, `who` being asked for `METHOD /path`; nothing where it is to be answered as ever.
    pub(super) async fn strike(who: &str, request: &str) -> Option<Response> {
        static STRUCK: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());
        let asked = format!("{who} {request}");
        let due = |fault: &Request| {
            let mut struck = STRUCK.lock().expect("not poisoned");
            let times = struck.entry(fault.what.clone()).or_default();
            let due = asked.contains(&fault.what) && fault.times.is_none_or(|limit| *times < limit);
            *times += usize::from(due);
            due
        };
        match Self::now().requests.into_iter().find(due)?.answer {
            Answer::Status(status, text) if who == "api" && status >= 400 => {
                let mut response = refusal(status, &text);
                if status == 429 || status == 503 {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                }
                Some(response)
            }
            Answer::Status(status, text) => {
                Some((StatusCode::from_u16(status).expect("an HTTP status"), text).into_response())
            }
            Answer::Late(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                None
            }
            Answer::Silence => std::future::pending().await,
            Answer::Broken => {
                let broken = stream::iter([Ok("{"), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))]);
                Some(Body::from_stream(broken).into_response())
            }
        }
    }

    /// As the executions know it.
    pub(super) fn trouble(&self) -> Trouble {
        // A node lives no longer than its words.
        let word = |text: &String| -> &'static str { text.clone().leak() };
        match &self.workflows {
            None => Trouble::None,
            Some(Workflow::Ignored) => Trouble::NoPropeller,
            Some(Workflow::Fails(code, message)) => Trouble::Fails(word(code), word(message)),
            Some(Workflow::Waits(reason, message)) => Trouble::PodWaits(word(reason), word(message)),
        }
    }
}
