//! Watches until all targets are ready, one is stuck, or time is up.

use std::collections::BTreeSet;
use std::slice;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use futures::stream::{BoxStream, select_all};
use futures::{FutureExt, StreamExt};
use kube::Client;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::time::{MissedTickBehavior, interval};

use super::cache::{WorkloadCache, waiting, watched};
use super::explain;
use super::model::Status;
use crate::failure::{Failure, Reason, innermost};
use crate::kubernetes::{ApiError, ask, resolve};
use crate::limits::{API_ANSWER, API_WATCH};
use crate::manifest::{Collection, ObjectRef};
use crate::report::{Event, Stage, Waiting};
use crate::run::Run;

/// How often passing time is looked at; what happens in the cluster comes by itself.
const TICK: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_millis(500);
const UNSEEN: &str = "cannot look at the workloads";

/// [`PAUSE`] after an error of a watch. It does not grow: a fresh start of a watch counts as success, so it would not.
struct Pause;

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(PAUSE)
    }
}

impl Backoff for Pause {
    fn reset(&mut self) {}
}

type Seen = (Collection, Result<watcher::Event<DynamicObject>, watcher::Error>);

/// Waits until every target is ready: Deployment, StatefulSet, DaemonSet and Job by their pods, any other object by its
/// being there. Targets stand in the order in which they need each other. Says what is waited for whenever that
/// changes.
///
/// # Errors
/// As soon as waiting is of no use, and after `budget` or at the run's deadline, both with the first cause, the end of the
/// log and the last events. The reason is that of the first workload that cannot start, [`Reason::RolloutTimeout`] where
/// none is known. [`Reason::Interrupted`].
pub async fn wait(client: &Client, targets: &[ObjectRef], run: &Run, budget: Duration) -> Result<(), Failure> {
    run.unless_cancelled(watch(client, targets, run, budget)).await
}

async fn watch(client: &Client, targets: &[ObjectRef], run: &Run, budget: Duration) -> Result<(), Failure> {
    if targets.is_empty() {
        return Ok(());
    }
    let (started, deadline) = (Instant::now(), run.deadline.min(budget));
    let Some(opened) = deadline.limit(open(client, targets)).await else {
        return Err(Failure::new(Reason::ApiUnavailable, "cannot watch the workloads")
            .because(deadline.expired_message())
            .because("the API does not answer"));
    };
    let mut seen = select_all(opened?);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cache = WorkloadCache::default();
    let (mut told, mut trouble) = (None, None);
    loop {
        tokio::select! {
            Some(next) = seen.next() => {
                take(&mut cache, next, run, &mut trouble);
                // What else has come already is one change, not many.
                while let Some(Some(next)) = seen.next().now_or_never() {
                    take(&mut cache, next, run, &mut trouble);
                }
            }
            _ = tick.tick() => {}
        }
        let late = deadline.has_passed();
        if !cache.is_complete(targets) {
            if late {
                let failure = Failure::new(Reason::ApiUnavailable, "cannot watch the workloads")
                    .because(deadline.expired_message());
                let cause = trouble.unwrap_or_else(|| "the API does not answer".to_owned());
                return Err(failure.because(cause).hint("`sandbox status` tells whether the node is up"));
            }
            continue;
        }
        let judged = cache.judge(targets, Instant::now());
        let waiting = waiting(&judged);
        tell(run, targets.len(), &waiting, &mut told);
        if waiting.is_empty() {
            return Ok(());
        }
        let stuck = judged.iter().any(|(_, status)| matches!(status, Status::Stuck(_)));
        let failure = if stuck {
            Failure::new(Reason::WorkloadStuck, "a workload cannot start")
        } else if late {
            let after = humantime::format_duration(Duration::from_secs(started.elapsed().as_secs()));
            let what = format!("{} of {} workloads are not ready after {after}", waiting.len(), targets.len());
            Failure::new(Reason::RolloutTimeout, what).because(deadline.expired_message())
        } else {
            continue;
        };
        let Some((object, cause)) = explain::first(&judged) else { continue };
        return Err(explain::failure(client, failure, object, cause).await);
    }
}

async fn open(client: &Client, targets: &[ObjectRef]) -> Result<Vec<BoxStream<'static, Seen>>, Failure> {
    let keys = watched(targets);
    let seconds = u32::try_from(API_WATCH.as_secs()).unwrap_or(u32::MAX);
    try_join_all(keys.into_iter().map(async |key| {
        let api = endpoint(client, &key).await?;
        // Listing and then watching is what every Kubernetes version can do.
        let events = watcher(api, watcher::Config::default().timeout(seconds)).backoff(Pause);
        Ok(events.map(move |event| (key.clone(), event)).boxed())
    }))
    .await
}

async fn endpoint(client: &Client, key: &Collection) -> Result<kube::Api<DynamicObject>, Failure> {
    let failed = |error: ApiError| error.unread(Reason::ClusterNotReady, UNSEEN).on(key);
    Ok(ask(API_ANSWER, resolve(client, key)).await.map_err(failed)?.endpoint(client, key.namespace.as_deref()))
}

fn take(cache: &mut WorkloadCache, (key, event): Seen, run: &Run, trouble: &mut Option<String>) {
    match event {
        Ok(event) => cache.take(&key, event),
        Err(error) => {
            let note = format!("watching {}s: {}; trying again", key.kind.to_lowercase(), innermost(&error));
            run.report.progress(Stage::Rollout, &note);
            *trouble = Some(note);
        }
    }
}

fn tell(run: &Run, total: usize, waiting: &[Waiting], told: &mut Option<Vec<Waiting>>) {
    if told.as_deref() == Some(waiting) {
        return;
    }
    let ready = total - waiting.len();
    run.report.emit(Event::RolloutProgress { ready, total, waiting: waiting.to_vec() });
    let note = match waiting.first() {
        Some(first) => format!("{ready} of {total} ready; {}: {}", first.object, first.reason),
        None => format!("{ready} of {total} ready"),
    };
    run.report.progress(Stage::Rollout, note);
    *told = Some(waiting.to_vec());
}

/// What is not ready at this moment, by one request for each kind and namespace, and one more for the pods of a
/// namespace in which something is not ready.
///
/// # Errors
/// [`Reason::ClusterNotReady`] when the API does not answer.
pub async fn ready_now(client: &Client, targets: &[ObjectRef]) -> Result<Vec<Waiting>, Failure> {
    let mut cache = WorkloadCache::default();
    list(client, targets.iter().map(ObjectRef::collection).collect(), &mut cache).await?;
    let judged = cache.judge(targets, Instant::now());
    let late: Vec<ObjectRef> =
        judged.into_iter().filter(|(_, status)| *status != Status::Ready).map(|(target, _)| target.clone()).collect();
    let pods = watched(&late).into_iter().filter(|key| key.kind == "Pod").collect();
    list(client, pods, &mut cache).await?;
    Ok(waiting(&cache.judge(targets, Instant::now())))
}

/// A failure on an object with what holds that back now; none where nothing does, or the API does not tell.
pub async fn first_cause(client: &Client, failure: Failure, object: &ObjectRef) -> Option<Failure> {
    let target = slice::from_ref(object);
    let mut cache = WorkloadCache::default();
    list(client, watched(target), &mut cache).await.ok()?;
    let judged = cache.judge(target, Instant::now());
    let (object, cause) = explain::first(&judged)?;
    Some(explain::failure(client, failure, object, cause).await)
}

async fn list(client: &Client, keys: BTreeSet<Collection>, cache: &mut WorkloadCache) -> Result<(), Failure> {
    let listings = try_join_all(keys.into_iter().map(async |key| {
        let api = endpoint(client, &key).await?;
        let listed = ask(API_ANSWER, api.list(&ListParams::default())).await;
        let listed = listed.map_err(|error| error.unread(Reason::ClusterNotReady, UNSEEN))?;
        Ok::<_, Failure>((key, listed.items))
    }))
    .await?;
    for (key, objects) in listings {
        cache.take_all(&key, objects);
    }
    Ok(())
}
