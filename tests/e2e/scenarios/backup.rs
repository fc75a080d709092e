//! What is saved and is there after a restore, what a reset takes away, and what a snapshot gives another sandbox. All of it
//! on one sandbox, since an `up` takes its time.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::Scenario;
use super::data::{SETTLING, SYSTEM, in_node, launch};
use super::expiry::others_due;
use crate::support::docker::{belongings, docker, try_docker};
use crate::support::ground::{Ground, Major, Wish};
use crate::support::ran::Ran;
use crate::support::sandbox::{Sandbox, is_running};

pub(super) const SCENARIOS: &[Scenario] =
    &[("a_backup_and_a_snapshot_have_all_that_their_sandbox_had_and_a_reset_leaves_nothing", on_one_sandbox)];

/// For an execution of the checks' workflow, on a busy machine.
const EXECUTION: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(300);
/// All that Flyte has put into its database, by table.
const ROWS: &str = "select 'executions', count(*) from executions union all \
    select 'launch_plans', count(*) from launch_plans union all select 'workflows', count(*) from workflows union all \
    select 'tasks', count(*) from tasks union all select 'node_executions', count(*) from node_executions union all \
    select 'named_entity_metadata', count(*) from named_entity_metadata order by 1";
/// The files of each bucket, and their bytes.
const FILES: &str =
    "cd /data; for b in *; do echo $b $(find $b -type f | wc -l) $(find $b -type f -exec cat {} + | wc -c); done";
const WORKFLOWS: &str = "103020-flytepoc-x-d-dev";
const MINE: &str = "/data/my-s3-bucket-x/a b/c+d";

fn on_one_sandbox() {
    let sandbox = Sandbox::new("backup", &Ground::find(Wish::Real, Major::Five));
    up(&sandbox, &[]).exits(0);
    if !sandbox.ground.is_real() {
        println!(
            "NOT HERE: a database, and so no backup, snapshot or reset; tests/it/backup.rs has the format, and Minio's part, \
             tests/it/snapshot.rs and tests/it/reset.rs what is asked of Docker, Kubernetes, Postgres and Minio"
        );
        sandbox.run(&["down"]).exits(0);
        return sandbox.assert_gone();
    }
    let first = Contents::of(&sandbox);
    let old = saved_and_restored(&sandbox);
    reset(&sandbox, &first, &old);
    copied(&sandbox, &old);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

/// The name of an execution that was there before.
fn saved_and_restored(sandbox: &Sandbox) -> String {
    keep_mine(sandbox);
    let before = Contents::of(sandbox);
    let old = executions(sandbox).swap_remove(0);

    let file = sandbox.path("saved.tar.zst");
    let path = file.to_string_lossy();
    sandbox.run(&["backup", &path]).exits(0).says("2 databases");
    assert!(fs::metadata(&file).expect("written").len() > 1000);
    assert_eq!(Contents::of(sandbox), before, "nothing changes it");
    let here = up(sandbox, &["--restore", &path]).exits(3).failure();
    assert_eq!(here["reason"], "backup-mismatch");

    up(sandbox, &["--fresh", "--restore", &path]).exits(0).says("restore database flyte_development");
    Contents::of(sandbox).are_of_one_workflow_more_than(&before);
    has_mine_and(sandbox, &old);
    old
}

/// What there was after the first `up` is there again, and no more.
fn reset(sandbox: &Sandbox, first: &Contents, old: &str) {
    let node = sandbox.node_id();
    sandbox.run(&["reset"]).exits(0).says("is empty, and ready");
    assert_eq!(sandbox.node_id(), node);
    let now = Contents::of(sandbox);
    assert_eq!(now.rows, first.rows);
    assert_eq!(now.file_counts(), first.file_counts());
    assert!(within(sandbox, "minio", &["cat", MINE]).is_err(), "an object of a user stays");
    assert!(!executions(sandbox).contains(&old.to_owned()), "an execution stays");
    let left = in_node(sandbox, &format!("kubectl get flyteworkflows,pods -n {WORKFLOWS} -o name"));
    assert_eq!(left.matches('/').count(), left.matches(&executions(sandbox)[0]).count(), "{left}");
    launch(sandbox, old);
    succeeds(sandbox, old);
}

/// Another sandbox begins with the data of this one, and is made after an `up` that was interrupted.
fn copied(sandbox: &Sandbox, old: &str) {
    keep_mine(sandbox);
    let node = sandbox.node_id();
    let snapshot = format!("{}-base", sandbox.name);
    let run = |command: &str| sandbox.run(&["snapshot", command, &snapshot]);
    let volumes = || docker(&["volume", "ls", "--quiet", "--filter", &format!("name=sandbox-snapshot-{snapshot}")]);

    stopped_while_it_copies(sandbox, &["snapshot", "save", &snapshot], &saver(&snapshot), Signal::KILL);
    assert_ne!(volumes(), "");
    // It is frozen, or was about to be.
    sandbox.run(&["start"]).exits(0);
    assert_eq!(volumes(), "", "half a snapshot");
    let before = Contents::of(sandbox);
    run("save").exits(0).says(" copied");
    run("save").exits(2).says("there is a snapshot of this name");
    run("show").exits(0).says(&format!("sandbox      {}", sandbox.name));
    sandbox.run(&["snapshot", "list"]).exits(0).says(&snapshot);
    assert!(is_running(&sandbox.node()), "the node is frozen no longer than it is copied");

    let other = Sandbox::new("copied", &sandbox.ground);
    let args = other.up_args(&[UP, &["--from", &snapshot]].concat());
    let filler = format!("k3d-{}-fill", other.name);
    let interrupted = stopped_while_it_copies(&other, &args, &filler, Signal::INT).exits(130).says("undone: ");
    assert_eq!(interrupted.failure()["reason"], "interrupted");
    other.assert_gone();
    let killed = || {
        stopped_while_it_copies(&other, &args, &filler, Signal::KILL);
        assert!(!belongings(&other.name).is_empty());
    };
    if !others_due(&other) {
        killed();
        wait_until("the copy has ended", || !is_running(&filler));
        other.run(&["gc"]).exits(0).says(&format!("{} removed: a run that was killed", other.name));
        other.assert_gone();
    }
    killed();
    up(&other, &["--from", &snapshot]).exits(0).says(&format!("copy the data of snapshot {snapshot}"));
    Contents::of(&other).are_of_one_workflow_more_than(&before);
    has_mine_and(&other, old);
    assert_eq!((Contents::of(sandbox), sandbox.node_id()), (before, node), "the original is as it was");
    sandbox.run(&["status"]).exits(0);

    run("remove").exits(0).says("is gone");
    run("remove").exits(0).says("there is no snapshot");
    run("show").exits(13);
    assert_eq!(volumes(), "");
    other.run(&["status"]).exits(0);
    other.run(&["down"]).exits(0);
    other.assert_gone();
    assert!(!belongings(&sandbox.name).is_empty(), "the original is another's");
}

/// A run that is signalled as soon as there is the container that copies for it.
fn stopped_while_it_copies(sandbox: &Sandbox, args: &[&str], container: &str, signal: Signal) -> Ran {
    let mut run = sandbox.start(args);
    run.until("the copy", || try_docker(&["inspect", container]).is_ok());
    run.signal(signal);
    run.end()
}

fn saver(snapshot: &str) -> String {
    format!("sandbox-snapshot-{snapshot}.copy")
}

#[track_caller]
fn wait_until(what: &str, seen: impl Fn() -> bool) {
    let began = Instant::now();
    while !seen() {
        assert!(began.elapsed() < EXECUTION, "not seen: {what}");
        std::thread::sleep(PAUSE);
    }
}

const UP: &[&str] = &["--profile", "minimal", "--project", "x", "--engine", "docker"];

fn up(sandbox: &Sandbox, more: &[&str]) -> Ran {
    sandbox.up(&[UP, more].concat())
}

/// What is in the database and the object store.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    /// How many rows, by table.
    rows: BTreeMap<String, u64>,
    /// How many files and bytes, by bucket.
    files: BTreeMap<String, (u64, u64)>,
}

impl Contents {
    fn of(sandbox: &Sandbox) -> Self {
        let count = |text: &str| text.parse::<u64>().expect("a count");
        let rows = within(sandbox, "postgres", &["psql", "-U", "postgres", "-d", "flyte_development", "-AtXc", ROWS]);
        let files = within(sandbox, "minio", &["sh", "-c", FILES]).expect("files");
        let row = |line: &str| line.split_once('|').map(|(table, rows)| (table.to_owned(), count(rows)));
        let file = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            (words[0].to_owned(), (count(words[1]), count(words[2])))
        };
        Self { rows: rows.expect("rows").lines().filter_map(row).collect(), files: files.lines().map(file).collect() }
    }

    fn file_counts(&self) -> BTreeMap<&str, u64> {
        self.files.iter().map(|(bucket, (files, _))| (bucket.as_str(), *files)).collect()
    }

    /// An `up` ends with a workflow.
    #[track_caller]
    fn are_of_one_workflow_more_than(&self, before: &Self) {
        for (table, was) in &before.rows {
            let is = self.rows[table];
            let more = match table.as_str() {
                "executions" | "launch_plans" | "workflows" | "tasks" => 0..=1,
                _ => 0..=9,
            };
            assert!(is >= *was && more.contains(&(is - was)), "{table}: {was} before, {is} after");
        }
        for (bucket, was) in &before.files {
            let is = self.files[bucket];
            assert!(is.0 >= was.0 && is.1 >= was.1, "{bucket}: {was:?} before, {is:?} after");
        }
    }
}

/// What a command in the pod of a workload prints. On a busy machine kubectl now and then finds a kind that the API serves
/// unknown.
fn within(sandbox: &Sandbox, workload: &str, command: &[&str]) -> Result<String, String> {
    let (node, workload) = (sandbox.node(), format!("deploy/{workload}"));
    let began = Instant::now();
    loop {
        let ran = try_docker(&[&["exec", &node, "kubectl", "-n", SYSTEM, "exec", &workload, "--"], command].concat());
        match ran {
            Err(why) if why.contains("doesn't have a resource type") && began.elapsed() < SETTLING => {}
            ran => return ran,
        }
        std::thread::sleep(PAUSE);
    }
}

fn keep_mine(sandbox: &Sandbox) {
    let write = format!("mkdir -p '/data/my-s3-bucket-x/a b' && echo mine > '{MINE}'");
    within(sandbox, "minio", &["sh", "-c", &write]).expect("written");
}

/// That a user's object is there, and an execution with all that it left.
#[track_caller]
fn has_mine_and(sandbox: &Sandbox, execution: &str) {
    assert_eq!(within(sandbox, "minio", &["cat", MINE]).as_deref(), Ok("mine"));
    assert_eq!(admin(sandbox, &format!("executions/x/d-dev/{execution}"))["closure"]["phase"], json!("SUCCEEDED"));
    let data = admin(sandbox, &format!("data/executions/x/d-dev/{execution}"));
    let url = data["outputs"]["url"].as_str().expect("a signed URL");
    within(sandbox, "postgres", &["wget", "-q", "-O", "/dev/null", url]).expect("the outputs");
}

/// The names of all executions.
/// The names of those in the first project and domain.
pub(super) fn executions(sandbox: &Sandbox) -> Vec<String> {
    let listed = admin(sandbox, "executions/x/d-dev?limit=9");
    let all = listed["executions"].as_array().into_iter().flatten();
    all.map(|one| one["id"]["name"].as_str().expect("a name").to_owned()).collect()
}

/// Waits until an execution has succeeded.
#[track_caller]
fn succeeds(sandbox: &Sandbox, execution: &str) {
    wait_until("the execution has succeeded", || {
        let phase = admin(sandbox, &format!("executions/x/d-dev/{execution}"))["closure"]["phase"].clone();
        assert!(!["FAILED", "ABORTED", "TIMED_OUT"].iter().any(|end| phase == *end), "{execution}: {phase}");
        phase == "SUCCEEDED"
    });
}

/// An answer of admin.
fn admin(sandbox: &Sandbox, path: &str) -> Value {
    let service = format!("/api/v1/namespaces/{SYSTEM}/services/flyteadmin:http/proxy/api/v1/{path}");
    let answer = docker(&["exec", &sandbox.node(), "kubectl", "get", "--raw", &service]);
    serde_json::from_str(&answer).expect("JSON")
}
