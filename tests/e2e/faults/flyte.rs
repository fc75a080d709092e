//! A Flyte that runs and is none: what `smoke` says of it.

use flyte_sandbox::failure::Reason;
use serde_json::json;

use super::expected::fails;
use super::{Fault, fault, long_enough};
use flyte_sandbox::rehearsal::{Answer, Workflow};

use crate::standin::{Failing, Faults};
use crate::support::cluster;
use crate::support::ran::Ran;
use crate::support::sandbox::Sandbox;

type Spoilt = (&'static str, &'static str, u16, &'static str, Reason, &'static str);

/// What is asked, the answer to it, what that means, and the first cause.
const SPOILT: &[Spoilt] = &[
    (
        "whose_admin_does_not_answer_is_told",
        "console GET /healthcheck",
        503,
        "no healthy upstream",
        Reason::AdminFailing,
        "HTTP 503",
    ),
    (
        "whose_admin_lists_nothing_is_told",
        "console GET /api/v1/projects",
        200,
        "{\"projects\": []}",
        Reason::AdminFailing,
        "project x is not registered",
    ),
    ("whose_console_is_gone_is_told", "console GET /console", 404, "", Reason::ConsoleFailing, "HTTP 404"),
    (
        "whose_store_does_not_know_the_keys_is_told",
        "X-Amz-Signature",
        403,
        "<Error><Code>InvalidAccessKeyId</Code></Error>",
        Reason::StorageRefused,
        "HTTP 403",
    ),
    (
        "whose_store_has_no_bucket_is_told",
        "minio HEAD",
        404,
        "<Error><Code>NoSuchBucket</Code></Error>",
        Reason::StorageRefused,
        "does not exist",
    ),
    ("whose_store_is_ill_is_told", "minio GET /minio/health", 503, "", Reason::StorageFailing, "HTTP 503"),
    (
        "whose_dashboard_may_not_see_pods_is_told",
        "dashboard GET /api/v1/pod/",
        200,
        "{\"pods\": [], \"errors\": [{\"ErrStatus\": {\"message\": \"pods is forbidden\"}}]}",
        Reason::DashboardFailing,
        "forbidden",
    ),
    (
        "whose_datacatalog_does_not_answer_is_told",
        "datacatalog:http/proxy",
        503,
        "no endpoints available",
        Reason::DatacatalogFailing,
        "503",
    ),
    (
        "whose_propellers_idle_is_told",
        "10254/proxy/metrics",
        200,
        "flyte:propeller:none 0",
        Reason::PropellerFailing,
        "does not watch namespace",
    ),
];

pub(super) fn all() -> Vec<Fault> {
    let mut all = Vec::new();
    for (number, row) in SPOILT.iter().enumerate() {
        all.push(fault(row.0, move || spoilt(number, row)));
    }
    let more: [(&str, fn()); 5] = [
        ("that_grants_too_much_is_told_with_the_grant", too_wide),
        ("whose_grants_were_taken_away_is_told", too_narrow),
        ("whose_workflow_fails_is_told_with_its_words", workflow_fails),
        ("whose_workflow_nobody_takes_is_told", workflow_ignored),
        ("whose_task_cannot_start_is_told", workflow_waits),
    ];
    all.extend(more.map(|(sentence, test)| fault(sentence, test)));
    all
}

/// A sandbox that was brought up well, goes wrong, and is asked.
fn asked(name: &str, go_wrong: impl FnOnce(&Sandbox), more: &[&str]) -> Ran {
    let sandbox = Sandbox::failing(name, Failing::No);
    let long = long_enough(&sandbox);
    go_wrong(&sandbox);
    let ran = sandbox.run(&[&["smoke", "--output", "json", "--timeout", &long], more].concat());
    // It is only asked: what runs stays.
    sandbox.run(&["status"]).says(&sandbox.name);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
    ran
}

fn spoilt(number: usize, (_, what, status, body, reason, cause): &Spoilt) {
    let faults = Faults::answering(what, Answer::Status(*status, (*body).to_owned()));
    let ran = asked(&format!("f-spoilt-{number}"), |sandbox| sandbox.spoil(&faults), &[]);
    fails(*reason, *cause).told_by(&ran);
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

fn too_wide() {
    let go_wrong = |sandbox: &Sandbox| {
        cluster::apply(
            sandbox,
            &json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "too-wide"},
                "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]}),
        );
        cluster::apply(
            sandbox,
            &json!({"apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": "too-wide"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "too-wide"},
                "subjects": [{"kind": "ServiceAccount", "name": "flyteadmin", "namespace": "103020-flytepoc-dev"}]}),
        );
    };
    let ran = asked("f-wide", go_wrong, &[]);
    fails(Reason::PermissionExcess, "").showing("clusterrolebinding too-wide").told_by(&ran);
}

fn too_narrow() {
    const NAMESPACE: &str = "103020-flytepoc-x-d-dev";
    let go_wrong = |sandbox: &Sandbox| {
        cluster::delete(sandbox, [RBAC, "RoleBinding", NAMESPACE, "flyteadmin-103020-flytepoc-x-d-dev"]);
    };
    fails(Reason::PermissionMissing, "").showing("flyteadmin").told_by(&asked("f-narrow", go_wrong, &[]));
}

fn workflow(name: &str, workflow: Workflow, cause: &str) {
    let faults = Faults { workflows: Some(workflow), ..Faults::default() };
    let ran = asked(name, |sandbox| sandbox.spoil(&faults), &["--full"]);
    fails(Reason::WorkflowFailed, cause).told_by(&ran);
}

fn workflow_fails() {
    let words = "task exited with 3: the flow does not flow";
    workflow("f-wf-fails", Workflow::Fails("RetriesExhausted".to_owned(), words.to_owned()), words);
}

fn workflow_ignored() {
    workflow("f-wf-none", Workflow::Ignored, "");
}

fn workflow_waits() {
    let words = "Back-off pulling image \"task:1\"";
    workflow("f-wf-waits", Workflow::Waits("ImagePullBackOff".to_owned(), words.to_owned()), "ImagePullBackOff");
}
