//! A container's log: whole or from a time on, with times before its lines, and what comes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures::stream;
use humantime::{format_rfc3339_nanos, parse_rfc3339};
use serde_json::Value;

use super::path::Path;
use super::refusal::refusal;
use super::store::Parameters;
use super::{ApiServer, State};

/// Between two looks at a log that is followed.
const POLL: Duration = Duration::from_millis(20);

/// The lines of a log that a request wants, each of a second of its own.
struct Wanted {
    key: String,
    pod: Path,
    uid: Value,
    timestamps: bool,
    since: Option<SystemTime>,
    /// Lines that were sent, or that were not wanted.
    passed: usize,
}

pub(super) fn answer(
    server: &ApiServer,
    logs: &BTreeMap<String, String>,
    path: &Path,
    pod: &Value,
    parameters: &Parameters,
) -> Response {
    let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let container = match (parameters.get("container"), containers) {
        (Some(container), _) => container.as_str(),
        (None, [only]) => only["name"].as_str().unwrap_or_default(),
        (None, _) => return refusal(400, &format!("a container name must be specified for pod {}", path.name)),
    };
    let is = |key: &str| parameters.get(key).is_some_and(|value| value == "true");
    let key = format!("{}/{container}/{}", path.name, is("previous"));
    let Some(text) = logs.get(&key) else { return refusal(400, "previous terminated container not found") };
    let tail = parameters.get("tailLines").and_then(|lines| lines.parse().ok()).unwrap_or(usize::MAX);
    let mut wanted = Wanted {
        key,
        pod: Path { part: String::new(), ..path.clone() },
        uid: pod["metadata"]["uid"].clone(),
        timestamps: is("timestamps"),
        since: parameters.get("sinceTime").and_then(|time| parse_rfc3339(time).ok()),
        passed: text.lines().count().saturating_sub(tail),
    };
    let now = wanted.take(text);
    if !is("follow") {
        return now.into_response();
    }
    let server = server.clone();
    let later = stream::unfold((server, wanted, Some(now)), async |(server, mut wanted, now)| {
        if let Some(now) = now {
            return Some((Ok::<_, Infallible>(now), (server, wanted, None)));
        }
        loop {
            let more = wanted.more(&server.lock())?;
            if !more.is_empty() {
                return Some((Ok(more), (server, wanted, None)));
            }
            tokio::time::sleep(POLL).await;
        }
    });
    Body::from_stream(later).into_response()
}

impl Wanted {
    /// What was written since the last time; absent where the pod is gone.
    fn more(&mut self, state: &State) -> Option<String> {
        state.store.objects.get(&self.pod).filter(|pod| pod["metadata"]["uid"] == self.uid)?;
        let text = state.logs.get(&self.key)?;
        Some(self.take(text))
    }

    fn take(&mut self, text: &str) -> String {
        let times = (0..).map(|second| SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        let lines = text.lines().zip(times).skip(self.passed);
        let lines = lines.filter(|(_, time)| self.since.is_none_or(|since| *time >= since));
        let lines = lines.map(|(line, time)| match self.timestamps {
            true => format!("{} {line}\n", format_rfc3339_nanos(time)),
            false => format!("{line}\n"),
        });
        let lines = lines.collect();
        self.passed = text.lines().count();
        lines
    }
}
