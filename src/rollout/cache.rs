//! What the watches have seen so far, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::model::{ContainerRef, LastExit, Neighbours, Status};
use super::pods::{HOPELESS_RESTARTS, restarts_before};
use super::status::status;
use crate::manifest::{Collection, ObjectRef};
use crate::report::Waiting;

/// The collection of another kind in a target's namespace.
fn beside(target: &ObjectRef, api_version: &str, kind: &str) -> Collection {
    Collection { api_version: api_version.to_owned(), kind: kind.to_owned(), namespace: target.namespace.clone() }
}

/// All collections that must be watched to judge the targets and to explain what they wait for.
pub(super) fn watched(targets: &[ObjectRef]) -> BTreeSet<Collection> {
    let mut collections = BTreeSet::new();
    for target in targets {
        collections.insert(target.collection());
        if target.kind == "Deployment" {
            collections.insert(beside(target, "apps/v1", "ReplicaSet"));
        }
        collections.insert(beside(target, "v1", "Pod"));
        collections.insert(beside(target, "v1", "Event"));
    }
    collections
}

#[derive(Debug, Default)]
struct WatchedObjects {
    rows: BTreeMap<String, Value>,
    /// Collects a new listing until it is complete.
    incoming: Option<BTreeMap<String, Value>>,
    listed: bool,
}

/// What the watches have seen so far.
#[derive(Debug, Default)]
pub(super) struct WorkloadCache {
    tables: BTreeMap<Collection, WatchedObjects>,
    /// Since when each target has hung on the same failing thing.
    failing: BTreeMap<ObjectRef, (Option<ContainerRef>, Instant)>,
    /// How each target's container has ended, the last times.
    ends: BTreeMap<ObjectRef, Vec<LastExit>>,
    /// The restarts that do not count of each container, by pod: those of its life before it was first looked at.
    earlier: BTreeMap<(String, String), u64>,
}

impl WorkloadCache {
    /// Takes in what a watch saw.
    pub(super) fn take(&mut self, key: &Collection, event: Event<DynamicObject>) {
        if let Event::InitApply(object) | Event::Apply(object) = &event {
            self.count_from_here(key, object);
        }
        let table = self.tables.entry(key.clone()).or_default();
        match event {
            Event::Init => table.incoming = Some(BTreeMap::new()),
            Event::InitApply(object) => {
                if let Some((name, row)) = row(key, object) {
                    table.incoming.get_or_insert_default().insert(name, row);
                }
            }
            Event::InitDone => {
                table.rows = table.incoming.take().unwrap_or_default();
                table.listed = true;
            }
            Event::Apply(object) => table.rows.extend(row(key, object)),
            Event::Delete(object) => {
                table.rows.remove(&object.metadata.name.unwrap_or_default());
            }
        }
    }

    /// Takes in a whole listing.
    pub(super) fn take_all(&mut self, key: &Collection, objects: Vec<DynamicObject>) {
        objects.iter().for_each(|object| self.count_from_here(key, object));
        let rows = objects.into_iter().filter_map(|object| row(key, object)).collect();
        self.tables.insert(key.clone(), WatchedObjects { rows, incoming: None, listed: true });
    }

    /// Notes how often the containers of a pod had been restarted when it was seen for the first time.
    fn count_from_here(&mut self, key: &Collection, object: &DynamicObject) {
        let Some(name) = object.metadata.name.as_ref().filter(|_| key.kind == "Pod") else { return };
        for (container, before) in restarts_before(&object.data) {
            self.earlier.entry((name.clone(), container)).or_insert(before);
        }
    }

    /// Whether everything was listed that decides: a target not seen before is not one that is not there, and one whose
    /// pods were not seen is not ready.
    pub(super) fn is_complete(&self, targets: &[ObjectRef]) -> bool {
        let listed = |collection: Collection| self.tables.get(&collection).is_some_and(|table| table.listed);
        watched(targets).into_iter().filter(|collection| collection.kind != "Event").all(listed)
    }

    /// Each target's status, in the order of the targets.
    pub(super) fn judge<'t>(&mut self, targets: &'t [ObjectRef], now: Instant) -> Vec<(&'t ObjectRef, Status)> {
        let judged: Vec<_> = targets.iter().map(|target| (target, self.status(target))).collect();
        let judge = |(target, status): (&'t ObjectRef, Status)| {
            let status = self.unless_it_varies(target, self.unless_it_began_earlier(status));
            let Status::Failing(cause, _) = &status else {
                self.failing.remove(target);
                return (target, status);
            };
            let container = cause.container.clone().map(|container| ContainerRef { previous: false, ..container });
            let (known, since) = self.failing.entry(target.clone()).or_insert((container.clone(), now));
            if *known != container {
                (*known, *since) = (container, now);
            }
            let lasted = now.saturating_duration_since(*since);
            (target, status.after(lasted))
        };
        judged.into_iter().map(judge).collect()
    }

    /// A container that was restarted with its node, or by somebody, has ended less often than its pod counts.
    fn unless_it_began_earlier(&self, status: Status) -> Status {
        let counted = status.cause().and_then(|cause| {
            let (container, end) = (cause.container.as_ref()?, cause.last_exit.as_ref()?);
            let earlier = self.earlier.get(&(container.pod.clone(), container.container.clone()));
            Some(end.restarts.saturating_sub(earlier.copied().unwrap_or(0)))
        });
        match status {
            Status::Stuck(cause) if counted.is_some_and(|counted| counted < HOPELESS_RESTARTS) => {
                Status::Waiting(cause)
            }
            status => status,
        }
    }

    /// A container that ends in another way than the times before may get over it: its database was not there, and now
    /// its schema is not.
    fn unless_it_varies(&mut self, target: &ObjectRef, status: Status) -> Status {
        let Some(end) = status.cause().and_then(|cause| cause.last_exit.clone()) else { return status };
        let ends = self.ends.entry(target.clone()).or_default();
        if ends.last() != Some(&end) {
            ends.push(end);
        }
        let many = usize::try_from(HOPELESS_RESTARTS).unwrap_or(usize::MAX);
        ends.drain(..ends.len().saturating_sub(many));
        let varies = ends.windows(2).any(|pair| pair[0].how != pair[1].how);
        match status {
            Status::Stuck(cause) if varies => Status::Waiting(cause),
            status => status,
        }
    }

    fn status(&self, target: &ObjectRef) -> Status {
        let rows = |api_version: &str, kind: &str| {
            let table = self.tables.get(&beside(target, api_version, kind));
            table.map(|table| table.rows.values().collect()).unwrap_or_default()
        };
        let around = Neighbours {
            replica_sets: rows("apps/v1", "ReplicaSet"),
            pods: rows("v1", "Pod"),
            events: rows("v1", "Event"),
        };
        let workload = self.tables.get(&target.collection()).and_then(|table| table.rows.get(&target.name));
        status(workload, &around)
    }
}

/// Those that are not ready, as the report has them.
pub(super) fn waiting(judged: &[(&ObjectRef, Status)]) -> Vec<Waiting> {
    let waiting = |(target, status): &(&ObjectRef, Status)| {
        let cause = status.cause()?;
        let object = format!("{}/{}", target.kind.to_lowercase(), target.name);
        Some(Waiting { object, reason: cause.line.clone() })
    };
    judged.iter().filter_map(waiting).collect()
}

/// Elements of a list do not tell their kind; the key does.
fn row(key: &Collection, object: DynamicObject) -> Option<(String, Value)> {
    let name = object.metadata.name.clone()?;
    let mut value = serde_json::to_value(object).ok()?;
    value.as_object_mut()?.insert("kind".to_owned(), key.kind.clone().into());
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn target(kind: &str) -> ObjectRef {
        let api_version = if kind == "Pod" { "v1" } else { "apps/v1" }.to_owned();
        ObjectRef { api_version, kind: kind.to_owned(), namespace: Some("n".to_owned()), name: "d".to_owned() }
    }

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).expect("an object")
    }

    fn cache(reason: &str) -> WorkloadCache {
        let mut cache = WorkloadCache::default();
        let labels = json!({"app": "d"});
        let deployment = json!({"metadata": {"name": "d", "uid": "1", "generation": 1},
            "spec": {"selector": {"matchLabels": labels}}, "status": {"observedGeneration": 1}});
        cache.take_all(&target("Deployment").collection(), vec![object(deployment)]);
        let pod = json!({"metadata": {"name": "d-1", "labels": labels}, "status": {"containerStatuses": [
            {"name": "c", "state": {"waiting": {"reason": reason}}}]}});
        cache.take_all(&target("Pod").collection(), vec![object(pod)]);
        cache
    }

    #[test]
    fn a_failing_image_is_stuck_when_it_has_lasted_for_its_grace() {
        let targets = [target("Deployment")];
        let start = Instant::now();
        let mut cache = cache("ErrImagePull");
        let at = |cache: &mut WorkloadCache, seconds| {
            cache.judge(&targets, start + Duration::from_secs(seconds))[0].1.gravity()
        };
        assert_eq!([at(&mut cache, 0), at(&mut cache, 19), at(&mut cache, 20)], [2, 2, 3]);
    }

    #[test]
    fn a_failing_image_that_recovers_gets_its_whole_grace_again() {
        let targets = [target("Deployment")];
        let start = Instant::now();
        let mut failing = cache("ErrImagePull");
        failing.judge(&targets, start);
        let mut recovered = cache("ContainerCreating");
        recovered.failing = failing.failing;
        recovered.judge(&targets, start + Duration::from_secs(10));
        let mut again = cache("ImagePullBackOff");
        again.failing = recovered.failing;
        assert_eq!(again.judge(&targets, start + Duration::from_secs(25))[0].1.gravity(), 2);
    }

    #[test]
    fn a_crash_loop_is_stuck_when_it_ended_three_times_in_the_same_way() {
        let targets = [target("Deployment")];
        for (codes, gravity) in [
            (vec![(3, 1)], 3),
            (vec![(1, 1), (2, 1), (3, 1)], 3),
            (vec![(1, 1), (2, 1), (3, 2)], 1),
            (vec![(2, 1), (3, 2), (4, 2)], 1),
            (vec![(2, 1), (3, 2), (4, 2), (4, 2), (5, 2)], 3),
        ] {
            let mut cache = cache("CrashLoopBackOff");
            let mut last = 0;
            for &(restarts, code) in &codes {
                let pod = json!({"metadata": {"name": "d-1", "labels": {"app": "d"}}, "status": {"containerStatuses": [
                    {"name": "c", "restartCount": restarts, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": code, "reason": "Error"}}}]}});
                cache.take_all(&target("Pod").collection(), vec![object(pod)]);
                last = cache.judge(&targets, Instant::now())[0].1.gravity();
            }
            assert_eq!(last, gravity, "{codes:?}");
        }
    }

    #[test]
    fn restarts_count_from_the_first_look_unless_it_was_at_a_crash_loop() {
        let targets = [target("Deployment")];
        let running = json!({"running": {}});
        let died = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
        let died_soon = json!({"terminated": {"exitCode": 1, "reason": "Error",
            "startedAt": "2026-11-28T00:05:00Z", "finishedAt": "2026-11-28T00:05:09Z"}});
        let killed = json!({"terminated": {"exitCode": 137, "reason": "Error",
            "startedAt": "2026-11-28T00:05:00Z", "finishedAt": "2026-11-28T00:05:17Z"}});
        let with_its_node = json!({"terminated": {"exitCode": 255, "reason": "Unknown"}});
        let looping = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let none = json!({});
        for (seen, gravity) in [
            // The node was killed nine times, and the database is not back at once.
            (vec![(9, &with_its_node, &none)], 1),
            (vec![(10, &running, &with_its_node), (10, &died, &with_its_node)], 1),
            (vec![(10, &running, &with_its_node), (12, &looping, &died)], 1),
            (vec![(10, &running, &with_its_node), (13, &looping, &died)], 3),
            (vec![(10, &died, &with_its_node)], 1),
            (vec![(10, &died, &with_its_node), (12, &looping, &died)], 3),
            // It looped before anybody looked.
            (vec![(3, &looping, &died)], 3),
            (vec![(3, &looping, &died_soon)], 3),
            // Its node was stopped twice, and somebody killed its process.
            (vec![(3, &looping, &killed)], 1),
            (vec![(3, &looping, &killed), (6, &looping, &killed)], 3),
            (vec![(2, &looping, &died)], 1),
            (vec![(0, &running, &none), (3, &looping, &died)], 3),
        ] {
            let mut cache = cache("ContainerCreating");
            cache.earlier.clear();
            let mut last = 0;
            for (restarts, state, last_state) in &seen {
                let pod = json!({"metadata": {"name": "d-1", "labels": {"app": "d"}}, "status": {"containerStatuses": [
                    {"name": "c", "restartCount": restarts, "state": state, "lastState": last_state}]}});
                cache.take_all(&target("Pod").collection(), vec![object(pod)]);
                last = cache.judge(&targets, Instant::now())[0].1.gravity();
            }
            assert_eq!(last, gravity, "{seen:?}");
        }
    }

    #[test]
    fn a_new_listing_forgets_what_is_no_longer_there() {
        let key = target("Deployment").collection();
        let mut cache = cache("ErrImagePull");
        cache.take(&key, Event::Init);
        assert_ne!(cache.status(&target("Deployment")).cause().expect("waits").line, "not there yet");
        cache.take(&key, Event::InitDone);
        assert_eq!(cache.status(&target("Deployment")).cause().expect("waits").line, "not there yet");
    }
}
