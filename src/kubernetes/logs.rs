//! The logs of pods: their end, and what comes.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::select_all;
use futures::{AsyncBufReadExt, StreamExt};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, LogParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::ask;
use super::selection::PodSelection;
use crate::failure::Failure;
use crate::limits::{API_ANSWER, API_WATCH};

/// Between two looks at a container whose log ended while it runs.
const PAUSE: Duration = Duration::from_secs(1);

/// A line of a container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// What a reader calls the container: its component or its pod, and its own name where the pod has others.
    pub label: String,
    /// The line, without its end.
    pub text: String,
}

/// Where lines go; closed when nobody reads them any more.
pub(super) type Lines = Sender<LogLine>;

/// One life of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    namespace: String,
    pod: String,
    uid: String,
    container: String,
    restarts: i32,
    label: String,
}

impl Source {
    /// The containers of a pod, in the order in which they start, each with whether it has a log.
    fn of(pod: &Pod, selection: &PodSelection) -> Vec<(Self, bool)> {
        let label = selection.label(pod);
        let spec = pod.spec.iter();
        let names: Vec<_> =
            spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers)).collect();
        let source = |container: &str| {
            let status = status(pod, container);
            let own = if names.len() == 1 || container == label { String::new() } else { format!("/{container}") };
            let source = Self {
                namespace: pod.namespace().unwrap_or_default(),
                pod: pod.name_any(),
                uid: pod.uid().unwrap_or_default(),
                container: container.to_owned(),
                restarts: status.map_or(0, |status| status.restart_count),
                label: format!("{label}{own}"),
            };
            (source, status.is_some_and(has_log))
        };
        names.iter().map(|container| source(&container.name)).collect()
    }

    fn params(&self) -> LogParams {
        LogParams { container: Some(self.container.clone()), ..LogParams::default() }
    }
}

/// The status of a container, or of an init container.
pub(super) fn status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    all.into_iter().find(|status| status.name == container)
}

/// Whether a container has begun this life.
fn has_log(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

/// Sends the last `tail` lines of every container of the selected pods, pod by pod; the number of containers.
///
/// # Errors
/// [`Reason::ClusterNotReady`](crate::failure::Reason::ClusterNotReady): the API does not answer. Why one container's log
/// cannot be read is a line.
pub async fn logs(client: &Client, selection: &PodSelection, tail: i64, lines: &Lines) -> Result<usize, Failure> {
    let pods = selection.pods(client).await?;
    let sources: Vec<_> = pods.iter().flat_map(|pod| Source::of(pod, selection)).map(|(source, _)| source).collect();
    for source in &sources {
        let api: Api<Pod> = Api::namespaced(client.clone(), &source.namespace);
        let params = LogParams { tail_lines: Some(tail), ..source.params() };
        // A container that has not started has no log; the others' are still worth reading.
        let text = ask(API_ANSWER, api.logs(&source.pod, &params)).await.unwrap_or_else(|error| format!("({error})"));
        for text in text.lines() {
            let line = LogLine { label: source.label.clone(), text: text.to_owned() };
            if lines.send(line).await.is_err() {
                break;
            }
        }
    }
    Ok(sources.len())
}

/// Sends the last `tail` lines of every container of the selected pods, and then whatever they and the pods that come
/// after them write. Ends with the execution, where it is one's, or where nobody reads the lines any more. `streaming` is
/// a client that takes silence for silence; `is_there` is asked where the pods cannot be watched.
///
/// # Errors
/// That of `is_there`.
pub async fn follow<F: Future<Output = Result<(), Failure>>>(
    client: &Client,
    streaming: &Client,
    selection: &PodSelection,
    tail: i64,
    lines: &Lines,
    is_there: impl Fn() -> F,
) -> Result<(), Failure> {
    let (label_selector, field_selector) = selection.filters();
    let timeout = u32::try_from(API_WATCH.as_secs()).ok();
    let config = watcher::Config { label_selector, field_selector, timeout, ..watcher::Config::default() };
    let watches = selection.apis(client).into_iter().map(|api| watcher(api, config.clone()).boxed());
    let mut watches = select_all(watches);
    let (mut followed, mut readers) = (BTreeSet::new(), JoinSet::new());
    loop {
        tokio::select! {
            () = lines.closed() => return Ok(()),
            Some(_) = readers.join_next() => {}
            seen = watches.next() => {
                let (pod, tail) = match seen {
                    None => return Ok(()),
                    Some(Err(_)) => {
                        is_there().await?;
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    Some(Ok(Event::InitApply(pod))) => (pod, Some(tail)),
                    // What begins from now on is read from its first line.
                    Some(Ok(Event::Apply(pod))) => (pod, None),
                    Some(Ok(_)) => continue,
                };
                for source in begun(&pod, selection).filter(|source| followed.insert(source.clone())) {
                    let api = Api::namespaced(streaming.clone(), &source.namespace);
                    readers.spawn(read(api, source, tail, lines.clone()));
                }
            }
            () = tokio::time::sleep(PAUSE), if readers.is_empty() => {
                let ended = selection.execution_ended(client).await.unwrap_or(false);
                let pods = if ended { selection.pods(client).await.unwrap_or_default() } else { Vec::new() };
                if ended && pods.iter().flat_map(|pod| begun(pod, selection)).all(|source| followed.contains(&source)) {
                    return Ok(());
                }
            }
        }
    }
}

/// The containers of a pod that have begun, where it is one of those selected.
fn begun(pod: &Pod, selection: &PodSelection) -> impl Iterator<Item = Source> {
    let all = if selection.selects(pod) { Source::of(pod, selection) } else { Vec::new() };
    all.into_iter().filter(|(_, has_log)| *has_log).map(|(source, _)| source)
}

/// Sends the lines of one life of a container, to its end. A connection that is cut is made again, and goes on behind the
/// last line.
async fn read(api: Api<Pod>, source: Source, tail: Option<i64>, lines: Lines) {
    let mut last: Option<Timestamp> = None;
    loop {
        let goes_on = runs(&api, &source).await;
        let params = LogParams {
            follow: true,
            timestamps: true,
            since_time: last,
            tail_lines: tail.filter(|_| last.is_none()),
            ..source.params()
        };
        if let Ok(log) = api.log_stream(&source.pod, &params).await {
            let mut log = log.lines();
            while let Some(Ok(line)) = log.next().await {
                // A line without a time is the kubelet's, about the log; and the API gives whole seconds again.
                let Some((time, text)) = dated(&line).filter(|(time, _)| last.is_none_or(|last| *time > last)) else {
                    continue;
                };
                last = Some(time);
                let line = LogLine { label: source.label.clone(), text: text.to_owned() };
                if lines.send(line).await.is_err() {
                    return;
                }
            }
        }
        if !goes_on {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether this life of the container goes on; so it is taken where the API does not say.
async fn runs(api: &Api<Pod>, source: &Source) -> bool {
    let Ok(pod) = ask(API_ANSWER, api.get_opt(&source.pod)).await else { return true };
    let same = pod.filter(|pod| pod.uid().unwrap_or_default() == source.uid);
    let status = same.as_ref().and_then(|pod| status(pod, &source.container));
    status.is_some_and(|status| {
        let runs = status.state.as_ref().is_some_and(|state| state.running.is_some());
        runs && status.restart_count == source.restarts
    })
}

/// When a line was written, and the line.
fn dated(line: &str) -> Option<(Timestamp, &str)> {
    let (time, text) = line.split_once(' ')?;
    Some((time.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_parted_from_its_time_and_what_has_none_is_no_line() {
        let (time, text) = dated("2026-11-27T12:00:00.000000001Z  level=info").expect("a time");
        assert_eq!((time.subsec_nanosecond(), text), (1, " level=info"));
        for line in ["", "unable to retrieve container logs for containerd://0", "2026"] {
            assert_eq!(dated(line), None);
        }
    }
}
