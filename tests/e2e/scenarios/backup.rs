//! What is saved, and is there after a restore.

use std::fs;

use serde_json::{Value, json};

use super::Scenario;
use crate::support::docker::docker;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] =
    &[("a_backup_has_all_that_its_sandbox_had_and_is_restored_into_a_new_one", saved_and_restored)];

const SYSTEM: &str = "103020-flytepoc-dev";
/// All that Flyte has put into its database, by table.
const ROWS: &str = "select 'executions', count(*) from executions union all \
    select 'launch_plans', count(*) from launch_plans union all select 'workflows', count(*) from workflows union all \
    select 'tasks', count(*) from tasks union all select 'node_executions', count(*) from node_executions union all \
    select 'named_entity_metadata', count(*) from named_entity_metadata order by 1";
/// The files of each bucket, and their bytes.
const FILES: &str =
    "cd /data; for b in *; do echo $b $(find $b -type f | wc -l) $(find $b -type f -exec cat {} + | wc -c); done";

fn saved_and_restored() {
    let sandbox = Sandbox::new("backup", &Ground::find(Wish::Real, Major::Five));
    let up =
        |more: &[&str]| sandbox.up(&[&["--profile", "minimal", "--project", "x", "--engine", "docker"], more].concat());
    up(&[]).exits(0);
    if !sandbox.ground.is_real() {
        println!("NOT HERE: a database; tests/it/backup.rs has the format, and Minio's part");
        sandbox.run(&["down"]).exits(0);
        return sandbox.assert_gone();
    }
    let within = |workload: &str, command: &[&str]| {
        let (node, workload) = (sandbox.node(), format!("deploy/{workload}"));
        docker(&[&["exec", &node, "kubectl", "-n", SYSTEM, "exec", &workload, "--"], command].concat())
    };
    within("minio", &["sh", "-c", "mkdir -p '/data/my-s3-bucket-x/a b' && echo mine > '/data/my-s3-bucket-x/a b/c+d'"]);
    let rows = || within("postgres", &["psql", "-U", "postgres", "-d", "flyte_development", "-AtXc", ROWS]);
    let (before, files) = (rows(), within("minio", &["sh", "-c", FILES]));
    let old = admin(&sandbox, "executions/x/d-dev?limit=9")["executions"][0]["id"]["name"].clone();
    let old = old.as_str().expect("an execution");

    let file = sandbox.path("saved.tar.zst");
    let path = file.to_string_lossy();
    sandbox.run(&["backup", &path]).exits(0).says("2 databases");
    assert!(fs::metadata(&file).expect("written").len() > 1000);
    assert_eq!((rows(), within("minio", &["sh", "-c", FILES])), (before.clone(), files.clone()), "nothing changes it");
    let here = up(&["--restore", &path]).exits(3).failure();
    assert_eq!(here["reason"], "backup-mismatch");

    up(&["--fresh", "--restore", &path]).exits(0).says("restore database flyte_development");
    // What `up` ended with is one workflow more.
    let one = |text: &str| -> Vec<(String, u64)> {
        let pair =
            |line: &str| line.split_once('|').map(|(name, count)| (name.to_owned(), count.parse().expect("a count")));
        text.lines().filter_map(pair).collect()
    };
    for ((table, was), (_, is)) in one(&before).into_iter().zip(one(&rows())) {
        let more = match table.as_str() {
            "executions" | "launch_plans" | "workflows" | "tasks" => 0..=1,
            _ => 0..=9,
        };
        assert!(is >= was && more.contains(&(is - was)), "{table}: {was} before, {is} after");
    }
    for (was, is) in files.lines().zip(within("minio", &["sh", "-c", FILES]).lines()) {
        let numbers =
            |line: &str| line.split(' ').skip(1).map(|word| word.parse::<u64>().expect("a number")).collect::<Vec<_>>();
        assert!(numbers(was).iter().zip(numbers(is)).all(|(was, is)| is >= *was), "{was} before, {is} after");
    }
    assert_eq!(within("minio", &["cat", "/data/my-s3-bucket-x/a b/c+d"]).trim(), "mine");
    assert_eq!(admin(&sandbox, &format!("executions/x/d-dev/{old}"))["closure"]["phase"], json!("SUCCEEDED"));
    let data = admin(&sandbox, &format!("data/executions/x/d-dev/{old}"));
    let url = data["outputs"]["url"].as_str().expect("a signed URL");
    within("postgres", &["wget", "-q", "-O", "/dev/null", url]);

    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

/// An answer of admin.
fn admin(sandbox: &Sandbox, path: &str) -> Value {
    let service = format!("/api/v1/namespaces/{SYSTEM}/services/flyteadmin:http/proxy/api/v1/{path}");
    let answer = docker(&["exec", &sandbox.node(), "kubectl", "get", "--raw", &service]);
    serde_json::from_str(&answer).expect("JSON")
}
