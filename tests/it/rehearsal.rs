//! A sandbox that is rehearsed, from outside: the real binary, its real process, and real ports; no Docker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use flyte_sandbox::kubernetes;
use flyte_sandbox::manifest::Collection;
use flyte_sandbox::rehearsal::{Executions, Minio};
use flyte_sandbox::spec::Spec;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::support::machine::Machine;
use crate::support::ports;
use crate::support::releases::RELEASES;
use crate::support::wait::wait_for;

fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn await_end(pid: u32) {
    wait_for("the process ends", || (!lives(pid)).then_some(()));
}

fn folders(state: &Path) -> Vec<String> {
    let entries = fs::read_dir(state).expect("there").flatten().map(|entry| entry.file_name());
    let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_state_folder_that_is_given_by_a_relative_path_holds_from_everywhere() {
    let machine = Machine::new();
    let relative = Path::new("state of this machine");
    let events = machine.run_with_state(relative, &machine.up_args(&[])).exits(0).events();
    let ready = events.iter().find(|event| event["event"] == "ready").expect("ready");
    let (kubectl, state) = (ready["kubectl"].as_str().expect("text"), machine.state());
    assert!(kubectl.contains(&state.display().to_string()), "{kubectl}");
    machine.run_with_state(relative, &["status"]).exits(0);
    machine.run_with_state(relative, &["down"]).exits(0);
    assert_eq!(folders(&machine.state()), ["machine.key", "recorded.runs"]);
}

#[test]
fn a_registry_that_is_asked_for_is_published_and_proven() {
    let machine = Machine::new();
    let [port] = ports::reserve::<1>();
    let flag = format!("--port-registry={port}");
    let events = machine.up(&["--registry", &flag]).exits(0).events();
    let endpoints = &events.iter().find(|event| event["event"] == "ready").expect("ready")["endpoints"];
    let registry = endpoints.as_array().expect("a list").iter().find(|one| one["name"] == "registry").expect("there");
    assert_eq!(registry["url"], format!("localhost:{port}"));
    let probe = events.iter().find(|event| event["id"] == "I1").expect("asked");
    assert_eq!(probe["outcome"], "passed");
    machine.run(&["status"]).exits(0);

    let kubeconfig = machine.run(&["kubeconfig"]).exits(0).out();
    remove(&kubeconfig, ["apps/v1", "Deployment", "103020-flytepoc-dev", "image-registry"]);
    let failure = machine.run(&["smoke", "-o", "json"]).exits(10).failure();
    assert_eq!(failure["reason"], "registry-failing");
}

#[test]
fn a_rehearsal_lives_from_up_to_down_and_says_what_it_is_on_every_surface() {
    let machine = Machine::new();
    let events = machine.up(&[]).exits(0).events();
    let told = events.iter().position(|event| event["event"] == "rehearsal").expect("it says so");
    assert!(events[told..].iter().all(|event| event["rehearsal"] == true));
    let stages: Vec<_> = events.iter().filter(|event| event["event"] == "stage-finished").collect();
    let names: Vec<_> = stages.iter().map(|event| event["stage"].as_str().expect("a name")).collect();
    assert_eq!(names, ["plan", "preflight", "apply", "cluster", "rollout", "smoke"]);
    let summary = events.last().expect("the end")["summary"].as_str().expect("text").to_owned();
    assert_eq!(summary, "REHEARSAL: sandbox flyte is ready");

    let status: Value = serde_json::from_str(&machine.run(&["status", "-o", "json"]).exits(0).out()).expect("JSON");
    assert_eq!((&status["rehearsal"], &status["phase"]), (&true.into(), &"ready".into()));
    assert!(machine.run(&["status"]).exits(0).out().starts_with("REHEARSAL: "));
    assert!(machine.run(&["logs", "flyteadmin"]).exits(0).out().contains("REHEARSAL: this container is simulated"));
    assert!(machine.run(&["kubeconfig"]).exits(0).out().contains("\"current-context\":\"rehearsal-flyte\""));
    let smoke = machine.run(&["smoke", "--full", "-o", "json"]).exits(0).events();
    let ran = smoke.iter().filter(|event| event["id"].as_str().is_some_and(|id| id.starts_with("A3"))).count();
    assert_eq!(ran, 6, "a workflow in each project and domain");

    let player = machine.player();
    let again = machine.up(&[]).exits(0).events();
    assert_eq!(again.last().expect("the end")["outcome"], "unchanged");
    assert_eq!(machine.player(), player);
    machine.run(&["project", "add", "z", "-o", "json"]).exits(0);
    assert!(machine.run(&["project", "list"]).exits(0).out().contains('z'));
    machine.run(&["project", "remove", "z", "-o", "json"]).exits(0);

    machine.run(&["down"]).exits(0);
    await_end(player);
    assert_eq!(folders(&machine.state()), ["machine.key", "recorded.runs"]);
}

#[test]
fn doctor_prints_how_long_each_wait_may_take_when_asked_for_every_detail() {
    let machine = Machine::new();
    let doctor = |args: &[&str]| {
        let ports: Vec<_> = machine.ports.iter().map(String::as_str).collect();
        machine.run(&[&["doctor", "--engine", "rehearsal"], ports.as_slice(), args].concat()).exits(0)
    };
    let limits = |args: &[&str]| {
        let events = doctor(args).events().into_iter();
        events.filter(|event| event["event"] == "limit").collect::<Vec<_>>()
    };
    let detailed = limits(&["-v", "-o", "json"]);
    let grace = detailed.iter().find(|limit| limit["name"] == "stage-grace").expect("a limit");
    assert_eq!((&grace["millis"], limits(&["-o", "json"])), (&1000.into(), Vec::new()));
    let shown = String::from_utf8_lossy(&doctor(&["-v"]).0.stderr).into_owned();
    assert!(shown.contains("limit doctor: 30s: `sandbox doctor` as a whole"), "{shown}");
}

#[test]
fn a_report_that_cannot_be_written_is_found_before_the_run() {
    let machine = Machine::new();
    let events = machine.up(&["--junit", "/proc/nope/report.xml"]).exits(2).events();
    assert_eq!(events.len(), 1, "{events:?}");
    let failure = &events[0]["failure"];
    assert_eq!((&events[0]["event"], &failure["reason"]), (&"run-finished".into(), &"report-unwritable".into()));
    assert_eq!(failure["object"], "/proc/nope/report.xml");
    assert_eq!(folders(&machine.state()), ["machine.key"]);
}

#[test]
fn a_report_that_cannot_be_written_in_the_end_is_told_as_what_it_is() {
    let machine = Machine::new();
    let ran = machine.up(&["--junit", "/dev/full"]).exits(2);
    let finished = ran.events().into_iter().filter(|event| event["event"] == "run-finished").collect::<Vec<_>>();
    assert_eq!((finished.len(), &finished[0]["exit_code"]), (1, &0.into()), "{finished:?}");
    let told = String::from_utf8_lossy(&ran.0.stderr).into_owned();
    assert!(told.contains("error[report-unwritable]: cannot write the report"), "{told}");
}

#[test]
fn another_release_of_flyte_is_made_where_it_is_asked_for_and_never_in_place() {
    let machine = Machine::new();
    machine.up(&["--flyte", "1.16", "--full"]).exits(0);
    let again = machine.up(&["--flyte", "1.16"]).exits(0).events();
    assert_eq!(again.last().expect("the end")["outcome"], "unchanged");
    let refused = machine.up(&["--flyte", "0.15", "--kubernetes", "v1.33.13+k3s1"]).exits(3).failure();
    assert_eq!(refused["reason"], "sandbox-differs");
    assert_eq!(refused["causes"], json!(["it runs 1.16, and 0.15 is asked for"]));
    assert_eq!(
        refused["hints"][1],
        "`--flyte 1.16` keeps it as it is; `--name` chooses another name, so that both can be there"
    );
    let plan = machine.run(&["plan"]).exits(0);
    assert!(String::from_utf8_lossy(&plan.0.stderr).contains("runs another Flyte release"));
    machine.run(&["status"]).exits(0);
    machine.run(&["project", "add", "z"]).exits(0);
    machine.run(&["smoke"]).exits(0);
    let unknown = machine.up(&["--flyte", "1.99"]).exits(2).failure();
    assert_eq!(unknown["causes"], json!(["--flyte: `flyte`: there is no release `1.99`"]));
}

#[test]
fn the_kubectl_line_of_a_merged_kubeconfig_is_of_a_context_in_it() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let line = machine.run(&["kubeconfig", "--merge", "my kube.yaml"]).exits(0).out();
    assert_eq!(line.trim(), "kubectl --kubeconfig 'my kube.yaml' --context rehearsal-flyte get pods -A");
    let merged = fs::read_to_string(machine.folder.path().join("my kube.yaml")).expect("merged");
    let merged = serde_yaml::from_str::<Value>(&merged).expect("YAML");
    assert_eq!(merged["contexts"][0]["name"], "rehearsal-flyte");
}

/// Removes an object behind the sandbox's back.
fn remove(kubeconfig: &str, [api_version, kind, namespace, name]: [&str; 4]) {
    let at = Collection {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: Some(namespace.to_owned()),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = kubernetes::client(kubeconfig).expect("a way in");
        let resource = kubernetes::resolve(&client, &at).await.expect("a kind");
        let api = resource.endpoint(&client, Some(namespace));
        api.delete(name, &DeleteParams::default()).await.expect("removed");
    });
}

#[test]
fn what_somebody_removed_is_told_and_put_back() {
    const SYSTEM: &str = "103020-flytepoc-dev";
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let ports = &machine.ports.iter().map(String::as_str).collect::<Vec<_>>();
    let asked = |command: &str, code: i32| -> Value {
        let args = [&[command, "--engine", "rehearsal", "-o", "json"][..], ports].concat();
        serde_json::from_str(&machine.run(&args).exits(code).out()).expect("JSON")
    };
    assert_eq!(asked("status", 0)["spec"], "unchanged");

    // Nothing that smoke looks at needs it.
    let kubeconfig = machine.run(&["kubeconfig"]).exits(0).out();
    remove(&kubeconfig, ["v1", "ConfigMap", SYSTEM, "kubernetes-dashboard-settings"]);
    let gone = format!("configmap {SYSTEM}/kubernetes-dashboard-settings");
    let status = asked("status", 5);
    assert_eq!((&status["phase"], &status["spec"]), (&"not-ready".into(), &"drifted".into()));
    let created = &asked("plan", 0)["running"]["created"];
    assert!(created.as_array().is_some_and(|all| all.len() == 1), "{created}");

    let events = machine.up(&[]).exits(0).events();
    let made: Vec<_> =
        events.iter().filter(|event| event["change"] == "created").map(|event| &event["object"]).collect();
    assert_eq!(made, [&Value::from(gone)]);
    assert_eq!(asked("status", 0)["spec"], "unchanged");
}

#[test]
fn keys_that_somebody_issues_open_their_buckets() {
    let machine = Machine::new();
    let write = |name: &str, text: &str| fs::write(machine.folder.path().join(name), text).expect("written");
    write("sandbox.yaml", "storage: {credentials: {file: \"{project}.json\"}}\n");
    for project in ["x", "y"] {
        write(&format!("{project}.json"), &format!(r#"{{"accessKey": "of-{project}", "secretKey": "issued-key"}}"#));
    }
    machine.up(&[]).exits(0);
    assert!(machine.run(&["credentials", "--project", "y"]).exits(0).out().contains("of-y"));
}

#[test]
fn the_manifests_of_other_releases_are_explained_and_come_up() {
    for release in [&RELEASES[0], &RELEASES[RELEASES.len() - 1]] {
        let machine = Machine::new();
        let file = machine.folder.path().join("release.yaml");
        fs::write(&file, release.manifests()).expect("written");
        let from = ["--manifests", file.to_str().expect("text")];
        let explained = machine.run(&[&["render", "--explain", "-o", "json"], from.as_slice()].concat()).exits(0).out();
        let explained: Value = serde_json::from_str(&explained).expect("JSON");
        let whom = |list: &str, name: &str| {
            explained[list].as_array().expect("a list").iter().any(|one| one["object"]["name"] == name)
        };
        assert!(whom("changes", "flyte-pod-webhook") && whom("warnings", "flyte-pod-webhook"), "{explained}");
        assert!(whom("deviations", "flyteadmin"), "{explained}");
        let told = machine.run(&[&["render", "--explain"], from.as_slice()].concat()).exits(0).out();
        assert!(told.contains("\nkept: the built-in manifests say otherwise"), "{told}");
        machine.up(&from).exits(0);
    }
}

#[test]
fn a_rehearsal_that_is_told_to_fail_ends_as_the_real_thing_does() {
    let machine = Machine::new();
    let fault = "pod=flyteadmin,reason=CrashLoopBackOff,message=panic: the database, it is gone";
    let failure = machine.up(&["--rehearse-fault", fault]).exits(9).failure();
    assert_eq!(failure["reason"], "pod-crash");
    let causes = failure["causes"].as_array().expect("causes");
    assert!(
        causes.last().is_some_and(|first| first == "its last words: panic: the database, it is gone"),
        "{causes:?}"
    );
    let evidence = PathBuf::from(failure["folder"].as_str().expect("evidence"));
    let index = fs::read_to_string(evidence.join("index.md")).expect("an index");
    assert!(index.contains("rehearsal") && index.contains("flyteadmin"), "{index}");
    assert_eq!(folders(&machine.state()), ["failures", "machine.key", "recorded.runs"], "the rest is undone");

    let failure = machine.up(&["--rehearse-fault", "workflow=failed,message=no luck"]).exits(10).failure();
    assert!(failure.to_string().contains("no luck"), "{failure}");
}

#[test]
fn one_whose_process_was_killed_is_stopped_and_up_makes_it_anew() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let player = machine.player();
    assert!(Command::new("/bin/kill").args(["-KILL", &player.to_string()]).status().expect("it runs").success());
    await_end(player);
    let status: Value = serde_json::from_str(&machine.run(&["status", "-o", "json"]).exits(5).out()).expect("JSON");
    assert_eq!(status["phase"], "stopped");
    let hint = machine.run(&["smoke", "-o", "json"]).exits(13).failure();
    assert!(hint.to_string().contains("the rehearsal's process has ended"), "{hint}");
    machine.up(&[]).exits(0);
    assert_ne!(machine.player(), player);
}

#[test]
fn what_a_rehearsal_was_not_asked_for_is_refused_and_it_goes_on() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let player = machine.player();
    let other = machine.up(&["--rehearse-fault", "pod=minio,reason=OOMKilled"]).exits(3).failure();
    assert_eq!(other["reason"], "sandbox-differs");
    assert_eq!(machine.run(&["up", "-o", "json"]).exits(3).failure()["reason"], "sandbox-differs");
    let taken = machine.up(&["--name", "second"]).exits(3).failure();
    assert_eq!(taken["reason"], "port-taken");
    assert!(taken["causes"].to_string().contains(&format!("process {player}")), "{taken}");
    assert_eq!(folders(&machine.state()), ["flyte", "flyte.lock", "machine.key", "recorded.runs"]);
    machine.run(&["smoke"]).exits(0);
}

#[test]
fn only_a_rehearsal_can_be_told_to_fail_and_only_in_words_that_are_known() {
    let machine = Machine::new();
    let hint = machine.run(&["up", "--rehearse-fault", "workflow=ignored", "--engine", "docker"]).exits(2);
    assert!(String::from_utf8_lossy(&hint.0.stderr).contains("only a rehearsal can be told to fail"));
    let ran = machine.up(&["--rehearse-fault", "pod=minio,reason=Sad"]).exits(2);
    assert!(ran.out().contains("reason `Sad` is not known"), "{}", ran.out());
    assert!(!machine.state().join("flyte").exists());
}

#[test]
fn down_of_a_name_that_is_mistyped_names_the_sandboxes_there_are() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let ended = machine.run(&["down", "--name", "flyt", "--engine", "rehearsal", "-o", "json"]).exits(0).events().pop();
    let summary = ended.expect("events")["summary"].as_str().expect("text").to_owned();
    assert!(summary.ends_with("there is no sandbox flyt; other sandboxes: flyte"), "{summary}");
}

#[test]
fn down_is_a_success_where_there_is_nothing_and_no_docker() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    machine.run(&["down"]).exits(0);
    // As a CI job says it in its `if: always()` step.
    machine.run(&["down", "--engine", "rehearsal"]).exits(0);
    fs::write(machine.folder.path().join("sandbox.yaml"), "engine: rehearsal").expect("written");
    machine.run(&["down"]).exits(0);
    assert_eq!(
        machine.run(&["status"]).exits(13).out(),
        "sandbox flyte is not there; `sandbox up --name flyte` makes it\n"
    );
}

#[test]
fn a_rehearsal_of_another_version_can_be_seen_and_removed() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let player = machine.player();
    let config = machine.state().join("flyte/rehearsal.json");
    let text = fs::read_to_string(&config).expect("there");
    for (other, code) in [(text.replace("\"faults\"", "\"mistakes\""), 0), ("{}".to_owned(), 3)] {
        fs::write(&config, other).expect("written");
        assert!(machine.run(&["status"]).exits(0).out().contains("sandbox flyte is ready"));
        machine.up(&[]).exits(code);
        assert!(lives(player));
    }
    machine.run(&["down"]).exits(0);
    assert!(!lives(player));
}

#[test]
fn doctor_leaves_the_folder_of_a_sandbox_that_comes_up_beside_it() {
    let machine = Machine::new();
    let socket = machine.folder.path().join("silent.sock");
    let silent = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .env_clear()
        .env("SANDBOX_STATE_DIR", machine.state())
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .args(["doctor", "--engine", "docker", "-q"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it runs");
    // It has looked at the state folder when it asks Docker, which does not answer for two seconds.
    silent.set_nonblocking(true).expect("set");
    let asked = wait_for("doctor asks", || silent.accept().ok());
    machine.up(&[]).exits(0);
    let ended = wait_for("doctor ends", || doctor.try_wait().expect("it can be asked"));
    assert_eq!(ended.code(), Some(4));
    drop(asked);
    assert!(machine.run(&["status"]).exits(0).out().contains("sandbox flyte is ready"));
}

/// An issuer of keys that says when it is asked, and answers when it is told to.
const ISSUER: &str = "echo asked >>asked; until [ -e go ]; do sleep 0.05; done; \
                      echo '{\"accessKey\": \"of-'$0'\", \"secretKey\": \"issued-key\", \"expiresAt\": \"'$(date -u -d +90days +%FT%TZ)'\"}'";

fn with_issuer(machine: &Machine) {
    let command = serde_json::json!([
        "/bin/sh",
        "-c",
        format!("cd '{}'; {ISSUER}", machine.folder.path().display()),
        "{project}"
    ]);
    let spec = format!("storage: {{credentials: {{command: {command}}}}}\n");
    fs::write(machine.folder.path().join("sandbox.yaml"), spec).expect("written");
}

#[test]
fn nobody_issues_keys_to_a_run_that_another_keeps_out() {
    let machine = Machine::new();
    with_issuer(&machine);
    fs::write(machine.folder.path().join("go"), "").expect("written");
    machine.up(&[]).exits(0);
    machine.run(&["down"]).exits(0);
    fs::remove_file(machine.folder.path().join("asked")).expect("asked before");
    let held = fs::File::create(machine.state().join("flyte.lock")).expect("a lock");
    held.try_lock().expect("free");
    machine.up(&[]).exits(11);
    assert!(!machine.folder.path().join("asked").exists());
}

#[test]
fn a_project_cannot_come_while_keys_are_renewed() {
    let machine = Machine::new();
    with_issuer(&machine);
    let (go, asked) = (machine.folder.path().join("go"), machine.folder.path().join("asked"));
    fs::write(&go, "").expect("written");
    machine.up(&[]).exits(0);
    fs::remove_file(&go).expect("removed");
    fs::remove_file(&asked).expect("asked before");
    std::thread::scope(|scope| {
        let renewal = scope.spawn(|| machine.run(&["credentials", "renew", "--within", "365d"]));
        wait_for("keys are asked for", || {
            assert!(!renewal.is_finished(), "the renewal ended before it asked for keys");
            asked.exists().then_some(())
        });
        machine.run(&["project", "add", "z"]).exits(11);
        fs::write(&go, "").expect("written");
        renewal.join().expect("no panic").exits(0);
    });
    machine.run(&["project", "add", "z"]).exits(0);
    assert!(machine.run(&["credentials", "--project", "z"]).exits(0).out().contains("of-z"));
}

#[test]
fn a_workflow_that_a_user_made_is_the_apis_to_answer_for() {
    let path = "/apis/flyte.lyft.com/v1alpha1/namespaces/103020-flytepoc-x-d-dev/flyteworkflows/by-hand";
    for method in [Method::GET, Method::DELETE, Method::PATCH] {
        assert_eq!(Executions::default().kubernetes(&Spec::default(), &method, path, ""), None, "{method}");
    }
}

#[test]
fn an_access_key_is_read_from_a_signed_url_as_it_was_before_it_was_escaped() {
    let mut spec = Spec::default();
    spec.storage.access_key = "a$b+d".to_owned();
    let credential = "X-Amz-Credential=a%24b%2Bd%2F20210601%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=1";
    let uri: Uri = format!("/{}?{credential}", spec.storage.bucket).parse().expect("a URI");
    let answer = Minio::default().answer(&spec, &Method::HEAD, &uri, &HeaderMap::new(), Bytes::new());
    assert_eq!(answer.status(), StatusCode::OK);
}
