//! What Kubernetes knows: events, the node, every pod and what its containers wrote, in this life and the one before.

use std::fmt::Write;

use futures::{StreamExt, stream};
use kube::Client;
use kube::api::{ListParams, LogParams};
use kube::core::Request;
use serde_json::Value;

use super::folder::full;
use super::sink::Sink;
use super::source::{Found, answer};
use crate::failure::{Failure, Reason};
use crate::kubernetes;
use crate::limits::{EVIDENCE_ANSWER, EVIDENCE_SOURCE};
use crate::run::Deadline;

/// Lines from the end of a container's log.
const LINES: i64 = 3000;
/// Bytes of those.
const BYTES: i64 = 2 << 20;
/// Pods that are looked at; a sandbox has some 20, besides those of its workflows.
const PODS: usize = 200;
/// Events that are looked at.
const EVENTS: usize = 2000;
/// Nodes that are looked at.
const NODES: usize = 10;
/// Logs or lists that are asked for at the same time.
const AT_ONCE: usize = 8;

/// All of it, into the folder; without an API one line that says why. The result is Kubernetes' own version.
pub(super) async fn sources(
    kubeconfig: impl Future<Output = Result<String, Failure>>,
    sink: &Sink,
    deadline: Deadline,
) -> Option<Value> {
    let what = "all that Kubernetes knows: events, pods, their logs";
    // Whether there is an API at all is asked first, so that none costs only this.
    let soon = deadline.min(EVIDENCE_ANSWER);
    let reached = async {
        let kubeconfig = answer(soon, kubeconfig).await?;
        let client = kubernetes::client(&kubeconfig).map_err(|failure| failure.to_string())?;
        let version = get(&client, "/version", None, soon).await.map_err(|failure| failure.to_string())?;
        Ok::<_, String>((client, version))
    };
    match reached.await {
        Ok((client, version)) => {
            let everything = Scope::cluster();
            let nodes = async { sink.take(nodes(&client, deadline).await) };
            tokio::join!(all(&client, &version, &everything, sink, deadline), nodes);
            return Some(version);
        }
        Err(why) => sink.take(Found::missing(what, why)),
    }
    None
}

/// What is in these namespaces, and nothing else.
pub(super) async fn within(client: &Client, namespaces: &[String], sink: &Sink, deadline: Deadline) -> Option<Value> {
    let what = "all that Kubernetes knows";
    match get(client, "/version", None, deadline.min(EVIDENCE_ANSWER)).await {
        Ok(version) => {
            all(client, &version, &Scope::namespaces(namespaces), sink, deadline).await;
            return Some(version);
        }
        Err(failure) => sink.take(Found::missing(what, failure.to_string())),
    }
    None
}

/// What is asked about.
struct Scope {
    /// As a reader knows it.
    name: &'static str,
    /// Prefixes of what is listed: of the whole cluster, or of each namespace.
    paths: Vec<String>,
}

impl Scope {
    fn cluster() -> Self {
        Self { name: "all namespaces", paths: vec!["/api/v1".to_owned()] }
    }

    fn namespaces(names: &[String]) -> Self {
        Self {
            name: "the sandbox's namespaces",
            paths: names.iter().map(|name| format!("/api/v1/namespaces/{name}")).collect(),
        }
    }

    /// The objects of a kind, the first `limit` of them, and whether there are more.
    async fn list(
        &self,
        client: &Client,
        plural: &str,
        limit: usize,
        deadline: Deadline,
    ) -> Result<(Vec<Value>, bool), Failure> {
        let deadline = deadline.min(EVIDENCE_SOURCE);
        let ask = |path: &String| get(client, format!("{path}/{plural}"), Some(limit), deadline);
        let mut lists = stream::iter(&self.paths).map(ask).buffered(AT_ONCE);
        let (mut all, mut more) = (Vec::new(), false);
        while let Some(list) = lists.next().await {
            let mut list = list?;
            all.extend(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
            more |= all.len() > limit || !text(&list, "/metadata/continue").is_empty();
            if more {
                break;
            }
        }
        all.truncate(limit);
        Ok((all, more))
    }
}

async fn all(client: &Client, version: &Value, scope: &Scope, sink: &Sink, deadline: Deadline) {
    sink.take(Found::file("kubernetes/version.json", "Kubernetes' own version", version.clone()));
    let events = async {
        let what = format!("Kubernetes events of {}, oldest first", scope.name);
        let source = async {
            let (events, _) = scope.list(client, "events", EVENTS, deadline).await?;
            Ok::<_, Failure>(Found::file("kubernetes/events.txt", what.clone(), event_lines(&events)).telling())
        };
        sink.take(Found::or_missing(what.clone(), source.await));
    };
    tokio::join!(events, pods(client, scope, sink, deadline));
}

async fn nodes(client: &Client, deadline: Deadline) -> Found {
    let what = "the node as Kubernetes describes it";
    let source = async {
        let mut list = get(client, "/api/v1/nodes", Some(NODES), deadline).await?;
        list["items"].as_array_mut().into_iter().flatten().for_each(drop_managed_fields);
        Ok::<_, Failure>(Found::file("kubernetes/nodes.json", what, list["items"].take()))
    };
    Found::or_missing(what, source.await)
}

async fn pods(client: &Client, scope: &Scope, sink: &Sink, deadline: Deadline) {
    let what = format!("pods of {}", scope.name);
    let (pods, more) = match scope.list(client, "pods", PODS, deadline).await {
        Ok(pods) => pods,
        Err(failure) => return sink.take(Found::missing(what, failure.to_string())),
    };
    if more {
        sink.take(Found::missing("further pods", format!("there are more than {PODS}")));
    }
    let overview: String = pods.iter().map(|pod| format!("{}\n", pod_line(pod))).collect();
    let what = "every pod in a line: what it does, restarts, what it waits for";
    sink.take(Found::file("pods.txt", what, overview).telling());
    let mut wanted: Vec<_> = pods.iter().flat_map(logs).collect();
    // Where there is not room or time for all, those count that may say what is wrong.
    wanted.sort_by_key(|log| log.is_well);
    for mut pod in pods {
        drop_managed_fields(&mut pod);
        let (namespace, name) = (text(&pod, "/metadata/namespace"), text(&pod, "/metadata/name"));
        let (path, what) =
            (format!("pods/{namespace}/{name}.json"), format!("pod {namespace}/{name} as Kubernetes describes it"));
        sink.take(Found::file(path, what, pod));
    }
    let ask = async |log| {
        let now = sink.has_room_for_logs() && !deadline.has_passed();
        if now { Some(read(client, log, deadline).await) } else { None }
    };
    let mut logs = std::pin::pin!(stream::iter(wanted).map(ask).buffered(AT_ONCE));
    let mut left_out = 0;
    while let Some(log) = logs.next().await {
        match log {
            Some(log) => sink.take_log(log),
            None => left_out += 1,
        }
    }
    if left_out > 0 {
        let why = if sink.has_room_for_logs() { "there was no time left".to_owned() } else { full() };
        sink.take(Found::missing(format!("{left_out} further logs of pods"), why));
    }
}

/// One life of a container.
struct Log {
    namespace: String,
    pod: String,
    container: String,
    previous: bool,
    /// Whether the container runs well now.
    is_well: bool,
}

/// The logs that a pod's containers have: those that ran, and those that ran before.
fn logs(pod: &Value) -> Vec<Log> {
    let statuses = ["initContainerStatuses", "containerStatuses"].map(|key| pod["status"][key].as_array());
    let log = |status: &Value, previous| Log {
        namespace: text(pod, "/metadata/namespace").to_owned(),
        pod: text(pod, "/metadata/name").to_owned(),
        container: text(status, "/name").to_owned(),
        previous,
        is_well: !previous && (status["ready"] == true || status["state"]["terminated"]["exitCode"] == 0),
    };
    let mut found = Vec::new();
    for status in statuses.into_iter().flatten().flatten() {
        let restarted = status["restartCount"].as_u64().unwrap_or(0) > 0;
        if restarted || !status["lastState"]["terminated"].is_null() {
            found.push(log(status, true));
        }
        if restarted || status["state"]["waiting"].is_null() {
            found.push(log(status, false));
        }
    }
    found
}

async fn read(client: &Client, log: Log, deadline: Deadline) -> Found {
    let Log { namespace, pod, container, previous, is_well } = log;
    let life = if previous { ", in its previous life" } else { "" };
    let what = format!("log of container {container} of pod {namespace}/{pod}{life}");
    let source = async {
        let parameters = LogParams {
            container: Some(container.clone()),
            previous,
            tail_lines: Some(LINES),
            limit_bytes: Some(BYTES),
            timestamps: true,
            ..LogParams::default()
        };
        let request = Request::new(format!("/api/v1/namespaces/{namespace}/pods")).logs(&pod, &parameters);
        let log = answered(deadline, client.request_text(request.map_err(unusable)?)).await?;
        let end = if previous { "previous.log" } else { "log" };
        let found = Found::file(format!("pods/{namespace}/{pod}.{container}.{end}"), what.clone(), log);
        Ok::<_, Failure>(if is_well { found } else { found.telling() })
    };
    Found::or_missing(what.clone(), source.await)
}

/// What is at a path: an object, or the first so many of a list.
async fn get(
    client: &Client,
    path: impl AsRef<str>,
    limit: Option<usize>,
    deadline: Deadline,
) -> Result<Value, Failure> {
    let request = match limit {
        Some(limit) => {
            let parameters = ListParams::default().limit(u32::try_from(limit).unwrap_or(u32::MAX));
            Request::new(path.as_ref()).list(&parameters)
        }
        None => Request::new("").get(path.as_ref().trim_start_matches('/'), &kube::api::GetParams::default()),
    };
    answered(deadline, client.request(request.map_err(unusable)?)).await
}

/// The API's answer before the deadline, and within the limit of one source.
async fn answered<T>(deadline: Deadline, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    let answer = kubernetes::ask(deadline.min(EVIDENCE_SOURCE).remaining(), request).await;
    answer.map_err(|error| error.unread(Reason::ClusterNotReady, "the sandbox's Kubernetes API does not answer"))
}

fn unusable(error: kube::core::request::Error) -> Failure {
    Failure::new(Reason::Internal, "cannot ask the Kubernetes API").caused_by(error)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Who set which field is long, and tells nothing here.
fn drop_managed_fields(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
}

/// `2026-… Warning BackOff pod flyte/minio-0 (5 times): Back-off restarting failed container`, oldest first.
fn event_lines(events: &[Value]) -> String {
    let mut lines: Vec<_> = events.iter().map(event_line).collect();
    lines.sort();
    lines.concat()
}

fn event_line(event: &Value) -> String {
    let times = ["/lastTimestamp", "/eventTime", "/firstTimestamp", "/metadata/creationTimestamp"];
    let time = times.map(|time| text(event, time)).into_iter().find(|time| !time.is_empty()).unwrap_or("-");
    let object = &event["involvedObject"];
    let kind = text(object, "/kind").to_lowercase();
    let (namespace, name) = (text(object, "/namespace"), text(object, "/name"));
    let place = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    let count = event["count"].as_u64().filter(|count| *count > 1);
    let count = count.map(|count| format!(" ({count} times)")).unwrap_or_default();
    let message = text(event, "/message").replace('\n', " ");
    format!("{time} {} {} {kind} {place}{count}: {message}\n", text(event, "/type"), text(event, "/reason"))
}

/// `flyte/minio-0 Pending, container minio: ImagePullBackOff, 0 restarts`.
fn pod_line(pod: &Value) -> String {
    let mut line =
        format!("{}/{} {}", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"), text(pod, "/status/phase"));
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        line.push_str(", being removed");
    }
    let statuses = ["initContainerStatuses", "containerStatuses"].map(|key| pod["status"][key].as_array());
    for status in statuses.into_iter().flatten().flatten() {
        let state = &status["state"];
        let ready = status["ready"] == true;
        let (does, why) = match (&state["waiting"], &state["terminated"]) {
            (waiting, _) if !waiting.is_null() => ("waits", text(waiting, "/reason")),
            (_, ended) if !ended.is_null() => ("has ended", text(ended, "/reason")),
            _ if ready => ("is ready", ""),
            _ => ("runs, and is not ready", ""),
        };
        let _ = write!(line, "; {} {does}", text(status, "/name"));
        if !why.is_empty() {
            let _ = write!(line, ": {why}");
        }
        let restarts = status["restartCount"].as_u64().unwrap_or(0);
        if restarts > 0 {
            let _ = write!(line, ", {restarts} restarts");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_that_fell_over_has_two_logs_and_one_that_never_ran_has_none() {
        let pod = json!({"metadata": {"namespace": "n", "name": "p"}, "status": {
            "initContainerStatuses": [{"name": "init", "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [
                {"name": "loops", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
                {"name": "waits", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}},
            ],
        }});
        let found: Vec<_> = logs(&pod).into_iter().map(|log| (log.container, log.previous)).collect();
        assert_eq!(found, [("init".to_owned(), false), ("loops".to_owned(), true), ("loops".to_owned(), false)]);
        assert_eq!(
            pod_line(&pod),
            "n/p ; init has ended; loops waits: CrashLoopBackOff, 3 restarts; waits waits: ContainerCreating"
        );
        assert!(logs(&json!({})).is_empty() && logs(&json!({"status": {"containerStatuses": "x"}})).is_empty());
    }

    #[test]
    fn events_are_lines_in_the_order_of_their_time() {
        let events = [
            json!({"lastTimestamp": "2026-01-02T00:00:00Z", "type": "Warning", "reason": "BackOff", "count": 5, "message": "a\nb",
                "involvedObject": {"kind": "Pod", "namespace": "n", "name": "p"}}),
            json!({"eventTime": "2026-01-01T00:00:00Z", "type": "Normal", "reason": "Starting", "message": "c",
                "involvedObject": {"kind": "Node", "name": "k"}}),
        ];
        assert_eq!(
            event_lines(&events),
            "2026-01-01T00:00:00Z Normal Starting node k: c\n2026-01-02T00:00:00Z Warning BackOff pod n/p (5 times): a b\n"
        );
        assert_eq!(event_lines(&[]), "");
    }
}
