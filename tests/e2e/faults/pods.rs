//! Pods that do not become ready: every reason that a container waits for, by its own last words where it has any.

use flyte_sandbox::failure::Reason;
use serde_json::{Value, json};

use super::expected::fails;
use super::{Fault, fault, up_fails, up_fails_later};
use flyte_sandbox::rehearsal::PodFault;

use crate::standin::Faults;

struct Stuck {
    sentence: &'static str,
    deployment: &'static str,
    fault: fn() -> PodFault,
    reason: Reason,
    cause: &'static str,
    /// Whether it is told at once; else it may pass, and the deadline tells.
    hopeless: bool,
}

const STUCK: &[Stuck] = &[
    Stuck {
        sentence: "whose_image_nobody_knows_are_told",
        deployment: "minio",
        fault: || PodFault {
            event: happened("Failed", "Failed to pull image \"minio/minio:1\": manifest unknown: manifest unknown"),
            ..waiting("ImagePullBackOff", "Back-off pulling image \"minio/minio:1\"")
        },
        reason: Reason::PodImage,
        cause: "manifest unknown",
        hopeless: false,
    },
    Stuck {
        sentence: "whose_image_may_not_be_pulled_are_told",
        deployment: "minio",
        fault: || {
            waiting("ErrImageNeverPull", "Container image \"minio/minio:1\" is not present with pull policy of Never")
        },
        reason: Reason::PodImage,
        cause: "is not present with pull policy of Never",
        hopeless: false,
    },
    Stuck {
        sentence: "whose_image_has_no_name_are_told",
        deployment: "minio",
        fault: || waiting("InvalidImageName", "Failed to apply default image tag \"a b\": invalid reference format"),
        reason: Reason::PodImageName,
        cause: "invalid reference format",
        hopeless: true,
    },
    Stuck {
        sentence: "that_miss_a_secret_are_told",
        deployment: "flyteadmin",
        fault: || waiting("CreateContainerConfigError", "secret \"flyte-admin-secrets\" not found"),
        reason: Reason::PodConfig,
        cause: "secret \"flyte-admin-secrets\" not found",
        hopeless: false,
    },
    Stuck {
        sentence: "that_cannot_be_made_are_told",
        deployment: "flyteadmin",
        fault: || waiting("CreateContainerError", "failed to generate container: no command specified"),
        reason: Reason::PodCreate,
        cause: "no command specified",
        hopeless: false,
    },
    Stuck {
        sentence: "that_cannot_be_run_are_told",
        deployment: "flyteadmin",
        fault: || waiting("RunContainerError", "exec: \"flyteadmin\": executable file not found in $PATH"),
        reason: Reason::PodCreate,
        cause: "executable file not found in $PATH",
        hopeless: false,
    },
    Stuck {
        sentence: "that_crash_again_and_again_are_told_by_their_last_words",
        deployment: "datacatalog",
        fault: || PodFault { log: "starting\npanic: the catalogue is on fire\n".to_owned(), ..crashed(1, "Error") },
        reason: Reason::PodCrash,
        cause: "panic: the catalogue is on fire",
        hopeless: true,
    },
    Stuck {
        sentence: "that_ran_out_of_memory_are_told",
        deployment: "datacatalog",
        fault: || crashed(137, "OOMKilled"),
        reason: Reason::PodMemory,
        cause: "OOMKilled",
        hopeless: true,
    },
    Stuck {
        sentence: "whose_init_container_fails_are_told_by_its_last_words",
        deployment: "flyteadmin",
        fault: || PodFault {
            init: crashed(1, "Error").container,
            container: json!({"state": {"waiting": {"reason": "PodInitializing"}}}),
            log: "migrating\nERROR: relation \"projects\" already exists\n".to_owned(),
            ..PodFault::default()
        },
        reason: Reason::PodInit,
        cause: "relation \"projects\" already exists",
        hopeless: true,
    },
    Stuck {
        sentence: "that_the_database_refuses_are_told",
        deployment: "flyteadmin",
        fault: || PodFault {
            log: "pq: password authentication failed for user \"postgres\"\n".to_owned(),
            ..crashed(1, "Error")
        },
        reason: Reason::DatabaseRefused,
        cause: "password authentication failed",
        hopeless: true,
    },
    Stuck {
        sentence: "that_the_store_refuses_are_told",
        deployment: "flyteadmin",
        fault: || PodFault { log: "InvalidAccessKeyId: no such key\n".to_owned(), ..crashed(1, "Error") },
        reason: Reason::StorageRefused,
        cause: "InvalidAccessKeyId",
        hopeless: true,
    },
    Stuck {
        sentence: "that_find_no_room_are_told",
        deployment: "postgres",
        fault: || PodFault {
            status: json!({"phase": "Pending", "containerStatuses": [], "conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient memory."}]}),
            ..PodFault::default()
        },
        reason: Reason::PodUnschedulable,
        cause: "Insufficient memory",
        hopeless: false,
    },
    Stuck {
        sentence: "that_were_thrown_out_are_told",
        deployment: "postgres",
        fault: || PodFault {
            status: json!({"phase": "Failed", "reason": "Evicted", "containerStatuses": [], "conditions": [],
                "message": "The node was low on resource: ephemeral-storage."}),
            ..PodFault::default()
        },
        reason: Reason::PodEvicted,
        cause: "low on resource: ephemeral-storage",
        hopeless: false,
    },
    Stuck {
        sentence: "that_never_say_that_they_are_ready_are_told",
        deployment: "flyteconsole",
        fault: || PodFault {
            container: json!({"state": {"running": {}}}),
            event: happened("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
            ..PodFault::default()
        },
        reason: Reason::PodProbe,
        cause: "HTTP probe failed with statuscode: 503",
        hopeless: false,
    },
    Stuck {
        sentence: "whose_volume_cannot_be_mounted_are_told",
        deployment: "flyteconsole",
        fault: || PodFault {
            event: happened("FailedMount", "MountVolume.SetUp failed for volume \"config\": configmap \"x\" not found"),
            ..waiting("ContainerCreating", "")
        },
        reason: Reason::PodMount,
        cause: "configmap \"x\" not found",
        hopeless: false,
    },
];

fn waiting(reason: &str, message: &str) -> PodFault {
    let container = json!({"state": {"waiting": {"reason": reason, "message": message}}});
    PodFault { container, ..PodFault::default() }
}

fn crashed(code: i64, reason: &str) -> PodFault {
    let container: Value = json!({"restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        "lastState": {"terminated": {"exitCode": code, "reason": reason}}});
    PodFault { container, ..PodFault::default() }
}

fn happened(reason: &str, message: &str) -> Option<(String, String)> {
    Some((reason.to_owned(), message.to_owned()))
}

pub(super) fn all() -> Vec<Fault> {
    let stuck = STUCK.iter().enumerate();
    stuck.map(|(number, stuck)| fault(stuck.sentence, move || is_told(number, stuck))).collect()
}

fn is_told(number: usize, stuck: &Stuck) {
    let (name, faults) = (format!("pod-{number}"), Faults::pod(stuck.deployment, (stuck.fault)()));
    let expected = fails(stuck.reason, stuck.cause).showing(stuck.cause);
    let ran = match stuck.hopeless {
        true => up_fails(&name, faults, &expected),
        false => up_fails_later(&name, &faults, &[], &expected),
    };
    let object = ran.failure()["object"].as_str().unwrap_or_default().to_owned();
    assert!(object.ends_with(&format!("/{}", stuck.deployment)), "{object}");
}
