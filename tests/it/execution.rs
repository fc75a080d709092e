//! Workflows that run for proof, against a Flyte that can be broken.

use std::time::Duration;

use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::report::{Event, Outcome, Reporter};
use flyte_sandbox::run::{Deadline, Run};
use flyte_sandbox::smoke::{CATALOGUE, CheckReport, Executions, Target, run};
use tokio_util::sync::CancellationToken;

use crate::support::flyte::FakeFlyte;
use crate::support::stage::{EVER, Smoke, play};
use flyte_sandbox::rehearsal::Workflow;

async fn smoke(flyte: &FakeFlyte, executions: Executions, within: Duration) -> Smoke {
    play(flyte, executions, Duration::from_secs(30), within, CancellationToken::new()).await
}

async fn passing(flyte: &FakeFlyte, executions: Executions) -> (Vec<CheckReport>, Vec<Event>) {
    let Smoke { done, events } = smoke(flyte, executions, Duration::from_secs(60)).await;
    (done.expect("all is well"), events)
}

/// The first pair's failure, once waiting is over.
async fn failing(flyte: &FakeFlyte) -> Failure {
    let smoke = smoke(flyte, Executions::First, Duration::from_secs(3)).await;
    smoke.done.expect_err("something is broken")
}

#[tokio::test]
async fn a_workflow_runs_in_every_project_and_domain() {
    let flyte = FakeFlyte::start().await;
    let (reports, events) = passing(&flyte, Executions::All).await;
    let pairs = ["x/d-dev", "x/t-dev", "x/p-dev", "y/d-dev", "y/t-dev", "y/p-dev"];
    let wanted: Vec<_> = pairs.iter().flat_map(|pair| ["A3", "A5", "D4"].map(|id| format!("{id} {pair}"))).collect();
    assert_eq!(reports.iter().skip(CATALOGUE.len()).map(CheckReport::id).collect::<Vec<_>>(), wanted);
    assert!(reports.iter().all(|report| report.outcome == Outcome::Passed));
    let told = |wanted: &String| {
        events.iter().any(|event| matches!(event, Event::Probe { id, outcome: Outcome::Passed, .. } if id == wanted))
    };
    assert!(wanted.iter().all(told), "{events:?}");
    assert!(
        matches!(events.last(), Some(Event::StageFinished { summary, .. }) if summary == "35 of 35 checks; 6 workflows ran"),
        "{:?}",
        events.last()
    );
}

#[tokio::test]
async fn each_runs_in_its_own_namespace_and_nothing_is_left() {
    let flyte = FakeFlyte::start().await;
    let (reports, _) = passing(&flyte, Executions::All).await;
    let (posts, mut removed) = (flyte.posted(), flyte.removed());
    let name = posts.iter().find_map(|(path, body)| (path == "/api/v1/executions").then(|| body["name"].clone()));
    let name = name.expect("an execution").as_str().expect("a name").to_owned();
    let mut wanted: Vec<_> =
        flyte.spec.workflow_namespaces().iter().map(|namespace| format!("{}/{name}", namespace.name)).collect();
    removed.sort();
    wanted.sort();
    assert_eq!(removed, wanted);
    let executed = &reports[CATALOGUE.len() + 1];
    assert_eq!(executed.detail, format!("SUCCEEDED, pod {name}-n0-0 in 103020-flytepoc-x-d-dev"));
}

#[tokio::test]
async fn requests_come_in_order_with_the_image_that_runs_and_a_new_name_each_time() {
    let flyte = FakeFlyte::start().await;
    passing(&flyte, Executions::First).await;
    let posts = flyte.posted();
    let paths: Vec<_> = posts.iter().map(|(path, _)| path.as_str()).filter(|path| !path.contains("/events/")).collect();
    assert_eq!(paths, ["/api/v1/tasks", "/api/v1/workflows", "/api/v1/launch_plans", "/api/v1/executions"]);
    let image = posts[0].1.pointer("/spec/template/container/image");
    assert_eq!(image, Some(&"registry.example/postgres:1".into()));
    passing(&flyte, Executions::First).await;
    let names = flyte.posted().into_iter().filter(|(path, _)| path == "/api/v1/executions");
    let names: Vec<_> = names.map(|(_, body)| body["name"].clone()).collect();
    assert!(matches!(&names[..], [first, second] if first != second), "{names:?}");
}

/// The projects and domains that tasks were registered for, and that were executed in, in order.
fn begun(flyte: &FakeFlyte) -> Vec<String> {
    let begun = flyte.posted().into_iter().filter_map(|(path, body)| {
        let at = |from: &serde_json::Value| format!("{}/{}", from["project"], from["domain"]).replace('"', "");
        match path.as_str() {
            "/api/v1/tasks" => Some(format!("task {}", at(&body["id"]))),
            "/api/v1/executions" => Some(format!("execution {}", at(&body))),
            "/api/v1/events/workflows" => Some("event".to_owned()),
            _ => None,
        }
    });
    begun.collect()
}

#[tokio::test]
async fn the_first_workflow_runs_alone_where_admin_has_just_started() {
    let flyte = FakeFlyte::start().await;
    flyte.tell_metrics("flyte:admin:list_projects:codes:OK 2\n");
    passing(&flyte, Executions::All).await;
    let begun = begun(&flyte);
    assert_eq!(begun[..3], ["task x/d-dev", "execution x/d-dev", "event"], "{begun:?}");
    assert!(begun[3..9].iter().filter(|begun| begun.starts_with("task ")).count() > 1, "{begun:?}");
}

#[tokio::test]
async fn workflows_run_side_by_side_where_admin_has_had_all_their_calls() {
    let flyte = FakeFlyte::start().await;
    let made = ["create_task", "create_workflow", "get_workflow", "create_launch_plan", "create_execution"];
    let made = made.iter().chain(&["get_execution", "list_projects", "list_task_execution"]);
    let events = ["create_execution_event", "create_node_execution_event", "create_task_execution_event"];
    let known = events.map(|event| format!("flyte:admin:{event}:codes:AlreadyExists 1\n")).concat();
    let made: String = made.chain(&events).map(|call| format!("flyte:admin:{call}:codes:OK 1\n")).collect();
    flyte.tell_metrics(&(made + &known));
    passing(&flyte, Executions::All).await;
    let begun = begun(&flyte);
    assert!(begun[..2].iter().all(|begun| begun.starts_with("task ")), "{begun:?}");
    assert!(!begun.contains(&"event".to_owned()), "{begun:?}");
}

#[tokio::test]
async fn a_component_that_restarts_during_the_checks_is_a_failure_of_its_own() {
    let flyte = FakeFlyte::start().await;
    flyte.die(serde_json::json!({"exitCode": 1, "reason": "Error"}));
    let Smoke { done, events } = smoke(&flyte, Executions::All, Duration::from_secs(60)).await;
    let failure = done.expect_err("admin died");
    assert_eq!(failure.reason, Reason::ComponentRestarted);
    assert_eq!(failure.what, "flyteadmin restarted during the checks");
    assert_eq!(failure.causes, ["exit code 1"]);
    assert!(failure.evidence.iter().any(|line| line == "panic-ed for request"), "{:?}", failure.evidence);
    let told = |event: &Event| matches!(event, Event::Probe { id, outcome: Outcome::Failed, .. } if id == "restarts");
    assert!(events.iter().any(told), "{events:?}");
}

#[tokio::test]
async fn no_workflow_runs_where_none_is_wanted_or_a_check_fails() {
    let flyte = FakeFlyte::start().await;
    passing(&flyte, Executions::None).await;
    flyte.grant("flytepropeller-x watch pods");
    let failure = smoke(&flyte, Executions::All, Duration::from_millis(500)).await.done.expect_err("R2 fails");
    assert_eq!(failure.what, "1 of 17 smoke checks failed");
    assert!(flyte.posted().is_empty(), "{:?}", flyte.posted());
}

#[tokio::test]
async fn a_gateway_that_does_not_reach_admin_yet_is_asked_again() {
    let flyte = FakeFlyte::start().await;
    flyte.break_path("/api/v1/tasks", 2, 503, "no healthy upstream");
    flyte.break_path("/api/v1/executions", 1, 503, "no healthy upstream");
    passing(&flyte, Executions::First).await;
}

#[tokio::test]
async fn an_answer_that_was_lost_is_no_failure() {
    let flyte = FakeFlyte::start().await;
    let exists = r#"{"error":"task with different structure already exists","code":6}"#;
    flyte.break_path("/api/v1/tasks", 1, 409, exists);
    passing(&flyte, Executions::First).await;
}

#[tokio::test]
async fn admin_is_named_where_it_refuses() {
    let flyte = FakeFlyte::start().await;
    flyte.break_path("/api/v1/launch_plans", EVER, 400, r#"{"error":"invalid value for workflow_id","code":3}"#);
    let failure = failing(&flyte).await;
    assert_eq!(failure.reason, Reason::WorkflowFailed);
    assert_eq!(failure.what, "1 of 1 workflows failed");
    assert_eq!(failure.object.as_deref(), Some("check A5 x/d-dev an execution of it succeeds"));
    assert_eq!(failure.causes[1], "admin: HTTP 400 Bad Request: invalid value for workflow_id");
}

#[tokio::test]
async fn storage_is_named_where_a_workflow_cannot_be_read_back() {
    let flyte = FakeFlyte::start().await;
    flyte.break_path("/api/v1/workflows", EVER, 500, r#"{"message":"failed to write: NoSuchBucket"}"#);
    let failure = failing(&flyte).await;
    assert_eq!(failure.object.as_deref(), Some("check A3 x/d-dev a workflow is registered and read back"));
    assert_eq!(failure.causes[1], "storage: HTTP 500 Internal Server Error: failed to write: NoSuchBucket");
}

#[tokio::test]
async fn a_permission_is_named_where_admin_may_not_make_a_flyteworkflow() {
    let flyte = FakeFlyte::start().await;
    let refused = "failed to create workflow in propeller flyteworkflows.flyte.lyft.com is forbidden";
    flyte.break_path("/api/v1/executions", EVER, 500, &format!(r#"{{"error":"{refused}","code":13}}"#));
    let failure = failing(&flyte).await;
    assert_eq!(failure.causes[1], format!("permission: HTTP 500 Internal Server Error: {refused}"));
}

#[tokio::test]
async fn admin_is_named_where_it_makes_the_flyteworkflow_elsewhere() {
    let flyte = FakeFlyte::start().await;
    flyte.trouble(Workflow::Elsewhere("x-d-dev".to_owned()));
    let failure = failing(&flyte).await;
    assert_eq!(failure.causes[1], "admin: admin made it in x-d-dev");
    assert!(failure.hints[0].contains("namespace_mapping.template"), "{:?}", failure.hints);
}

#[tokio::test]
async fn a_propeller_is_named_with_what_its_log_says() {
    let flyte = FakeFlyte::start().await;
    flyte.trouble(Workflow::Ignored);
    let silent = failing(&flyte).await;
    assert!(silent.causes[1].starts_with("propeller: no phase, no pod after "), "{silent}");
    assert_eq!(silent.hints[0], "`sandbox logs flytepropeller-x-d-dev` shows what its propeller does");

    let pod = "/api/v1/namespaces/103020-flytepoc-dev/pods/flytepropeller-x-d-dev-0/log";
    flyte.break_path(pod, EVER, 200, "EventSinkError: Unimplemented; transport: missing content-type");
    let stuck = failing(&flyte).await;
    assert_eq!(stuck.reason, Reason::ConnectionStuck);
    assert!(
        stuck.causes[1].ends_with("its connection to flyteadmin is stuck on a proxy outside the cluster"),
        "{stuck}"
    );
    flyte.break_path(pod, EVER, 200, "E pods is forbidden: User cannot create resource");
    let refused = failing(&flyte).await;
    assert!(refused.causes[1].starts_with("permission: no phase, no pod after "), "{refused}");
    assert!(refused.causes[1].ends_with("its ServiceAccount lacks a permission"), "{refused}");
}

#[tokio::test]
async fn an_image_is_named_where_the_pod_cannot_have_it() {
    let flyte = FakeFlyte::start().await;
    flyte.trouble(Workflow::Waits("InvalidImageName".to_owned(), "couldn't parse image reference".to_owned()));
    let failure = failing(&flyte).await;
    assert_eq!(
        failure.causes[1],
        "image: RUNNING, its pod's container task: InvalidImageName: couldn't parse image reference"
    );
}

#[tokio::test]
async fn a_pod_is_named_with_what_it_waits_for() {
    let flyte = FakeFlyte::start().await;
    flyte.trouble(Workflow::Waits("ContainerCreating".to_owned(), "".to_owned()));
    let failure = failing(&flyte).await;
    assert!(
        failure.causes[1].starts_with("pod: RUNNING, its pod's container task: ContainerCreating after "),
        "{failure}"
    );
}

#[tokio::test]
async fn a_failed_execution_is_told_in_its_own_words() {
    let flyte = FakeFlyte::start().await;
    flyte.trouble(Workflow::Fails("NonZeroExitCode".to_owned(), "exited with code 1".to_owned()));
    assert_eq!(failing(&flyte).await.causes[1], "pod: FAILED: NonZeroExitCode: exited with code 1");
}

#[tokio::test]
async fn a_log_that_may_not_be_read_is_not_taken_for_one() {
    let flyte = FakeFlyte::start().await;
    flyte.trouble(Workflow::Link("http://127.0.0.1:1/#/log/n/p/pod?namespace=n".to_owned()));
    let elsewhere = failing(&flyte).await;
    let dashboard = flyte.spec.ports.dashboard;
    assert_eq!(elsewhere.causes[1], format!("propeller: it leads to port 1, and the dashboard is on {dashboard}"));
    assert_eq!(elsewhere.object.as_deref(), Some("check D4 x/d-dev its log opens by admin's link"));

    flyte.trouble(Workflow::Log("pods \"p\" is forbidden: cannot get resource \"pods/log\"".to_owned()));
    let refused = failing(&flyte).await;
    assert!(refused.causes[1].starts_with("permission: pods \"p\" is forbidden"), "{refused}");
    assert_eq!(flyte.removed().len(), 2);
}

#[tokio::test]
async fn an_interrupt_removes_what_was_made() {
    let flyte = FakeFlyte::start().await;
    flyte.trouble(Workflow::Ignored);
    let (report, mut events) = Reporter::channel();
    let cancel = CancellationToken::new();
    let work = Run { report, deadline: Deadline::after(Duration::from_secs(60)), cancel: cancel.clone() };
    let (budget, executions) = (Duration::from_secs(30), Executions::First);
    let target = Target { spec: &flyte.spec, client: flyte.client.clone(), budget, executions };
    let until_waiting = async {
        while let Some(event) = events.recv().await {
            if matches!(event, Event::Progress { note, .. } if note.contains("no phase")) {
                cancel.cancel();
            }
        }
    };
    let ran = async {
        let done = run(&target, &work).await;
        drop(work);
        done
    };
    let (done, ()) = tokio::join!(ran, until_waiting);
    assert_eq!(done.expect_err("stopped").reason, Reason::Interrupted);
    assert_eq!(flyte.removed().len(), 1);
}
