//! From `up` to `down`, with all that comes between.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Scenario;
use super::backup::executions;
use crate::support::browser;
use crate::support::cluster;
use crate::support::docker::{belongings, docker, stores, try_docker};
use crate::support::ground::{Ground, Major, Wish};
use crate::support::ran::{applied, outcome};
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] = &[
    ("a_sandbox_lives_from_up_to_down_and_leaves_nothing", whole),
    ("images_are_kept_from_one_sandbox_to_the_next", store),
    ("a_sandbox_made_with_k3d_4_works_and_leaves_nothing", with_k3d_4),
    ("a_sandbox_on_a_current_kubernetes_works_and_leaves_nothing", on_current),
    ("a_sandbox_made_through_docker_works_and_k3d_takes_it_for_one_of_its_own", with_docker),
];

fn whole() {
    let sandbox = Sandbox::new("life", &Ground::find(Wish::Real, Major::Five));
    let events = sandbox.up(&[]).exits(0).events();
    for stage in ["plan", "preflight", "cluster", "apply", "rollout", "smoke"] {
        assert_eq!(outcome(&events, stage), "passed", "{stage}");
    }
    // Unchanged where the machine's store has them from an earlier sandbox.
    assert!(["passed", "unchanged"].contains(&outcome(&events, "images")));
    let made = applied(&events, "created").len();
    assert!(made > 80, "{made} objects made");
    let probes = events.iter().filter(|event| event["event"] == "probe" && event["outcome"] == "passed");
    assert_eq!(probes.count(), 20, "17 checks, and a workflow in the first project and domain");
    let node = sandbox.node_id();

    sandbox.run(&["smoke"]).exits(0).says("17 of 17 checks").says("is a working Flyte");
    sandbox.run(&["smoke", "--full"]).exits(0).says("35 of 35 checks; 6 workflows ran");
    browser::shows_projects(&sandbox, &["x", "y"]);

    let again = sandbox.up(&[]).exits(0).events();
    assert_eq!(again.last().expect("events")["outcome"], "unchanged");
    assert_eq!(outcome(&again, "apply"), "absent", "there is nothing to apply");
    assert_eq!(sandbox.node_id(), node);

    let elsewhere = (sandbox.ports[2] + 1).to_string();
    sandbox.run(&["up", "--port-minio", &elsewhere]).exits(3).says("minio is published on port ");
    assert_eq!(sandbox.node_id(), node);

    assert_eq!(cluster::differences_to_the_double(&sandbox), Vec::<String>::new());
    if sandbox.ground.is_real() {
        only_who_talks_to_kubernetes_has_a_token(&sandbox);
    }
    meddled_with(&sandbox);

    sandbox.run(&["status"]).exits(0).says("is ready").says("would change nothing");
    sandbox.run(&["status", "--project", "x,y,z"]).exits(0).says("would apply the difference");

    let more = sandbox.up(&["--project", "x,y,z"]).exits(0).events();
    let created = applied(&more, "created");
    assert!(created.iter().all(|object| object.contains("-z")), "{created:?}");
    assert_eq!(created.iter().filter(|object| object.starts_with("namespace ")).count(), 3);
    assert!(applied(&more, "unchanged").len() > 60, "all else stays");
    assert_eq!(applied(&more, "pruned"), Vec::<&str>::new());

    let less = sandbox.up(&[]).exits(0).events();
    let pruned = applied(&less, "pruned");
    assert_eq!(pruned.iter().filter(|object| object.starts_with("namespace ")).count(), 3, "{pruned:?}");
    assert!(pruned.iter().all(|object| object.contains("-z")), "{pruned:?}");
    assert_eq!(applied(&less, "created"), Vec::<&str>::new());
    assert_eq!(sandbox.node_id(), node);

    sandbox.run(&["down"]).exits(0).says("is gone");
    sandbox.assert_gone();
    sandbox.run(&["down"]).exits(0).says(&format!("there is no sandbox {}", sandbox.name));
    sandbox.run(&["status"]).exits(13);
    sandbox.assert_gone();
}

/// Admission mounts it where neither pod nor ServiceAccount refuses; stand-ins have no admission. Propellers leave a task's
/// pod to the default account of its namespace, as this one is; those of workflows that ran may be there still.
fn only_who_talks_to_kubernetes_has_a_token(sandbox: &Sandbox) {
    const TASKS: &str = "103020-flytepoc-x-d-dev";
    for (pod, has_token) in cluster::tokens(sandbox, "103020-flytepoc-dev") {
        let talks = ["flyteadmin-", "flytepropeller-", "kubernetes-dashboard-"];
        assert_eq!(has_token, talks.iter().any(|name| pod.starts_with(name)), "{pod}");
    }
    let task = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "e2e-task", "namespace": TASKS},
        "spec": {"containers": [{"name": "e2e-task", "image": "rancher/pause:3.1"}]}});
    cluster::apply(sandbox, &task);
    let tasks = cluster::tokens(sandbox, TASKS);
    assert!(tasks.contains_key("e2e-task") && tasks.values().all(|has_token| !has_token), "{tasks:?}");
    cluster::delete(sandbox, ["v1", "Pod", TASKS, "e2e-task"]);
}

/// What others break in a sandbox is seen, named, and mended.
fn meddled_with(sandbox: &Sandbox) {
    const SYSTEM: &str = "103020-flytepoc-dev";
    const RBAC: &str = "rbac.authorization.k8s.io/v1";
    cluster::apply(
        sandbox,
        &json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "e2e-too-wide"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]}),
    );
    cluster::apply(
        sandbox,
        &json!({"apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": "e2e-too-wide"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "e2e-too-wide"},
            "subjects": [{"kind": "ServiceAccount", "name": "flyteadmin", "namespace": SYSTEM}]}),
    );
    let wide = sandbox.run(&["smoke"]).exits(10).says("clusterrolebinding e2e-too-wide");
    wide.says("flyteadmin get secrets").says("2 of 17 smoke checks failed");
    for kind in ["ClusterRoleBinding", "ClusterRole"] {
        cluster::delete(sandbox, [RBAC, kind, "", "e2e-too-wide"]);
    }
    sandbox.run(&["smoke"]).exits(0);

    cluster::delete(sandbox, ["apps/v1", "Deployment", SYSTEM, "flyteconsole"]);
    sandbox.run(&["status"]).exits(5).says("flyteconsole");
    let mended = sandbox.up(&[]).exits(0).events();
    assert_eq!(applied(&mended, "created"), [format!("deployment {SYSTEM}/flyteconsole")]);
    // The dashboard writes its keys over this one, labels and all.
    let changed: Vec<_> =
        applied(&mended, "changed").into_iter().filter(|name| !name.ends_with("-key-holder")).collect();
    assert_eq!(changed, Vec::<&str>::new());
    sandbox.run(&["smoke"]).exits(0);
}

fn store() {
    let sandbox = Sandbox::new("store", &Ground::find(Wish::StandIn, Major::Five));
    let before = stores();
    let keys: BTreeSet<_> = before.iter().filter_map(|store| Some(store.rsplit_once('-')?.0)).collect();
    if keys.len() > 1 {
        println!("NOT TRIED: this machine's stores {} would have to make room for one of stand-ins", before.join(", "));
        return;
    }
    let (name, node) = (format!("{}-task:1", sandbox.name), sandbox.node());
    let up = || {
        let events = sandbox.run(&["up", "--output", "json"]).exits(0).events();
        // What is in the store of an earlier sandbox is not in a new one.
        let listed = docker(&["exec", &node, "crictl", "images", "-o", "json"]);
        assert!(listed.contains("minio") && !listed.contains(&name), "{listed}");
        let layer = sandbox.path("task.tar");
        tar::Builder::new(File::create(&layer).expect("a file")).finish().expect("an archive");
        docker(&["import", &layer.to_string_lossy(), &name]);
        let import = format!("docker save {name} | docker exec -i {node} ctr -n k8s.io images import -");
        let done = Command::new("sh").args(["-c", &import]).status();
        docker(&["image", "rm", &name]);
        assert!(done.is_ok_and(|done| done.success()));
        assert!(docker(&["exec", &node, "crictl", "images", "-o", "json"]).contains(&name));
        sandbox.run(&["down"]).exits(0);
        sandbox.assert_gone();
        outcome(&events, "images").to_owned()
    };
    assert_eq!(up(), "passed");
    let made: Vec<_> = stores().into_iter().filter(|store| !before.contains(store)).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(up(), "unchanged");
}

fn with_k3d_4() {
    let sandbox = Sandbox::new("life-4", &Ground::find(Wish::Real, Major::Four));
    let events = sandbox.up(&[]).exits(0).events();
    assert_eq!(outcome(&events, "smoke"), "passed");
    let cluster = events.iter().find(|event| event["event"] == "stage-finished" && event["stage"] == "cluster");
    assert!(cluster.expect("a stage")["summary"].as_str().is_some_and(|summary| summary.contains("k3d v4")));
    sandbox.run(&["smoke"]).exits(0);
    sandbox.ask_for_policies();
    let lax = sandbox.up(&[]).exits(3).failure();
    assert_eq!(lax["causes"], json!(["its node does not enforce NetworkPolicies"]));
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

/// The node of a current Kubernetes, and an image of the Flyte release that has it by default.
const CURRENT: &str = "rancher/k3s:v1.33.13-k3s1";

const CURRENT_FLYTE: &str = "cr.flyte.org/flyteorg/flyteadmin:v1.16.8";

fn on_current() {
    let ground = Ground::find(Wish::Real, Major::Five);
    if !ground.is_real() || try_docker(&["image", "inspect", CURRENT]).is_err() {
        return println!("NOT TRIED: a current Kubernetes, without its node image {CURRENT}");
    }
    println!("node: {CURRENT} (real)");
    let mut tried = vec![("k3d", ["--kubernetes", "v1.33.13+k3s1"])];
    match try_docker(&["image", "inspect", CURRENT_FLYTE]) {
        Ok(_) => tried.push(("docker", ["--flyte", "1.16"])),
        Err(_) => println!("NOT TRIED: Flyte 1.16, without its image {CURRENT_FLYTE}"),
    }
    let sandbox = Sandbox::new("current", &ground);
    let saved = sandbox.path("saved.tar.zst");
    let saved = saved.to_str().expect("UTF-8");
    let mut earlier = None;
    for (engine, release) in tried {
        let up = |more: &[&str]| sandbox.up(&[&release[..], &["--engine", engine], more].concat()).exits(0).events();
        let restore = if earlier.is_some() { &["--restore", saved][..] } else { &[] };
        let events = up(restore);
        let probes = events.iter().filter(|event| event["event"] == "probe" && event["outcome"] == "passed");
        assert_eq!(probes.count(), 20, "17 checks, and a workflow in the first project and domain");
        sandbox.run(&["stop"]).exits(0);
        sandbox.run(&["start"]).exits(0);
        let again = up(&[]);
        assert_eq!(again.last().expect("events")["outcome"], "unchanged");
        let there = executions(&sandbox);
        match &earlier {
            // The tables of the earlier release are migrated, and read.
            Some(earlier) => assert!(there.contains(earlier), "{earlier}: {there:?}"),
            None => drop(sandbox.run(&["backup", saved]).exits(0)),
        }
        earlier = there.into_iter().next();
        browser::shows_projects(&sandbox, &["x", "y"]);
        sandbox.run(&["down"]).exits(0);
        sandbox.assert_gone();
    }
}

fn with_docker() {
    let sandbox = Sandbox::new("life-d", &Ground::find(Wish::Real, Major::Five));
    let registry = registry(&sandbox);
    let flags = ["--engine", "docker", "--registry", "--port-registry", registry.as_deref().unwrap_or_default()];
    let flags = if registry.is_some() { &flags[..] } else { &flags[..2] };
    let up = || sandbox.up(flags).exits(0);
    up().says(" by Docker; node Ready").says(if registry.is_some() { "21 of 21 checks" } else { "20 of 20 checks" });
    sandbox.run(&["smoke"]).exits(0);
    assert_eq!(up().events().last().expect("events")["outcome"], "unchanged");
    if let Some(port) = &registry {
        pushed_and_pulled(&sandbox, port);
    }

    sandbox.ask_for_policies();
    let lax = sandbox.up(flags).exits(3).failure();
    assert_eq!(lax["causes"], json!(["its node does not enforce NetworkPolicies"]));

    match &sandbox.ground.k3d {
        None => sandbox.run(&["down"]).exits(0).says("is gone"),
        Some(k3d) => {
            taken_for_one_of_k3ds(&sandbox, k3d);
            sandbox.run(&["down"]).exits(0).says(&format!("there is no sandbox {}", sandbox.name))
        }
    };
    sandbox.assert_gone();
}

/// A free port for a registry, where a real one can be had.
fn registry(sandbox: &Sandbox) -> Option<String> {
    const IMAGE: &str = "registry:3.0.0";
    if !sandbox.ground.is_real() || try_docker(&["image", "inspect", IMAGE]).is_err() {
        println!("NOT HERE: {IMAGE}, or a node that pulls from it; tests/it/rehearsal.rs plays a registry");
        return None;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    Some(listener.local_addr().expect("an address").port().to_string())
}

/// An image that Docker pushes is pulled by the node under the same name, after the registry's pod was replaced too.
fn pushed_and_pulled(sandbox: &Sandbox, port: &str) {
    const SYSTEM: &str = "103020-flytepoc-dev";
    const TASKS: &str = "103020-flytepoc-x-d-dev";
    let image = format!("localhost:{port}/pushed:1");
    docker(&["tag", "rancher/pause:3.1", &image]);
    docker(&["push", "--quiet", &image]);
    docker(&["image", "rm", &image]);
    for pod in cluster::pods(sandbox, SYSTEM).keys().filter(|pod| pod.starts_with("image-registry-")) {
        cluster::delete(sandbox, ["v1", "Pod", SYSTEM, pod]);
    }
    let wait = |namespace: &str, what: &str, condition: &str| {
        let condition = format!("--for=condition={condition}");
        docker(&["exec", &sandbox.node(), "kubectl", "-n", namespace, "wait", what, &condition, "--timeout=60s"]);
    };
    wait(SYSTEM, "deployment/image-registry", "Available");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pushed", "namespace": TASKS},
        "spec": {"containers": [{"name": "pushed", "image": image}]}});
    cluster::apply(sandbox, &pod);
    wait(TASKS, "pod/pushed", "Ready");
    cluster::delete(sandbox, ["v1", "Pod", TASKS, "pushed"]);
}

/// What k3d itself says of a cluster that it has not made, and that it removes all of it.
fn taken_for_one_of_k3ds(sandbox: &Sandbox, k3d: &Path) {
    let said = |args: &[&str]| {
        let mut command = Command::new(k3d);
        command.args(args).env("HOME", sandbox.path("k3d")).env("KUBECONFIG", sandbox.path("k3d.yaml"));
        command.env("DOCKER_HOST", &sandbox.ground.docker_host);
        let output = command.output().expect("k3d");
        assert!(output.status.success(), "k3d {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let listed: Value =
        serde_json::from_str(&said(&["cluster", "list", &sandbox.name, "--output", "json"])).expect("JSON");
    assert_eq!((&listed[0]["name"], &listed[0]["serversRunning"]), (&json!(sandbox.name), &json!(1)));
    let theirs = said(&["kubeconfig", "get", &sandbox.name]);
    let ours = sandbox.run(&["kubeconfig"]).exits(0).out;
    let server = |text: &str| text.lines().find(|line| line.contains("server: ")).map(|line| line.trim().to_owned());
    assert_eq!(server(&theirs), server(&ours));
    said(&["cluster", "delete", &sandbox.name]);
    assert_eq!(belongings(&sandbox.name), Vec::<String>::new(), "left by k3d");
}
