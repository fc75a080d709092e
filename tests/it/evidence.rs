//! Evidence of sandboxes in every state, from a Docker daemon and a Kubernetes API in memory.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flyte_sandbox::docker::Docker;
use flyte_sandbox::evidence::{EvidenceRequest, collect};
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::lifecycle::{self, Options, Request};
use flyte_sandbox::manifest::Bundle;
use flyte_sandbox::plan::Plan;
use flyte_sandbox::release::Release;
use flyte_sandbox::render::render;
use flyte_sandbox::report::Stage;
use flyte_sandbox::run::{Deadline, Run};
use flyte_sandbox::site::Host;
use flyte_sandbox::smoke::Executions;
use flyte_sandbox::spec::Spec;
use flyte_sandbox::state::StateRoot;
use serde_json::{Value, json};

use crate::support::docker::{FakeDocker, World, node, run, volume};
use crate::support::ports::reserve;
use crate::support::wait::until;
use flyte_sandbox::rehearsal::{Answer, ApiServer, Faults};

/// In everything that is collected here.
const SECRET: &str = "never-to-be-seen/2026";

fn request() -> Request {
    let mut spec = Spec::default();
    spec.storage.secret_key = flyte_sandbox::spec::Secret::new(SECRET);
    Request { spec, bundle: Bundle::embedded(Release::default()).expect("manifests") }
}

fn plan() -> Plan {
    let Request { spec, bundle } = request();
    let rendered = render(&spec, bundle).expect("rendered");
    Plan::new(spec, rendered).expect("a plan")
}

/// A failure whose own words have the secret in them.
fn failure() -> Failure {
    Failure::new(Reason::WorkloadStuck, "a workload cannot start")
        .on("deployment n/flyteadmin")
        .because("the database does not take the password")
        .evidence([format!("dial postgres://flyte:{SECRET}@postgres")])
}

/// An API with a pod that has fallen over once, and an event about it.
async fn api() -> ApiServer {
    let api = ApiServer::start(21).await.expect("a free port");
    api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "k3d-flyte-server-0"}}));
    api.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "flyteadmin-1", "namespace": "n",
            "managedFields": [{"manager": "x"}]},
        "spec": {"containers": [{"name": "flyteadmin", "env": [{"name": "DB_PASSWORD", "value": "short"}]}]},
        "status": {"phase": "Running", "containerStatuses": [
            {"name": "flyteadmin", "restartCount": 1, "ready": false, "state": {"running": {}}}]}}));
    api.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "n"},
        "type": "Warning", "reason": "BackOff", "message": format!("with {SECRET}"), "count": 3,
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "involvedObject": {"kind": "Pod", "namespace": "n", "name": "flyteadmin-1"}}));
    api.log("flyteadmin-1", "flyteadmin", false, "this life\n");
    api.log("flyteadmin-1", "flyteadmin", true, &format!("the life before, with {SECRET}\n"));
    api
}

/// A daemon with a node whose API is this one.
async fn docker(api: &ApiServer) -> FakeDocker {
    let kubeconfig = api.kubeconfig();
    let port: u16 =
        kubeconfig.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('"').next()?.parse().ok()).expect("a port");
    let mut node = node("flyte", Some("flyte"), "running");
    node["Ports"] = json!([{ "IP": "127.0.0.1", "PrivatePort": 6443, "PublicPort": port, "Type": "tcp" }]);
    node["Env"] = json!(["K3S_TOKEN=abc", format!("OTHER={SECRET}")]);
    let name = "k3d-flyte-server-0".to_owned();
    let of = |attributes: Value| json!({ "Type": "container", "Action": "start", "Actor": { "ID": "1", "Attributes": attributes } });
    FakeDocker::start(World {
        containers: vec![node],
        networks: vec![json!({ "Name": "k3d-flyte", "Id": "n1", "Labels": { "app": "k3d" } })],
        volumes: vec![volume("k3d-flyte-images", json!({ "k3d.cluster": "flyte" }), "2026-01-01T00:00:00Z")],
        logs: [(name.clone(), format!("Starting k3s with {SECRET}\n"))].into(),
        // What a reader takes for the sign that the file is whole.
        files: [(format!("{name}:/output/kubeconfig.yaml"), format!("# no client-key-data\n{kubeconfig}\n"))].into(),
        events: vec![
            of(json!({ "k3d.cluster": "flyte", "name": name, "secretKey": "abc" })),
            of(json!({ "k3d.cluster": "other", "name": "k3d-other-server-0" })),
            of(json!({ "k3d.cluster": "flyte", "name": name, "execID": "1" })),
            of(json!({ "name": "k3d-flyte", "type": "bridge" })),
        ],
        ..World::default()
    })
    .await
}

fn subject<'a>(docker: Result<&'a Docker, &'a Failure>, plan: &'a Plan, failure: &'a Failure) -> EvidenceRequest<'a> {
    EvidenceRequest {
        name: "flyte",
        why: Err(failure),
        plan: Ok(plan),
        kubeconfig: None,
        docker,
        attached: None,
        engine: Ok("k3d v5.9.0".to_owned()),
        secrets: Vec::new(),
        since: SystemTime::UNIX_EPOCH,
        last_run: None,
    }
}

/// A run that has said something already.
fn told() -> Run {
    let run = run();
    run.report.progress(Stage::Cluster, format!("k3d: with {SECRET}"));
    run.report.record_output(format!("level=info msg=\"with {SECRET}\""));
    run
}

/// Every file of a folder, by its path in it.
fn read(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().into_string().expect("text");
        if entry.path().is_dir() {
            found.extend(read(&entry.path()).into_iter().map(|(path, text)| (format!("{name}/{path}"), text)));
        } else {
            found.insert(name, std::fs::read_to_string(entry.path()).expect("text"));
        }
    }
    found
}

async fn collected(subject: &EvidenceRequest<'_>, run: &Run) -> (tempfile::TempDir, BTreeMap<String, String>) {
    let state = tempfile::tempdir().expect("a folder");
    let root = StateRoot::new(state.path().to_owned());
    let folder = collect(subject, &root, run).await.expect("a folder");
    assert!(folder.starts_with(state.path().join("failures/flyte")), "{}", folder.display());
    let files = read(&folder);
    (state, files)
}

#[tokio::test]
async fn all_there_is_to_know_is_in_one_folder_and_no_secret_is() {
    let (api, plan, failure) = (api().await, plan(), failure());
    let fake = docker(&api).await;
    let docker = fake.connect().await;
    let (_state, files) = collected(&subject(Ok(&docker), &plan, &failure), &told()).await;
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "docker/container-k3d-flyte-server-0.json",
            "docker/daemon.json",
            "docker/events.ndjson",
            "docker/network-k3d-flyte.json",
            "docker/volume-k3d-flyte-images.json",
            "failure.json",
            "index.html",
            "index.md",
            "k3d.log",
            "kubernetes/events.txt",
            "kubernetes/nodes.json",
            "kubernetes/version.json",
            "manifests.yaml",
            "node.log",
            "plan.json",
            "pods.txt",
            "pods/n/flyteadmin-1.flyteadmin.log",
            "pods/n/flyteadmin-1.flyteadmin.previous.log",
            "pods/n/flyteadmin-1.json",
            "run.ndjson",
            "versions.json",
        ]
    );
    for (name, text) in &files {
        assert!(!text.contains(SECRET), "{name}: {text}");
    }
    let index = &files["index.md"];
    assert!(
        index.starts_with("# the database does not take the password\n\n* on: deployment n/flyteadmin\n"),
        "{index}"
    );
    for name in names.iter().filter(|name| **name != "index.md") {
        assert!(index.contains(&format!("| `{name}` |")), "the index lacks {name}");
    }
    assert!(!index.contains("## What could not be had"), "{index}");
    assert_eq!(
        files["docker/events.ndjson"].lines().count(),
        2,
        "another cluster's are not ours, and commands no event"
    );
    assert!(files["pods/n/flyteadmin-1.flyteadmin.previous.log"].contains(" the life before, with ***"));
    let pod: Value = serde_json::from_str(&files["pods/n/flyteadmin-1.json"]).expect("JSON");
    assert_eq!(pod["spec"]["containers"][0]["env"][0]["value"], "***");
    assert!(pod["metadata"]["managedFields"].is_null());
    let container: Value = serde_json::from_str(&files["docker/container-k3d-flyte-server-0.json"]).expect("JSON");
    assert_eq!(container["Config"]["Env"], json!(["K3S_TOKEN=***", "OTHER=***"]));
    let versions: Value = serde_json::from_str(&files["versions.json"]).expect("JSON");
    assert_eq!((&versions["engine"], &versions["Docker"]), (&json!("k3d v5.9.0"), &json!("20.10.24")));
    assert_eq!(versions["Kubernetes"], "v1.21.0+rehearsal");
    let plan: Value = serde_json::from_str(&files["plan.json"]).expect("JSON");
    assert_eq!(plan["spec"]["storage"].get("secretKey"), None, "a secret is not written at all");
    assert!(files["manifests.yaml"].contains("kind: Deployment") && files["run.ndjson"].starts_with("{\"at_ms\":"));
}

/// Pods of a namespace, each with a container that runs.
fn crowd(api: &ApiServer, namespace: &str, pods: usize) {
    for number in 0..pods {
        api.put(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("{namespace}-{number:03}"), "namespace": namespace},
            "status": {"containerStatuses": [{"name": "c", "restartCount": 0, "ready": true, "state": {"running": {}}}]}}));
    }
}

fn asked_for_logs(api: &ApiServer) -> usize {
    api.requests().iter().filter(|request| request.contains("/log")).count()
}

#[tokio::test]
async fn logs_are_asked_for_until_the_folder_is_full_and_no_longer() {
    let (api, plan, failure) = (api().await, plan(), failure());
    crowd(&api, "busy", 60);
    let line = format!("{}\n", "0123456789abcde ".repeat(64));
    for number in 0..60 {
        api.log(&format!("busy-{number:03}"), "c", false, &line.repeat(1100));
    }
    let fake = docker(&api).await;
    let docker = fake.connect().await;
    let (_state, files) = collected(&subject(Ok(&docker), &plan, &failure), &told()).await;
    let total: usize = files.values().map(String::len).sum();
    assert!((14 << 20..=20 << 20).contains(&total), "{total}");
    assert!(asked_for_logs(&api) <= 32, "{} logs for a folder of 20 MiB", asked_for_logs(&api));
    for name in ["node.log", "manifests.yaml", "kubernetes/events.txt", "pods.txt", "docker/daemon.json"] {
        assert!(files.contains_key(name), "{name} is not there");
    }
    assert!(files.contains_key("pods/n/flyteadmin-1.flyteadmin.previous.log"), "what fell over comes first");
    let index = &files["index.md"];
    let (_, missing) = index.split_once("## What could not be had").expect("the list");
    assert!(missing.contains("the folder would have more than 20 MiB"), "{missing}");
}

#[tokio::test]
async fn the_limit_of_pods_holds_over_all_namespaces() {
    let (api, plan, failure) = (api().await, plan(), failure());
    let namespaces = ["a", "b", "c"].map(str::to_owned);
    for namespace in &namespaces {
        crowd(&api, namespace, 90);
    }
    let client = flyte_sandbox::kubernetes::client(&api.kubeconfig()).expect("a client");
    let none = Failure::new(Reason::DockerRefused, "not asked");
    let attached = Some(flyte_sandbox::evidence::AttachedCluster { client: &client, namespaces: namespaces.into() });
    let subject = EvidenceRequest { attached, ..subject(Err(&none), &plan, &failure) };
    let (_state, files) = collected(&subject, &told()).await;
    let pods = files.keys().filter(|name| name.starts_with("pods/") && name.ends_with(".json")).count();
    assert_eq!((pods, asked_for_logs(&api)), (200, 200));
    assert!(files["index.md"].contains("further pods: there are more than 200"), "{}", files["index.md"]);
}

#[tokio::test]
async fn a_source_that_cannot_be_had_is_noted_and_the_others_are_there() {
    let (api, plan, failure) = (api().await, plan(), failure());
    api.fail("GET /api/v1/events", 9, Answer::status(503, "etcd is away"));
    api.fail("/flyteadmin-1/log", 9, Answer::Broken);
    let fake = docker(&api).await;
    fake.world().events_hang = true;
    let docker = fake.connect().await;
    let run = Run { deadline: Deadline::after(Duration::from_secs(3)), ..told() };
    let (_state, files) = collected(&subject(Ok(&docker), &plan, &failure), &run).await;
    let index = &files["index.md"];
    let (_, missing) = index.split_once("## What could not be had").expect("the list");
    for (what, why) in [
        ("Docker events", "timed out after 3s (`--timeout`)"),
        ("Kubernetes events", "etcd is away"),
        ("log of container flyteadmin of pod n/flyteadmin-1, in its previous life", ""),
    ] {
        let line = missing.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what}: {missing}"));
        assert!(line.contains(why), "{line}");
    }
    for name in ["node.log", "pods.txt", "kubernetes/nodes.json", "docker/daemon.json", "manifests.yaml"] {
        assert!(files.contains_key(name), "{name} is not there");
    }
}

#[tokio::test]
async fn without_an_api_or_a_node_or_docker_there_is_still_a_folder() {
    let (plan, failure) = (plan(), failure());
    let gone = ApiServer::at("127.0.0.1:1", 21);
    let fake = docker(&gone).await;
    let connection = fake.connect().await;
    let (_state, files) = collected(&subject(Ok(&connection), &plan, &failure), &told()).await;
    assert!(files.contains_key("node.log") && !files.contains_key("pods.txt"));
    assert!(
        files["index.md"].contains("* all that Kubernetes knows: events, pods, their logs: "),
        "{}",
        files["index.md"]
    );

    fake.world().containers.clear();
    let (_state, files) = collected(&subject(Ok(&connection), &plan, &failure), &told()).await;
    assert!(!files.contains_key("node.log") && files.contains_key("docker/network-k3d-flyte.json"));
    assert!(files["index.md"].contains("* log of container k3d-flyte-server-0: "), "{}", files["index.md"]);

    let none = Failure::new(Reason::DockerRefused, "Docker does not answer");
    let (_state, files) = collected(&subject(Err(&none), &plan, &failure), &told()).await;
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "failure.json",
            "index.html",
            "index.md",
            "k3d.log",
            "manifests.yaml",
            "plan.json",
            "run.ndjson",
            "versions.json"
        ]
    );
    let index = &files["index.md"];
    assert!(index.contains("* all that Docker and Kubernetes know: Docker does not answer"), "{index}");
    assert!(index.starts_with("# the database does not take the password\n"));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_a_failure_that_says_where() {
    let state = tempfile::tempdir().expect("a folder");
    std::fs::write(state.path().join("failures"), "in the way").expect("a file");
    let (plan, failure) = (plan(), failure());
    let none = Failure::new(Reason::DockerRefused, "Docker does not answer");
    let root = StateRoot::new(state.path().to_owned());
    let refused = collect(&subject(Err(&none), &plan, &failure), &root, &run()).await.expect_err("no folder");
    assert_eq!(refused.reason, Reason::StateUnwritable);
    assert_eq!(refused.object, Some(state.path().display().to_string()));
}

/// A machine whose k3d says why it fails, as soon as `go` is there.
fn host(folder: &Path, docker_host: &str) -> Host {
    let k3d = folder.join("k3d");
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in version) echo 'k3d version v5.9.0'; exit;; esac\n>{0}/asked\nwhile ! test -e {0}/go; do sleep 0.05; done\n\
         echo 'time=\"t\" level=error msg=\"no room for {SECRET}\"' >&2\nexit 1\n",
        folder.display()
    );
    std::fs::write(&k3d, script).expect("a script");
    std::fs::set_permissions(&k3d, std::fs::Permissions::from_mode(0o755)).expect("a program");
    let variables = [
        ("PATH".to_owned(), format!("{}:/usr/bin:/bin", folder.display())),
        ("DOCKER_HOST".to_owned(), docker_host.to_owned()),
    ];
    Host {
        home: None,
        variables: variables.into(),
        state: StateRoot::new(folder.join("state")),
        program: "sandbox".into(),
        clients: Default::default(),
    }
}

#[tokio::test]
async fn what_cannot_be_undone_is_told_beside_the_first_failure_and_the_evidence_was_there_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = plan();
    let images = std::iter::once(&plan.cluster.node_image).chain(plan.all_images());
    let images = images.map(|image| (image.to_string(), "sha256:1".to_owned())).collect();
    let fake = FakeDocker::start(World { images, ..World::default() }).await;
    let host = host(folder.path(), &fake.host);
    let (asked, go) = (folder.path().join("asked"), folder.path().join("go"));
    let run = run();
    let options = Options {
        keep: false,
        fresh: false,
        cold: false,
        prune: lifecycle::Prune::default(),
        bundle: None,
        restore: None,
        from: None,
        store: false,
        executions: Executions::None,
        ttl: None,
        faults: Faults::default(),
    };
    let interfere = async {
        until("k3d is asked", || asked.exists()).await;
        let mut world = fake.world();
        world.networks.push(json!({ "Name": "k3d-flyte", "Id": "n1", "Labels": { "app": "k3d" } }));
        world.stuck.insert("k3d-flyte".to_owned());
        std::fs::write(go, "").expect("a file");
    };
    // A sandbox of this machine may be on the default ports.
    let mut request = request();
    [request.spec.ports.console, request.spec.ports.dashboard, request.spec.ports.minio] = reserve();
    let up = Box::pin(lifecycle::up(request, &host, options, &run));
    let early = async {
        interfere.await;
        std::future::pending::<()>().await;
    };
    let done = tokio::select! {
        done = up => done,
        () = early => unreachable!("it does not end"),
    };
    let failure = done.expect_err("k3d fails");
    assert_eq!((failure.reason, failure.exit_code()), (Reason::K3d, 12), "{failure}");
    assert_eq!(failure.causes, [format!("no room for {SECRET}")]);
    assert_eq!(failure.leftovers, ["network k3d-flyte"]);
    assert!(failure.next_steps().iter().any(|step| step.contains("sandbox down --name flyte")), "{failure:?}");
    let files = read(Path::new(&failure.folder.expect("a folder")));
    assert!(files["index.md"].starts_with("# no room for ***\n"), "{}", files["index.md"]);
    assert!(files["k3d.log"].contains("$ k3d cluster create flyte"), "{}", files["k3d.log"]);
    assert!(files["k3d.log"].contains("no room for ***"), "{}", files["k3d.log"]);
    assert!(files.contains_key("docker/network-k3d-flyte.json"), "{:?}", files.keys());

    let diagnosis = Box::pin(lifecycle::diagnose("flyte", Ok(&plan), &host, &run)).await.expect("half of a sandbox");
    assert!(diagnosis.fresh);
    assert!(read(&diagnosis.folder)["index.md"].starts_with("# the sandbox is half made: there is no node\n"));
    *fake.world() = World::default();
    let earlier = Box::pin(lifecycle::diagnose("flyte", Ok(&plan), &host, &run)).await.expect("evidence of before");
    assert_eq!((&earlier.folder, earlier.fresh), (&diagnosis.folder, false));
    let nobody = Box::pin(lifecycle::diagnose("nobody", Ok(&plan), &host, &run)).await.expect_err("nothing at all");
    assert_eq!(nobody.reason, Reason::NotFound);

    let alone = self::host(folder.path(), "tcp://127.0.0.1:1");
    let unasked =
        Box::pin(lifecycle::diagnose("nobody", Ok(&plan), &alone, &run)).await.expect("who knows what there is");
    let index = &read(&unasked.folder)["index.md"];
    assert!(unasked.fresh && index.starts_with("# Docker does not answer (tcp://127.0.0.1:1)"), "{index}");
}
