//! The day after `up`: logs that are followed, and commands that work in a running sandbox.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use flyte_sandbox::cluster::expire;
use flyte_sandbox::kubernetes::{self, Inventory, LogLine, PodSelection};
use flyte_sandbox::manifest::ObjectRef;
use flyte_sandbox::rehearsal::{Answer, ApiServer};
use flyte_sandbox::site::{self, Host, SandboxState};
use flyte_sandbox::spec::Spec;
use flyte_sandbox::state::StateRoot;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, channel};

use crate::support::docker::{FakeDocker, World, node, node_with_api, run};
use crate::support::machine::Machine;
use crate::support::wait::{HANG, wait_for};

const SYSTEM: &str = "103020-flytepoc-dev";
const WORKFLOWS: &str = "103020-flytepoc-x-d-dev";

fn namespace(api: &ApiServer, name: &str) {
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
}

/// A pod with one container of its own name's first word, in this state.
fn pod(namespace: &str, name: &str, metadata: Value, state: &str) -> Value {
    let container = name.split('-').next().unwrap_or_default();
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"containers": [{"name": container, "image": "i"}]},
        "status": {"containerStatuses": [{"name": container, "ready": true, "restartCount": 0, "image": "i",
            "imageID": "", "state": {state: if state == "terminated" { json!({"exitCode": 0}) } else { json!({}) }}}]}});
    pod["metadata"]["namespace"] = namespace.into();
    pod["metadata"]["name"] = name.into();
    pod
}

/// A pod of the Deployment minio.
fn minio(name: &str, state: &str) -> Value {
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "minio-5c5", "uid": "u", "controller": true}]);
    pod(SYSTEM, name, json!({"ownerReferences": owner}), state)
}

fn inventory() -> Inventory {
    let minio = ObjectRef {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some(SYSTEM.to_owned()),
        name: "minio".to_owned(),
    };
    Inventory {
        digest: None,
        spec: Spec::default(),
        objects: [(minio, None)].into(),
        tables: Default::default(),
        proven: true,
        mended: Default::default(),
    }
}

/// The lines of a log that is followed, as they come.
fn followed(api: &ApiServer, selection: PodSelection, tail: i64) -> Receiver<LogLine> {
    let client = kubernetes::client(&api.kubeconfig()).expect("a client");
    let (sender, lines) = channel(100);
    tokio::spawn(async move {
        let is_there = async || Ok(());
        kubernetes::follow(&client, &client, &selection, tail, &sender, is_there).await.expect("followed");
    });
    lines
}

async fn next(lines: &mut Receiver<LogLine>) -> String {
    let line = tokio::time::timeout(HANG, lines.recv()).await.expect("a line in time").expect("a line");
    format!("{} {}", line.label, line.text)
}

#[tokio::test]
async fn a_followed_log_goes_on_where_its_connection_was_cut_and_with_the_pod_that_comes_next() {
    let api = ApiServer::start(21).await.expect("an API");
    namespace(&api, SYSTEM);
    api.put(minio("minio-5c5-a", "running"));
    api.log("minio-5c5-a", "minio", false, "one\ntwo\nthree\n");
    let client = kubernetes::client(&api.kubeconfig()).expect("a client");
    let selection = PodSelection::named("minio", &client, &inventory()).await.expect("there");
    let mut lines = followed(&api, selection, 2);
    assert_eq!([next(&mut lines).await, next(&mut lines).await], ["minio two", "minio three"]);
    api.log("minio-5c5-a", "minio", false, "one\ntwo\nthree\nfour\n");
    assert_eq!(next(&mut lines).await, "minio four");

    api.remove(&format!("/api/v1/namespaces/{SYSTEM}/pods/minio-5c5-a"));
    api.put(minio("minio-5c5-b", "waiting"));
    api.log("minio-5c5-b", "minio", false, "1\n2\n3\n");
    api.put(minio("minio-5c5-b", "running"));
    let all = [next(&mut lines).await, next(&mut lines).await, next(&mut lines).await];
    assert_eq!(all, ["minio 1", "minio 2", "minio 3"], "a pod that comes later is read from its first line");
}

#[tokio::test]
async fn a_connection_that_ends_while_its_container_runs_is_made_again_and_repeats_nothing() {
    let api = ApiServer::start(21).await.expect("an API");
    namespace(&api, SYSTEM);
    api.put(minio("minio-5c5-a", "running"));
    let log = format!("GET /api/v1/namespaces/{SYSTEM}/pods/minio-5c5-a/log");
    // The first two connections bring nothing.
    api.fail(&log, 2, Answer::Broken);
    api.log("minio-5c5-a", "minio", false, "one\ntwo\n");
    let client = kubernetes::client(&api.kubeconfig()).expect("a client");
    let selection = PodSelection::named("minio-5c5-a", &client, &inventory()).await.expect("there");
    let mut lines = followed(&api, selection, 100);
    let both = [next(&mut lines).await, next(&mut lines).await];
    assert_eq!(both, ["minio-5c5-a one", "minio-5c5-a two"]);
    assert_eq!(api.requests().iter().filter(|asked| **asked == log).count(), 3);
}

#[tokio::test]
async fn following_an_execution_ends_with_it_and_its_pods_need_no_namespace() {
    let api = ApiServer::start(21).await.expect("an API");
    [SYSTEM, WORKFLOWS].into_iter().for_each(|name| namespace(&api, name));
    let workflow = |labels: Value| {
        json!({"apiVersion": "flyte.lyft.com/v1alpha1", "kind": "FlyteWorkflow",
            "metadata": {"name": "f1", "namespace": WORKFLOWS, "labels": labels}})
    };
    api.put(workflow(json!({"execution-id": "f1"})));
    let client = kubernetes::client(&api.kubeconfig()).expect("a client");
    let unknown = PodSelection::of_execution("f2", &client, &Spec::default()).await.expect_err("not there");
    assert_eq!(unknown.object.as_deref(), Some("execution f2"));
    let selection = PodSelection::of_execution("f1", &client, &Spec::default()).await.expect("there");
    let by_its_id = PodSelection::named("f1", &client, &inventory()).await.expect("there");
    assert_eq!(by_its_id, selection, "as if it were said what it is");
    let mut lines = followed(&api, selection, 100);
    let of_execution = json!({"labels": {"execution-id": "f1"}});
    for (name, text) in [("f1-n0-0", "first\n"), ("f1-n1-0", "second\n")] {
        api.log(name, "f1", false, text);
        api.put(pod(WORKFLOWS, name, of_execution.clone(), "running"));
        assert_eq!(next(&mut lines).await, format!("{name} {}", text.trim()));
        api.put(pod(WORKFLOWS, name, of_execution.clone(), "terminated"));
        api.remove(&format!("/api/v1/namespaces/{WORKFLOWS}/pods/{name}"));
    }
    api.put(workflow(json!({"execution-id": "f1", "termination-status": "terminated"})));
    let end = tokio::time::timeout(HANG, lines.recv()).await.expect("it ends");
    assert_eq!(end, None);
}

#[test]
fn commands_of_the_day_work_in_a_rehearsal_or_say_why_not() {
    let machine = Machine::new();
    machine.run(&["logs", "flyteadmin"]).exits(4);
    machine.up(&["--project", "x"]).exits(0);

    let several = machine.run(&["logs", "minio", "postgres"]).exits(0).out();
    assert!(
        several.contains("\nminio               | REHEARSAL: ")
            && several.contains("\npostgres            | REHEARSAL: "),
        "{several}"
    );
    let lines = machine.run(&["logs", "minio", "-o", "json"]).exits(0).events();
    assert!(lines.iter().any(|line| line["log"] == "minio" && line["text"].is_string()), "{lines:?}");
    let hint = |name: &str| {
        let failure = machine.run(&["logs", name, "-o", "json"]).exits(13).failure();
        failure["hints"][0].as_str().expect("a hint").to_owned()
    };
    assert_eq!(hint("minoi"), "did you mean `minio`?");
    let listed = hint("nothing-like-it");
    assert!(listed.contains("flytepropeller-x-d-dev, ") && listed.contains("minio"), "{listed}");
    let failure = machine.run(&["logs", "--execution", "nothing", "-o", "json"]).exits(13).failure();
    assert_eq!(failure["object"], "execution nothing");

    let console = machine.ports[0].replace("--port-console=", "http://127.0.0.1:") + "/console\n";
    assert_eq!(machine.run(&["open"]).exits(0).out(), console);
    for command in [&["exec", "minio", "--", "ls"][..], &["psql", "-c", "select 1"], &["kubectl", "get", "pods"]] {
        machine.run(command).exits(2);
    }

    // Docker is named, and does not answer: what is known is told all the same.
    let list = machine.run(&["list"]).exits(4).out();
    assert!(list.contains("flyte  rehearsed  ") && list.contains("console "), "{list}");
}

#[test]
fn a_followed_log_ends_within_two_seconds_of_ctrl_c_and_with_its_reader() {
    let machine = Machine::new();
    machine.up(&["--project", "x"]).exits(0);
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = machine.command();
        command.args(["logs", "-f", "minio"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
        assert!(line.contains("REHEARSAL"), "{line}");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("sent");
        let ended = wait_for("it ends", || child.try_wait().expect("a child"));
        assert_eq!(ended.code(), Some(130));
        let said = child.wait_with_output().expect("read").stderr;
        assert_eq!(String::from_utf8_lossy(&said), "", "who stops it need not be told");
    }
}

#[test]
fn kubectl_gets_a_kubeconfig_of_its_own_and_its_exit_code_is_passed_on() {
    let machine = Machine::new();
    machine.up(&["--project", "x"]).exits(0);
    let tools = machine.folder.path().join("tools");
    fs::create_dir(&tools).expect("made");
    let kubectl = tools.join("kubectl");
    fs::write(&kubectl, "#!/bin/sh\ncat \"$KUBECONFIG\"; printf '\\n%s|' \"$@\"; exit 7\n").expect("written");
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o700)).expect("set");
    let path = format!("{}:/usr/bin:/bin", tools.display());
    let args = ["kubectl", "get", "pods", "-o", "name", "--name", "theirs"];
    let output = machine.command().env("PATH", path).args(args).output().expect("it runs");
    assert_eq!(output.status.code(), Some(7));
    let out = String::from_utf8(output.stdout).expect("text");
    let (config, said) = out.split_once('\n').expect("two lines");
    let config: Value = serde_json::from_str(config).expect("JSON");
    assert_eq!(config["current-context"], "rehearsal-flyte");
    assert_eq!(config["contexts"][0]["context"]["namespace"], SYSTEM);
    assert_eq!(said, "get|\npods|\n-o|\nname|\n--name|\ntheirs|");
}

#[test]
fn one_client_file_has_a_projects_bucket_and_keys_and_only_its_owner_reads_it() {
    let machine = Machine::new();
    machine.up(&["--project", "x,y"]).exits(0);
    let config = |args: &[&str]| machine.run(&[&["config"], args].concat()).exits(0).out();
    let keys = |project| machine.run(&["credentials", "--project", project, "-o", "json"]).exits(0).out();
    for (args, project) in [(&[][..], "x"), (&["--project", "y"], "y"), (&["-p", "y", "-o", "json"], "y")] {
        let said = config(args);
        let keys: Value = serde_json::from_str(&keys(project)).expect("JSON");
        let secret = keys["minio"]["secretKey"].as_str().expect("text");
        assert!(!said.contains(secret), "{said}");
        let file = machine.state().join(format!("flyte/clients/{project}.yaml"));
        assert!(said.contains(&*file.to_string_lossy()), "{said}");
        assert_eq!(fs::metadata(&file).expect("written").permissions().mode() & 0o777, 0o600);
        let file = fs::read_to_string(&file).expect("read");
        for line in [&*format!("    secret-key: {secret}"), &*format!("  container: my-s3-bucket-{project}")] {
            assert!(file.lines().any(|has| has == line), "{line}: {file}");
        }
    }
    assert_eq!(config(&["--client", "flytekit"]), config(&[]), "as scripts of before say it");
    assert_eq!(machine.run(&["config", "-p", "z", "-o", "json"]).exits(2).failure()["object"], "project z");

    let tools = format!("{}:/usr/bin:/bin", Path::new(env!("CARGO_BIN_EXE_sandbox")).parent().expect("one").display());
    let script = format!("eval '{}'; cat \"$FLYTECTL_CONFIG\"; echo; echo \"$FLYTE_AWS_SECRET_ACCESS_KEY\"", {
        config(&[]).replace('\'', r"'\''")
    });
    let sandbox = machine.command();
    let mut shell = std::process::Command::new("/bin/sh");
    shell.env_clear().envs(sandbox.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", tools);
    let output = shell.args(["-c", &script]).output().expect("a shell");
    let taken = String::from_utf8(output.stdout).expect("text");
    let secret = taken.lines().last().expect("a line");
    assert!(secret.len() == 40 && taken.contains(&format!("secret-key: {secret}")), "{taken}");
}

#[tokio::test]
async fn every_sandbox_of_the_machine_is_listed_with_what_is_known_of_it() {
    let fake = FakeDocker::start(World {
        containers: vec![
            node("ci-1", Some("ci-1"), "exited"),
            node("flyte", Some("flyte"), "running"),
            node("cold", Some("cold"), "paused"),
            node("theirs", None, "running"),
        ],
        ..World::default()
    })
    .await;
    let docker = fake.connect().await;
    let end = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    expire(&docker, "ci-1", end).await.expect("marked");
    let folder = tempfile::tempdir().expect("a folder");
    let state = StateRoot::new(folder.path().join("state"));
    for name in ["flyte", "lost"] {
        let own = state.sandbox(name);
        own.write(&own.kubeconfig(), "").expect("written");
    }
    let variables = BTreeMap::from([("DOCKER_HOST".to_owned(), fake.host.clone())]);
    let host = Host { home: None, variables, state, program: "none".into(), clients: Default::default() };
    let listing = site::list(&host, true).await.expect("listed");
    assert_eq!(listing.failure, None);
    let seen: Vec<_> = listing.sandboxes.iter().map(|one| (one.name.as_str(), &one.state)).collect();
    let expected = [
        ("ci-1", &SandboxState::Stopped),
        ("cold", &SandboxState::Frozen),
        ("flyte", &SandboxState::Running),
        ("lost", &SandboxState::Lost),
    ];
    assert_eq!(seen, expected);
    assert_eq!(listing.sandboxes[0].expires.as_deref(), Some("2027-01-15T08:00:00Z"));
    assert_eq!(listing.sandboxes[2].ports, [("console".to_owned(), 30081)].into());
}

#[tokio::test]
async fn the_nodes_own_kubeconfig_is_read_where_the_recorded_one_does_not_lead_to_it() {
    let api = ApiServer::start(21).await.expect("an API");
    let address = api.kubeconfig().split_once("http://127.0.0.1:").expect("an address").1.to_owned();
    let digits: String = address.chars().take_while(char::is_ascii_digit).collect();
    let port = digits.parse().expect("a port");
    namespace(&api, SYSTEM);
    let client = kubernetes::client(&api.kubeconfig()).expect("a client");
    kubernetes::save(&client, SYSTEM, &inventory(), &run()).await.expect("kept");
    let (container, kubeconfig) = node_with_api("flyte", port);
    let fake = FakeDocker::start(World { containers: vec![container], ..World::default() }).await;
    let folder = tempfile::tempdir().expect("a folder");
    let state = StateRoot::new(folder.path().join("state"));
    let variables = BTreeMap::from([("DOCKER_HOST".to_owned(), fake.host.clone())]);
    let host = Host { home: None, variables, state, program: "none".into(), clients: Default::default() };
    let own = host.state.sandbox("flyte");
    let elsewhere = "{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}";
    for (recorded, in_node, runs) in [
        (None, None, false),
        (Some(api.kubeconfig()), None, true),
        (Some(elsewhere.to_owned()), None, false),
        (Some(elsewhere.to_owned()), Some(kubeconfig.clone()), true),
        // It names the node's API, and is no kubeconfig for it.
        (Some(elsewhere.replace(":1'", &format!(":{port}'"))), Some(kubeconfig), true),
    ] {
        let _ = fs::remove_file(own.kubeconfig());
        if let Some(recorded) = &recorded {
            own.write(&own.kubeconfig(), recorded).expect("written");
        }
        fake.world().files = in_node.iter().cloned().collect();
        let found = site::running("flyte", &host).await;
        assert_eq!(found.is_ok(), runs, "{recorded:?} {in_node:?} {:?}", found.err());
    }
}

/// What a shell is offered for the last of these words.
fn completed(machine: &Machine, words: &[&str]) -> Vec<String> {
    let mut command = machine.command();
    let last = words.len().to_string();
    command.env("SANDBOX_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", last).env("_CLAP_IFS", "\n");
    command.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true");
    let output = command.args(["--", "sandbox"]).args(words).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).expect("text").lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn names_are_completed_by_the_state_folder_and_the_spec() {
    let machine = Machine::new();
    for name in ["ci-1", "flyte"] {
        fs::create_dir_all(machine.state().join(name)).expect("made");
    }
    fs::create_dir(machine.state().join("Not-A-Name")).expect("made");
    fs::write(machine.folder.path().join("sandbox.yaml"), "projects: [alpha]\ndomains: [{id: dev, name: D}]\n")
        .expect("written");
    assert_eq!(completed(&machine, &["status", "--name", ""]), ["ci-1", "flyte"]);
    let propeller = "flytepropeller-alpha-dev";
    assert_eq!(
        completed(&machine, &["logs", "-f", "flyte"]),
        ["flyteadmin", "flytescheduler", "flyteconsole", propeller]
    );
    assert_eq!(completed(&machine, &["exec", "mi"]), ["minio"]);
    assert_eq!(completed(&machine, &["project", "remove", "al"]), ["alpha"]);
    assert_eq!(completed(&machine, &["credentials", "--project", ""]), ["alpha"]);
    assert_eq!(completed(&machine, &["run", "wf.py", "-d", ""]), ["dev"]);
    assert_eq!(completed(&machine, &["up", "--image", "po"]), ["postgres="]);
    assert_eq!(completed(&machine, &["kubec"]), ["kubectl", "kubeconfig"]);
    assert_eq!(completed(&machine, &["up", "--config", "san"]), ["sandbox.yaml"]);
    assert_eq!(completed(&machine, &["run", "san"]), ["sandbox.yaml"]);
    assert_eq!(completed(&machine, &["up", "--engine", "d"]), ["docker"]);
    assert_eq!(completed(&machine, &["up", "--profile", "m"]), ["minimal"]);
    for shell in ["bash", "zsh", "fish"] {
        assert!(machine.run(&["completions", shell]).exits(0).out().contains("SANDBOX_COMPLETE"), "{shell}");
    }
}
