//! What users put into a sandbox, counted before and after what happens to sandboxes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Scenario;
use crate::support::docker::{docker, try_docker};
use crate::support::ground::{Ground, Major, Wish};
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] = &[
    ("data_stays_through_stops_kills_and_replaced_pods_on_both_engines", stays),
    ("a_sandbox_is_stopped_frozen_and_started", halted),
];

pub(super) const SETTLING: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(300);
pub(super) const SYSTEM: &str = "103020-flytepoc-dev";
const ROWS: &str = "select 'execution '||execution_project||'/'||execution_domain||'/'||execution_name||' '||phase \
    from executions union all select 'launch plan '||name||' '||version from launch_plans \
    union all select 'project '||identifier from projects";

/// Rows of admin's database, and files of the object store with their sizes.
pub(super) fn contents(sandbox: &Sandbox) -> BTreeSet<String> {
    let rows = sql(sandbox, ROWS);
    let list = "cd /var/lib/sandbox/minio && find my-s3-bucket* -type f -exec ls -l {} +";
    let files = in_node(sandbox, list);
    let file = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("object {} of {} bytes", words.last().expect("a path"), words[4])
    };
    let contents: BTreeSet<_> = rows.lines().map(str::to_owned).chain(files.lines().map(file)).collect();
    for what in ["execution ", "launch plan ", "project ", "object "] {
        assert!(contents.iter().any(|one| one.starts_with(what)), "no {what}in {contents:?}");
    }
    contents
}

/// What a command in the node prints. On a busy machine kubectl now and then finds a kind that the API serves unknown.
pub(super) fn in_node(sandbox: &Sandbox, command: &str) -> String {
    let began = Instant::now();
    loop {
        match try_docker(&["exec", &sandbox.node(), "sh", "-c", command]) {
            Ok(printed) => return printed,
            Err(why) => assert!(began.elapsed() < SETTLING, "{why}"),
        }
        std::thread::sleep(PAUSE);
    }
}

#[track_caller]
fn keeps(sandbox: &Sandbox, before: &BTreeSet<String>, fault: &str) -> BTreeSet<String> {
    let after = contents(sandbox);
    let lost: Vec<_> = before.difference(&after).collect();
    assert!(lost.is_empty(), "{fault}: lost {lost:?}");
    println!("{fault}: {} things before, {} after", before.len(), after.len());
    after
}

/// An execution of the checks' workflow, begun through the console's port as users do.
pub(super) fn launch(sandbox: &Sandbox, name: &str) {
    let plan = sql(sandbox, "select name||' '||version from launch_plans where project='x' and domain='d-dev' limit 1");
    let (plan, version) = plan.split_once(' ').expect("a launch plan and its version");
    let plan = json!({"resource_type": "LAUNCH_PLAN", "project": "x", "domain": "d-dev", "name": plan,
        "version": version});
    let body = json!({"project": "x", "domain": "d-dev", "name": name, "spec": {"launch_plan": plan}}).to_string();
    let url = format!("http://127.0.0.1:{}/api/v1/executions", sandbox.ports[0]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let answer = runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = client.post(url).header("content-type", "application/json").body(body).send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    });
    assert_eq!(answer.0, 200, "{}", answer.1);
}

/// What admin's database answers, a row in a line.
pub(super) fn sql(sandbox: &Sandbox, query: &str) -> String {
    let psql = "psql -U postgres -d flyte_development -At -c";
    in_node(sandbox, &format!("kubectl -n {SYSTEM} exec deploy/postgres -c postgres -- {psql} \"{query}\""))
}

fn stays() {
    let sandbox = Sandbox::new("data", &Ground::find(Wish::Real, Major::Five));
    if !sandbox.ground.is_real() {
        println!("NOT HERE: Postgres and Minio; tests/it and src/render/tests/data.rs hold the volume and its mount");
        return;
    }
    let up = |engine: &str| sandbox.up(&["--profile", "minimal", "--project", "x", "--engine", engine]);
    up("k3d").exits(0);
    sandbox.run(&["smoke", "--full"]).exits(0).says("a workflow ran");
    let mut held = contents(&sandbox);

    let kubectl = |args: &str| in_node(&sandbox, &format!("kubectl -n {SYSTEM} {args}"));
    kubectl("delete pod -l app.kubernetes.io/name=postgres --wait=false");
    kubectl("delete pod -l app.kubernetes.io/name=minio --wait=false");
    up("k3d").exits(0);
    held = keeps(&sandbox, &held, "pods of Postgres and Minio deleted");

    // k3d's entrypoint drains the node at this signal, and deletes every pod's own volumes.
    docker(&["stop", &sandbox.node()]);
    sandbox.run(&["start"]).exits(0);
    held = keeps(&sandbox, &held, "node of k3d stopped by Docker");

    launch(&sandbox, "e2elost");
    sandbox.run(&["down", "--keep-data"]).exits(0).says("its data is kept");
    sandbox.run(&["status"]).exits(13).says("is kept");
    up("docker").exits(0).says("1 executions are aborted");
    held = keeps(&sandbox, &held, "down --keep-data, and another engine");
    assert!(held.contains("execution x/d-dev/e2elost ABORTED"), "{held:?}");

    docker(&["kill", &sandbox.node()]);
    up("docker").exits(0);
    keeps(&sandbox, &held, "node of the Docker engine killed");

    sandbox.run(&["down"]).exits(0).says("1 container, 1 network, 2 volumes removed");
    sandbox.assert_gone();
}

/// On stand-ins, too: what Docker does to the node is the same.
fn halted() {
    let sandbox = Sandbox::new("halted", &Ground::find(Wish::StandIn, Major::Five));
    let state = || docker(&["inspect", "--format", "{{.State.Status}}", &sandbox.node()]);
    sandbox.run(&["stop"]).exits(13);
    sandbox.run(&["start"]).exits(13);
    sandbox.up(&["--engine", "docker"]).exits(0);
    let node = sandbox.node_id();

    sandbox.run(&["stop", "--freeze"]).exits(0).says("is frozen");
    assert_eq!(state(), "paused");
    sandbox.run(&["status"]).exits(5).says("is frozen");
    sandbox.run(&["smoke"]).exits(13).says("`sandbox start");
    sandbox.run(&["start"]).exits(0).says("is back");
    assert_eq!(state(), "running");

    sandbox.run(&["stop"]).exits(0).says("is stopped");
    assert_eq!(state(), "exited");
    sandbox.run(&["status"]).exits(5).says("is stopped");
    sandbox.run(&["stop"]).exits(0).says("does not run");
    sandbox.run(&["start"]).exits(0).says("is back");
    assert_eq!(state(), "running");

    sandbox.run(&["stop", "--freeze"]).exits(0);
    sandbox.up(&["--engine", "docker"]).exits(0);
    assert_eq!((state().as_str(), sandbox.node_id()), ("running", node));
    sandbox.run(&["stop", "--freeze"]).exits(0);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}
