//! The smoke stage against a Flyte that can be broken.

use std::time::Duration;

use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::release::Release;
use flyte_sandbox::report::{Event, Outcome, Stage};
use flyte_sandbox::smoke::{CATALOGUE, Executions, answers};
use tokio_util::sync::CancellationToken;

use crate::support::flyte::FakeFlyte;
use crate::support::ports;
use crate::support::stage::{EVER, Smoke, play};

async fn smoke_within(flyte: &FakeFlyte, budget: Duration, cancel: CancellationToken) -> Smoke {
    play(flyte, Executions::None, budget, Duration::from_secs(60), cancel).await
}

/// With time for as many attempts as a passing run may need.
async fn smoke(flyte: &FakeFlyte) -> Smoke {
    smoke_within(flyte, Duration::from_secs(30), CancellationToken::new()).await
}

/// With time for an attempt or two.
async fn failing(flyte: &FakeFlyte) -> Failure {
    let smoke = smoke_within(flyte, Duration::from_millis(500), CancellationToken::new()).await;
    smoke.done.expect_err("something is broken")
}

#[tokio::test]
async fn a_working_flyte_passes_every_check_and_each_is_told_once() {
    let flyte = FakeFlyte::start().await;
    let smoke = smoke(&flyte).await;
    let verdicts = smoke.done.expect("all is well");
    assert_eq!(verdicts.iter().map(|verdict| verdict.check).collect::<Vec<_>>(), CATALOGUE);
    assert!(verdicts.iter().all(|verdict| verdict.outcome == Outcome::Passed));

    let mut told: Vec<String> = smoke
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Probe { id, outcome: Outcome::Passed, .. } => Some(id.clone()),
            _ => None,
        })
        .collect();
    told.sort();
    let mut ids: Vec<String> = CATALOGUE.iter().map(|check| check.id.to_string()).collect();
    ids.sort();
    assert_eq!(told, ids);
    assert_eq!(smoke.events.first(), Some(&Event::StageStarted { stage: Stage::Smoke }));
    assert!(
        matches!(smoke.events.last(), Some(Event::StageFinished { outcome: Outcome::Passed, summary, .. }) if summary == "17 of 17 checks")
    );
}

#[tokio::test]
async fn details_say_what_was_seen() {
    let flyte = FakeFlyte::start().await;
    let verdicts = smoke(&flyte).await.done.expect("all is well");
    let lines: String = verdicts
        .iter()
        .map(|verdict| format!("{} {}: {}\n", verdict.check.id, verdict.check.title, verdict.detail))
        .collect();
    insta::assert_snapshot!("details", lines);
}

#[tokio::test]
async fn requests_that_fail_at_first_are_asked_again_with_a_voice() {
    let flyte = FakeFlyte::start().await;
    flyte.break_path("/healthcheck", 2, 503, "no healthy upstream");
    flyte.break_path("/api/v1/login/status", 1, 200, "");
    let smoke = smoke(&flyte).await;
    assert!(smoke.done.is_ok(), "{:?}", smoke.done);
    let spoke = |event: &Event| matches!(event, Event::Progress { stage: Stage::Smoke, note } if note.contains("A1 admin answers through the gateway: GET http://127.0.0.1:"));
    assert!(smoke.events.iter().any(spoke), "{:?}", smoke.events);
}

#[tokio::test]
async fn a_failing_check_is_the_failure_with_what_was_seen() {
    let flyte = FakeFlyte::start().await;
    flyte.break_path("/api/v1/projects", EVER, 503, "no healthy\nupstream");
    let failure = failing(&flyte).await;
    assert_eq!((failure.reason, failure.what.as_str()), (Reason::AdminFailing, "2 of 17 smoke checks failed"));
    assert_eq!(failure.object.as_deref(), Some("check A2 admin lists the projects and domains"));
    let url = format!("http://127.0.0.1:{}/api/v1/projects", flyte.spec.ports.console);
    assert_eq!(failure.causes, [format!("GET {url}"), "HTTP 503 Service Unavailable, not 200".to_owned()]);
    assert!(failure.evidence.contains(&"A2 no healthy upstream".to_owned()), "{:?}", failure.evidence);
    assert!(failure.evidence.iter().any(|line| line.starts_with("C2 GET")), "{:?}", failure.evidence);
    assert!(
        failure.evidence.last().is_some_and(|line| line.contains("the limit of this wait")),
        "{:?}",
        failure.evidence
    );
}

#[tokio::test]
async fn a_page_that_needs_the_internet_passes_with_a_warning() {
    let flyte = FakeFlyte::start().await;
    let page = r#"<html><div id="react-app"></div><script src="https://unpkg.com/react.js"></script><script src="/console/assets/main.js"></script>"#;
    flyte.break_path("/console", EVER, 200, page);
    let smoke = smoke(&flyte).await;
    assert!(smoke.done.is_ok(), "{:?}", smoke.done);
    let warned: Vec<_> = smoke
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Warning { message } => Some(message.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        warned,
        ["the console's page loads https://unpkg.com/react.js: a browser that cannot reach it shows nothing"]
    );
}

#[tokio::test]
async fn every_script_of_the_page_is_asked_for() {
    let flyte = FakeFlyte::start().await;
    let page = r#"<html><div id="react-app"></div><script src="/console/assets/main.js"></script><script src="/console/assets/vendor.js"></script>"#;
    flyte.break_path("/console", EVER, 200, page);
    for (status, seen) in [(404, "HTTP 404 Not Found, not 200"), (200, "content type \"text/plain\", not JavaScript")] {
        flyte.break_path("/console/assets/vendor.js", EVER, status, "<html>");
        let failure = failing(&flyte).await;
        assert_eq!((failure.reason, failure.causes[1].as_str()), (Reason::ConsoleFailing, seen));
        assert!(failure.causes[0].ends_with("/console/assets/vendor.js"), "{failure}");
    }
}

#[tokio::test]
async fn a_permission_too_many_is_named() {
    let flyte = FakeFlyte::start().await;
    flyte.grant("flytepropeller-x watch pods");
    let failure = failing(&flyte).await;
    assert_eq!(failure.reason, Reason::PermissionExcess);
    assert_eq!(failure.object.as_deref(), Some("check R2 no other permission is granted"));
    assert_eq!(failure.causes[0], "can flytepropeller-x watch pods in 103020-flytepoc-y-d-dev");
    assert!(failure.causes[1].starts_with("allowed, must be denied (3 of "), "{}", failure.causes[1]);
}

#[tokio::test]
async fn that_a_project_cannot_read_what_admin_takes_in_for_it_is_a_failure() {
    let mut flyte = FakeFlyte::start().await;
    // Its store has the users of the release before, which knows no uploads.
    flyte.spec.flyte = Release::of("1.16").expect("a release");
    let failure = failing(&flyte).await;
    let refused = |line: &&String| line.starts_with("M4 ") && line.contains("/my-s3-bucket/uploads/x/");
    assert!(failure.evidence.iter().any(|line| refused(&line)), "{:?}", failure.evidence);
}

#[tokio::test]
async fn a_propeller_whose_connection_is_stuck_is_told_from_one_without_a_leader() {
    let flyte = FakeFlyte::start().await;
    let pod = "/api/v1/namespaces/103020-flytepoc-dev/pods/flytepropeller-y-t-dev-0";
    flyte.break_path(
        &format!("{pod}:10254/proxy/metrics"),
        EVER,
        200,
        "flyte:propeller:103020_flytepoc_y_t_dev:free_workers_count 0\n",
    );
    let no_leader = failing(&flyte).await;
    assert_eq!(no_leader.causes[1], "none are free: not leader yet, or its namespace cannot be read");

    let log = "EventSinkError: code = Unimplemented desc = HTTP status code 404; transport: missing content-type";
    flyte.break_path(&format!("{pod}/log"), EVER, 200, log);
    let stuck = failing(&flyte).await;
    assert_eq!(stuck.reason, Reason::ConnectionStuck);
    assert!(
        stuck.causes[1].ends_with("its connection to flyteadmin is stuck on a proxy outside the cluster"),
        "{stuck}"
    );
    assert_eq!(stuck.evidence[1], format!("P1 {log}"));
    assert_eq!(
        stuck.hints[0],
        "`kubectl -n 103020-flytepoc-dev delete pod flytepropeller-y-t-dev-0` makes it connect anew"
    );
}

#[tokio::test]
async fn a_lock_held_by_another_propeller_is_a_failure() {
    let flyte = FakeFlyte::start().await;
    let lock = "/api/v1/namespaces/103020-flytepoc-dev/configmaps/propeller-leader-x-t-dev";
    let record = r#"{\"holderIdentity\":\"flytepropeller-x-d-dev-0\"}"#;
    let map = format!(r#"{{"metadata":{{"annotations":{{"control-plane.alpha.kubernetes.io/leader":"{record}"}}}}}}"#);
    flyte.break_path(lock, EVER, 200, &map);
    let failure = failing(&flyte).await;
    assert_eq!(failure.causes[1], "held by \"flytepropeller-x-d-dev-0\", not by pod flytepropeller-x-t-dev-0");
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let flyte = FakeFlyte::start().await;
    flyte.break_path("/my-s3-bucket", EVER, 404, "");
    flyte.break_path("/my-s3-bucket/", EVER, 404, "");
    let failure = failing(&flyte).await;
    assert_eq!(failure.reason, Reason::StorageRefused);
    assert_eq!(failure.causes[1], "bucket my-s3-bucket does not exist");
}

#[tokio::test]
async fn a_binding_that_reaches_our_namespaces_from_the_cluster_is_named() {
    let flyte = FakeFlyte::start().await;
    let binding = r#"{"items":[{"metadata":{"name":"too-wide"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"admin"},"subjects":[{"kind":"ServiceAccount","name":"flyteadmin","namespace":"103020-flytepoc-dev"}]}],"metadata":{}}"#;
    flyte.break_path("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", EVER, 200, binding);
    let failure = failing(&flyte).await;
    assert_eq!(
        failure.causes,
        ["clusterrolebinding too-wide", "it names ServiceAccount 103020-flytepoc-dev/flyteadmin"]
    );
}

#[tokio::test]
async fn nothing_listening_is_a_failure_at_the_first_check() {
    let mut flyte = FakeFlyte::start().await;
    [flyte.spec.ports.console] = ports::reserve();
    let failure = failing(&flyte).await;
    assert_eq!(failure.what, "4 of 17 smoke checks failed");
    assert_eq!(failure.causes[1], "connection refused");
}

#[tokio::test]
async fn an_interrupt_ends_the_stage() {
    let flyte = FakeFlyte::start().await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let smoke = smoke_within(&flyte, Duration::from_secs(30), cancel).await;
    assert_eq!(smoke.done.expect_err("stopped").reason, Reason::Interrupted);
    assert!(matches!(smoke.events.last(), Some(Event::StageFinished { outcome: Outcome::Failed, .. })));
}

#[tokio::test]
async fn a_status_says_of_each_endpoint_what_it_answered() {
    let flyte = FakeFlyte::start().await;
    let ask = || async {
        let answers = answers(&flyte.spec, &flyte.client, Duration::from_secs(10)).await;
        answers.into_iter().map(|answer| (answer.endpoint, answer.is_well)).collect::<Vec<_>>()
    };
    assert_eq!(ask().await, ["console", "admin", "dashboard", "minio"].map(|endpoint| (endpoint, true)));
    flyte.break_path("/healthcheck", EVER, 503, "no healthy upstream");
    assert_eq!(ask().await[..2], [("console", true), ("admin", false)]);
}
