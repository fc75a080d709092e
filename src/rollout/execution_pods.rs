//! What holds back the pods of an execution, while it runs and at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde_json::Value;

use super::model::{Blocker, Neighbours, Status};
use super::pods;
use crate::failure::Failure;
use crate::kubernetes::{PodSelection, ask};
use crate::limits::{API_ANSWER, POD_QUIET};

/// What the pods of an execution have waited for, and what they died of.
#[derive(Debug, Default)]
pub struct ExecutionPods {
    held: BTreeMap<String, Held>,
    told: BTreeSet<(String, String)>,
    any: bool,
}

#[derive(Debug)]
struct Held {
    cause: Blocker,
    gravity: u8,
    since: Instant,
}

impl ExecutionPods {
    /// Looks at the pods once. Returns what is new and does not pass by itself, or has lasted: the pod's name and a line each.
    ///
    /// # Errors
    /// [`Reason::ClusterNotReady`](crate::failure::Reason::ClusterNotReady): the API does not answer.
    pub async fn look(&mut self, client: &Client, selection: &PodSelection) -> Result<Vec<(String, String)>, Failure> {
        let pods = selection.pods(client).await?;
        let statuses = join_all(pods.iter().map(|pod| judged(client, pod))).await;
        let names = pods.iter().map(ResourceExt::name_any);
        Ok(self.news(names.zip(statuses).collect(), Instant::now()))
    }

    fn news(&mut self, statuses: Vec<(String, Status)>, now: Instant) -> Vec<(String, String)> {
        let mut news = Vec::new();
        self.any |= !statuses.is_empty();
        for (pod, status) in statuses {
            let Some(cause) = status.cause() else {
                self.held.remove(&pod);
                continue;
            };
            let before = self.held.get(&pod).filter(|held| held.cause.line == cause.line);
            let since = before.map_or(now, |held| held.since);
            let (line, gravity) = (cause.line.clone(), status.gravity());
            self.held.insert(pod.clone(), Held { cause: cause.clone(), gravity, since });
            let lasts = !matches!(status, Status::Waiting(_)) || now.saturating_duration_since(since) >= POD_QUIET;
            if lasts && self.told.insert((pod.clone(), line.clone())) {
                news.push((pod, line));
            }
        }
        news
    }

    /// Whether a pod was ever seen.
    #[must_use]
    pub fn any(&self) -> bool {
        self.any
    }

    /// What holds back or has ended the execution, as far as a pod tells: the pod's name, and why. A pod that is gone still
    /// tells what was last seen of it.
    #[must_use]
    pub fn cause(&self) -> Option<(&str, &Blocker)> {
        let worst = self.held.iter().max_by_key(|(_, held)| (held.gravity, held.since))?;
        Some((worst.0, &worst.1.cause))
    }
}

/// The status of a pod, with its events where something holds it back.
async fn judged(client: &Client, pod: &Pod) -> Status {
    let value = serde_json::to_value(pod).unwrap_or_default();
    let status = pods::status(&value, &Neighbours::default());
    if status == Status::Ready {
        return status;
    }
    let events: Api<Event> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let about = ListParams::default().fields(&format!("involvedObject.name={}", pod.name_any()));
    // Without them its own status still tells most.
    let events = ask(API_ANSWER, events.list(&about)).await.map(|list| list.items).unwrap_or_default();
    let events: Vec<Value> = events.iter().filter_map(|event| serde_json::to_value(event).ok()).collect();
    let status = pods::status(&value, &Neighbours { events: events.iter().collect(), ..Neighbours::default() });
    match status {
        // Nobody starts a task's container again: its end is final.
        Status::Waiting(cause) if failed(pod) => Status::Stuck(cause),
        status => status,
    }
}

fn failed(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pods: &mut ExecutionPods, statuses: &[(&str, Status)], now: Instant) -> String {
        let statuses = statuses.iter().map(|(pod, status)| ((*pod).to_owned(), status.clone())).collect();
        let news = pods.news(statuses, now);
        news.iter().map(|(pod, line)| format!("{pod} {line}")).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_does_not_pass_is_told_once_and_what_passes_only_where_it_lasts() {
        let pulling = || Status::Failing(Blocker::passing("ErrImagePull"), POD_QUIET);
        let backs_off = || Status::Failing(Blocker::passing("ImagePullBackOff"), POD_QUIET);
        let (mut pods, start) = (ExecutionPods::default(), Instant::now());
        assert!(!pods.any());
        assert_eq!(told(&mut pods, &[("a", Status::waiting("ContainerCreating"))], start), "");
        assert_eq!(told(&mut pods, &[("a", pulling()), ("b", Status::waiting("Creating"))], start), "a ErrImagePull");
        let later = start + POD_QUIET;
        assert_eq!(
            told(&mut pods, &[("a", backs_off()), ("b", Status::waiting("Creating"))], later),
            "a ImagePullBackOff, b Creating"
        );
        assert_eq!(told(&mut pods, &[("a", pulling()), ("b", Status::Ready)], later), "", "it was told");
        assert_eq!(pods.cause().map(|(pod, cause)| (pod, cause.line.as_str())), Some(("a", "ErrImagePull")));
        assert_eq!(told(&mut pods, &[], later), "");
        assert_eq!(pods.cause().map(|(pod, _)| pod), Some("a"), "its propeller removed it");
        assert!(pods.any());
        told(&mut pods, &[("a", Status::Ready)], later);
        assert_eq!(pods.cause(), None);
    }
}
