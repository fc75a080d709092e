//! The reducer on workloads as Kubernetes shows them.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::time::Duration;

use serde_json::json;

use super::*;

fn deployment(status: Value) -> Value {
    json!({"kind": "Deployment", "metadata": {"name": "d", "uid": "d", "generation": 2,
        "annotations": {"deployment.kubernetes.io/revision": "2"}}, "spec": {"replicas": 1}, "status": status})
}

fn starting() -> Value {
    deployment(json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}))
}

fn replica_set(revision: &str) -> Value {
    json!({"metadata": {"name": revision, "uid": revision, "ownerReferences": [{"uid": "d"}],
        "annotations": {"deployment.kubernetes.io/revision": revision}}})
}

fn pod(revision: &str, status: Value) -> Value {
    json!({"metadata": {"name": format!("p{revision}"), "namespace": "n", "ownerReferences": [{"uid": revision}]},
        "status": status})
}

fn containers(container: Value) -> Value {
    json!({"phase": "Pending", "containerStatuses": [container]})
}

fn waiting(reason: &str, message: &str) -> Value {
    containers(json!({"name": "c", "state": {"waiting": {"reason": reason, "message": message}}}))
}

fn judge(workload: &Value, pods: &[Value], events: &[Value]) -> Status {
    let sets = ["1", "2"].map(replica_set);
    let around = Neighbours {
        replica_sets: sets.iter().collect(),
        pods: pods.iter().collect(),
        events: events.iter().collect(),
    };
    status(Some(workload), &around)
}

fn told(status: &Status) -> (u8, &str) {
    (status.gravity(), status.cause().map_or("", |cause| cause.line.as_str()))
}

#[test]
fn workloads_are_ready_by_their_own_counts() {
    let ready = |kind: &str, spec: Value, counts: Value| {
        let workload = json!({"kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": counts});
        status(Some(&workload), &Neighbours::default()) == Status::Ready
    };
    for (wanted, kind, spec, counts) in [
        (
            true,
            "Deployment",
            json!({}),
            json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}),
        ),
        (
            false,
            "Deployment",
            json!({}),
            json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}),
        ),
        (
            false,
            "Deployment",
            json!({}),
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}),
        ),
        (
            false,
            "Deployment",
            json!({"replicas": 2}),
            json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}),
        ),
        (true, "Deployment", json!({"replicas": 0}), json!({"observedGeneration": 2})),
        (true, "StatefulSet", json!({}), json!({"observedGeneration": 2, "updatedReplicas": 1, "readyReplicas": 1})),
        (false, "StatefulSet", json!({}), json!({"observedGeneration": 2, "updatedReplicas": 0, "readyReplicas": 1})),
        (
            true,
            "DaemonSet",
            json!({}),
            json!({"observedGeneration": 2, "desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1}),
        ),
        (
            false,
            "DaemonSet",
            json!({}),
            json!({"observedGeneration": 2, "desiredNumberScheduled": 1, "numberAvailable": 1}),
        ),
        (true, "Job", json!({}), json!({"conditions": [{"type": "Complete", "status": "True"}]})),
        (false, "Job", json!({}), json!({"active": 1})),
        (true, "Service", json!({}), json!({})),
    ] {
        assert_eq!(ready(kind, spec.clone(), counts.clone()), wanted, "{kind} {spec} {counts}");
    }
}

#[test]
fn each_way_to_be_held_up_is_told_as_what_it_is() {
    let restarted = |restarts: u64, why: &str| {
        containers(json!({"name": "c", "restartCount": restarts, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": why}}}))
    };
    let unscheduled = |message: &str| json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": message}]});
    let init = |state: Value| {
        json!({"initContainerStatuses": [
                {"name": "done", "state": {"terminated": {"exitCode": 0}}},
                {"name": "migrate", "restartCount": 3, "state": state}],
            "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "PodInitializing"}}}]})
    };
    let crashing = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let unready = containers(json!({"name": "c", "ready": false, "state": {"running": {}}}));
    let failed = |reason: &str, message: &str| json!({"phase": "Failed", "reason": reason, "message": message});
    let ended = containers(json!({"name": "c", "restartCount": 1,
        "state": {"terminated": {"exitCode": 1, "reason": "StartError", "message": "no such file"}}}));
    let taint = "node had taint not-ready";
    let too_small = "0/1 nodes: Insufficient memory";
    for (status, gravity, line, reason) in [
        (
            waiting("ErrImagePull", "manifest unknown"),
            2,
            "container c: ErrImagePull: manifest unknown",
            Reason::PodImage,
        ),
        (waiting("ImagePullBackOff", "Back-off"), 2, "container c: ImagePullBackOff: Back-off", Reason::PodImage),
        (waiting("ErrImageNeverPull", "absent"), 2, "container c: ErrImageNeverPull: absent", Reason::PodImage),
        (
            waiting("CreateContainerConfigError", "no secret"),
            2,
            "container c: CreateContainerConfigError: no secret",
            Reason::PodConfig,
        ),
        (waiting("CreateContainerError", "mount"), 2, "container c: CreateContainerError: mount", Reason::PodCreate),
        (waiting("RunContainerError", "exec"), 2, "container c: RunContainerError: exec", Reason::PodCreate),
        (ended, 1, "container c: StartError, exit code 1, 1 restart: no such file", Reason::PodCreate),
        (waiting("InvalidImageName", "bad"), 3, "container c: InvalidImageName: bad", Reason::PodImageName),
        (waiting("ContainerCreating", ""), 1, "container c: ContainerCreating", Reason::RolloutTimeout),
        (
            restarted(1, "OOMKilled"),
            1,
            "container c: CrashLoopBackOff, OOMKilled, exit code 137, 1 restart",
            Reason::PodMemory,
        ),
        (
            restarted(3, "OOMKilled"),
            3,
            "container c: CrashLoopBackOff, OOMKilled, exit code 137, 3 restarts",
            Reason::PodMemory,
        ),
        (restarted(2, "Error"), 1, "container c: CrashLoopBackOff, exit code 137, 2 restarts", Reason::PodCrash),
        (restarted(3, "Error"), 3, "container c: CrashLoopBackOff, exit code 137, 3 restarts", Reason::PodCrash),
        (init(json!({"running": {}})), 1, "init container migrate: runs", Reason::RolloutTimeout),
        (init(crashing), 3, "init container migrate: CrashLoopBackOff, 3 restarts", Reason::PodInit),
        (unready, 1, "container c: runs, not ready yet", Reason::PodProbe),
        (unscheduled(too_small), 2, "no node takes its pod: 0/1 nodes: Insufficient memory", Reason::PodUnschedulable),
        (unscheduled(taint), 1, "no node takes its pod: node had taint not-ready", Reason::RolloutTimeout),
        (
            failed("Evicted", "The node was low on resource: memory."),
            2,
            "its pod failed: The node was low on resource: memory.",
            Reason::PodEvicted,
        ),
        (failed("UnexpectedAdmissionError", "x"), 2, "its pod failed: x", Reason::WorkloadStuck),
    ] {
        let judged = judge(&starting(), &[pod("2", status)], &[]);
        assert_eq!(told(&judged), (gravity, line));
        assert_eq!(judged.cause().map(|cause| cause.reason), Some(reason), "{line}");
    }
}

#[test]
fn what_is_hopeless_ends_after_its_grace_and_no_sooner() {
    let unscheduled = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "message": "Insufficient memory"}]});
    for (status, events, grace) in [
        (waiting("ErrImagePull", "manifest unknown"), vec![], Some(20)),
        (waiting("CreateContainerConfigError", "secret \"s\" not found"), vec![], Some(20)),
        (unscheduled, vec![], Some(60)),
        (waiting("ContainerCreating", ""), vec![("FailedMount", "configmap \"c\" not found")], Some(20)),
        (waiting("ContainerCreating", ""), vec![("FailedMount", "timed out")], None),
        (waiting("ContainerCreating", ""), vec![], None),
    ] {
        let events: Vec<Value> = events
            .into_iter()
            .map(|(reason, said)| json!({"involvedObject": {"name": "p2"}, "reason": reason, "message": said}))
            .collect();
        let judged = judge(&starting(), &[pod("2", status)], &events);
        let after = |seconds| judged.clone().after(Duration::from_secs(seconds)).gravity();
        match grace {
            Some(grace) => assert_eq!((after(grace - 1), after(grace)), (2, 3), "{judged:?}"),
            None => assert_eq!(after(u64::MAX), 1, "{judged:?}"),
        }
    }
}

#[test]
fn a_container_that_never_started_tells_what_the_runtime_said() {
    let terminated = json!({"exitCode": 128, "reason": "StartError", "message": "exec: \"/nope\": no such file"});
    let status = containers(json!({"name": "c", "restartCount": 1, "lastState": {"terminated": terminated},
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}}));
    let why = "container c: CrashLoopBackOff, StartError, exit code 128, 1 restart: exec: \"/nope\": no such file";
    assert_eq!(told(&judge(&starting(), &[pod("2", status)], &[])), (1, why));
}

#[test]
fn events_tell_what_a_container_state_does_not() {
    let event = |reason: &str, message: &str, at: &str| json!({"involvedObject": {"name": "p2"}, "reason": reason, "message": message, "lastTimestamp": at});
    let events = [
        event("Unhealthy", "Readiness probe failed: 503", "2021-06-01T00:00:02Z"),
        event("FailedMount", "secret \"s\" not found", "2021-06-01T00:00:01Z"),
    ];
    let creating = judge(&starting(), &[pod("2", waiting("ContainerCreating", ""))], &events);
    assert_eq!(told(&creating), (2, "container c: ContainerCreating: secret \"s\" not found"));
    assert_eq!(
        creating.cause().expect("waits").evidence,
        ["FailedMount: secret \"s\" not found", "Unhealthy: Readiness probe failed: 503"]
    );
    for (said, reason) in [
        ("failed to get sandbox image \"rancher/pause:3.1\": failed to pull image", Reason::PodImage),
        ("failed to setup network for sandbox", Reason::PodCreate),
    ] {
        let sandbox = [event("FailedCreatePodSandBox", said, "2021-06-01T00:00:01Z")];
        let creating = judge(&starting(), &[pod("2", waiting("ContainerCreating", ""))], &sandbox);
        assert_eq!(creating.cause().map(|cause| cause.reason), Some(reason), "{said}");
    }
    let pull = [
        event("Failed", "Failed to pull image \"i\": connection refused", "2021-06-01T00:00:01Z"),
        event("Failed", "Error: ErrImagePull", "2021-06-01T00:00:02Z"),
    ];
    let backed_off = judge(&starting(), &[pod("2", waiting("ImagePullBackOff", "Back-off"))], &pull);
    let why = "container c: ImagePullBackOff: Failed to pull image \"i\": connection refused";
    assert_eq!(told(&backed_off), (2, why));
    let running = containers(json!({"name": "c", "ready": false, "state": {"running": {}}}));
    let unready = judge(&starting(), &[pod("2", running)], &events);
    assert_eq!(told(&unready), (1, "container c: runs, not ready yet: Readiness probe failed: 503"));
}

#[test]
fn pods_of_an_older_revision_and_leaving_pods_do_not_count() {
    let mut leaving = pod("2", waiting("InvalidImageName", ""));
    leaving["metadata"]["deletionTimestamp"] = "2021-06-01T00:00:00Z".into();
    let judged = judge(&starting(), &[pod("1", waiting("InvalidImageName", "")), leaving], &[]);
    assert_eq!(told(&judged), (1, "0 of 1 pods available"));
}

#[test]
fn a_count_that_is_older_than_its_pods_is_not_believed() {
    let counts = json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    let ready = |status: &str| json!({"phase": "Running", "conditions": [{"type": "Ready", "status": status}]});
    let unready = json!({"phase": "Running", "conditions": [
        {"type": "Ready", "status": "False", "message": "containers with unready status: [c]"}]});
    for (pods, wanted) in [
        (vec![], (0, "")),
        (vec![pod("2", ready("True"))], (0, "")),
        (vec![pod("2", unready.clone())], (1, "containers with unready status: [c]")),
        (vec![pod("1", unready), pod("2", ready("True"))], (0, "")),
    ] {
        assert_eq!(told(&judge(&deployment(counts.clone()), &pods, &[])), wanted, "{pods:?}");
    }
}

#[test]
fn a_generation_not_yet_seen_says_nothing_about_old_trouble() {
    let workload = deployment(json!({"observedGeneration": 1, "conditions": [
        {"type": "Progressing", "status": "False", "message": "timed out"}]}));
    let judged = judge(&workload, &[pod("2", waiting("InvalidImageName", ""))], &[]);
    assert_eq!(told(&judged), (1, "its controller has not seen it yet"));
}

#[test]
fn where_kubernetes_gave_up_it_is_stuck_for_the_deepest_reason_known() {
    let conditions = json!([{"type": "Progressing", "status": "False", "message": "deadline exceeded"}]);
    let workload = deployment(json!({"observedGeneration": 2, "updatedReplicas": 1, "conditions": conditions}));
    assert_eq!(told(&judge(&workload, &[], &[])), (3, "deadline exceeded"));
    let judged = judge(&workload, &[pod("2", waiting("ContainerCreating", "slow disk"))], &[]);
    assert_eq!(told(&judged), (3, "container c: ContainerCreating: slow disk"));
    let failed = json!({"kind": "Job", "metadata": {"name": "j"}, "status": {"conditions": [
        {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}});
    assert_eq!(told(&judge(&failed, &[], &[])), (3, "BackoffLimitExceeded"));
}

#[test]
fn a_controller_that_is_refused_a_pod_is_heard() {
    let event = json!({"involvedObject": {"uid": "2"}, "reason": "FailedCreate", "message": "exceeded quota"});
    assert_eq!(told(&judge(&starting(), &[], &[event])), (2, "no pod: exceeded quota"));
}

#[test]
fn what_fails_is_stuck_after_its_grace_and_what_waits_never_is() {
    let cause = Blocker::passing("r");
    let failing = Status::Failing(cause.clone(), Duration::from_secs(20));
    assert_eq!(failing.clone().after(Duration::from_secs(19)), failing);
    assert_eq!(failing.after(Duration::from_secs(20)), Status::Stuck(cause.clone()));
    assert_eq!(Status::Waiting(cause.clone()).after(Duration::MAX), Status::Waiting(cause));
}

const KEYS: &[&str] = &[
    "kind",
    "metadata",
    "status",
    "spec",
    "name",
    "uid",
    "ownerReferences",
    "containerStatuses",
    "state",
    "waiting",
    "terminated",
    "reason",
    "message",
    "conditions",
    "type",
    "generation",
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "availableReplicas",
    "involvedObject",
    "restartCount",
    "labels",
    "exitCode",
    "lastState",
];
const WORDS: &[&str] =
    &["Deployment", "StatefulSet", "DaemonSet", "Job", "Pod", "True", "False", "Progressing", "Failed", "d", "é"];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u64..4).prop_map(Value::from),
        proptest::sample::select(WORDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 8, |inner| {
        let key = proptest::sample::select(KEYS).prop_map(str::to_owned);
        let object = btree_map(key, inner.clone(), 0..8);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|map| Value::Object(map.into_iter().collect()))
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_the_reducer_panic(
        workload in any_json(), kind in proptest::sample::select(WORDS), others in vec(any_json(), 0..4)
    ) {
        let mut workload = workload;
        if let Some(map) = workload.as_object_mut() {
            map.insert("kind".to_owned(), kind.into());
        }
        let around = Neighbours {
            replica_sets: others.iter().collect(), pods: others.iter().collect(), events: others.iter().collect(),
        };
        let judged = status(Some(&workload), &around);
        prop_assert_eq!(judged == Status::Ready, judged.cause().is_none());
    }

    #[test]
    fn a_ready_deployment_is_seen_and_available(
        generation in 0u64..4, observed in 0u64..4, wanted in 0u64..4,
        all in 0u64..4, updated in 0u64..4, available in 0u64..4
    ) {
        let workload = json!({"kind": "Deployment", "metadata": {"generation": generation}, "spec": {"replicas": wanted},
            "status": {"observedGeneration": observed, "replicas": all, "updatedReplicas": updated, "availableReplicas": available}});
        if status(Some(&workload), &Neighbours::default()) == Status::Ready {
            prop_assert!(observed >= generation && available >= wanted && updated >= wanted);
        }
    }
}
