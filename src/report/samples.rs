//! Two sample runs, and the loop that plays them with fixed times.

use std::time::Duration;

use crate::failure::{Failure, Reason};

use super::event::{Change, Endpoint, Event, Outcome, SCHEMA_VERSION, Severity, Waiting};
use super::view::View;
use crate::stage::Stage;

pub(super) fn show(view: &mut dyn View, events: &[(u64, Event)]) {
    for (at, event) in events {
        view.on(Duration::from_millis(*at), event).expect("the view takes it");
    }
    view.end().expect("the view ends");
}

fn started() -> Event {
    Event::RunStarted {
        schema_version: SCHEMA_VERSION,
        command: "up".to_owned(),
        sandbox: "flyte".to_owned(),
        version: "0.0.0".to_owned(),
    }
}

fn note(stage: Stage, note: &str) -> Event {
    Event::Progress { stage, note: note.to_owned() }
}

fn finished(stage: Stage, outcome: Outcome, summary: &str, millis: u64) -> Event {
    Event::StageFinished { stage, outcome, summary: summary.to_owned(), millis }
}

/// An `up` that succeeds.
pub(super) fn success() -> Vec<(u64, Event)> {
    let finding = Event::Finding {
        check: "memory".to_owned(),
        severity: Severity::Warning,
        message: "3 GiB free, 4 GiB wanted".to_owned(),
        hints: vec!["give Docker more memory".to_owned()],
    };
    let fine = Event::Finding {
        check: "docker".to_owned(),
        severity: Severity::Fine,
        message: "answers".to_owned(),
        hints: Vec::new(),
    };
    let pull = |bytes| Event::ImageProgress {
        image: "minio/minio".to_owned(),
        step: "pull".to_owned(),
        bytes,
        total: Some(60_000_000),
    };
    let applied = Event::Applied { object: "deployment sys/flyteadmin".to_owned(), change: Change::Created };
    let waiting = Waiting { object: "deployment/minio".to_owned(), reason: "ContainerCreating".to_owned() };
    let probe = Event::Probe {
        id: "A1".to_owned(),
        title: "admin answers through the gateway".to_owned(),
        outcome: Outcome::Passed,
        detail: "HTTP 200".to_owned(),
        millis: 12,
    };
    let endpoint = |name: &str, url: &str, credentials: Option<&str>| Endpoint {
        name: name.to_owned(),
        url: url.to_owned(),
        credentials: credentials.map(str::to_owned),
    };
    let ready = Event::Ready {
        endpoints: vec![
            endpoint("console", "http://127.0.0.1:30081/console", None),
            endpoint("minio", "http://127.0.0.1:30084", Some("`sandbox credentials` prints the keys")),
        ],
        kubectl: "KUBECONFIG=… kubectl get pods".to_owned(),
    };
    vec![
        (0, started()),
        (1, Event::StageStarted { stage: Stage::Preflight }),
        (90, fine),
        (100, finding),
        (200, finished(Stage::Preflight, Outcome::Passed, "12 checks, 1 warning", 199)),
        (200, Event::StageStarted { stage: Stage::Cluster }),
        (200, Event::StageStarted { stage: Stage::Images }),
        (300, note(Stage::Cluster, "creating the node")),
        (400, pull(1_000_000)),
        (2_000, pull(45_000_000)),
        (4_000, note(Stage::Cluster, "node Ready: waiting for the network")),
        (6_000, pull(59_000_000)),
        (6_100, finished(Stage::Images, Outcome::Unchanged, "8 images, all in the store", 5_900)),
        (12_500, finished(Stage::Cluster, Outcome::Passed, "node Ready, CoreDNS Available", 12_300)),
        (12_500, Event::StageStarted { stage: Stage::Apply }),
        (12_600, applied),
        (12_900, finished(Stage::Apply, Outcome::Passed, "91 objects", 400)),
        (12_900, Event::StageStarted { stage: Stage::Rollout }),
        (12_900, Event::RolloutProgress { ready: 3, total: 13, waiting: vec![waiting] }),
        (120_000, finished(Stage::Rollout, Outcome::Passed, "13 workloads ready", 107_100)),
        (120_000, Event::StageStarted { stage: Stage::Smoke }),
        (120_012, probe),
        (120_300, finished(Stage::Smoke, Outcome::Passed, "17 of 17 checks", 300)),
        (120_300, ready),
        (
            120_300,
            Event::RunFinished {
                outcome: Outcome::Passed,
                summary: "Flyte is ready".to_owned(),
                exit_code: 0,
                failure: None,
                millis: 120_300,
            },
        ),
    ]
}

/// An `up` whose smoke stage fails, while a stage that never ended is under way; others' text tries to colour.
pub(super) fn failure() -> Vec<(u64, Event)> {
    let probe = Event::Probe {
        id: "A2".to_owned(),
        title: "admin lists the projects and domains".to_owned(),
        outcome: Outcome::Failed,
        detail: "GET http://127.0.0.1:30081/api/v1/projects: HTTP 503".to_owned(),
        millis: 45_000,
    };
    let failure = Failure::new(Reason::AdminFailing, "1 of 17 smoke checks failed")
        .on("check A2 admin lists the projects and domains")
        .because("GET http://127.0.0.1:30081/api/v1/projects")
        .because("HTTP 503 Service Unavailable, not 200")
        .evidence(["A2 \u{1b}[31mno healthy upstream\u{1b}[0m"])
        .hint("`sandbox smoke` runs the checks again");
    vec![
        (0, started()),
        (10, Event::StageStarted { stage: Stage::Images }),
        (20, Event::StageStarted { stage: Stage::Smoke }),
        (30, note(Stage::Smoke, "16 of 17 passed; A2: HTTP 503")),
        (45_020, probe),
        (45_030, finished(Stage::Smoke, Outcome::Failed, "1 of 17 smoke checks failed", 45_010)),
        (45_040, Event::Warning { message: "evidence is in the diagnose folder".to_owned() }),
        (
            45_050,
            Event::RunFinished {
                outcome: Outcome::Failed,
                summary: "the sandbox was kept".to_owned(),
                exit_code: 10,
                failure: Some(failure),
                millis: 45_050,
            },
        ),
    ]
}
