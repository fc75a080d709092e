//! Who reaches whom, where NetworkPolicies are asked for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Scenario, examples};
use crate::support::cluster;
use crate::support::docker::{docker, try_docker};
use crate::support::flytekit::Flytekit;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::ran::applied;
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] =
    &[("a_project_reaches_neither_anothers_pods_nor_the_database_where_that_is_asked_for", of_policies)];

const SYSTEM: &str = "103020-flytepoc-dev";
const X: &str = "103020-flytepoc-x-d-dev";
const Y: &str = "103020-flytepoc-y-d-dev";
/// Within the sandbox already, and with a client and a server in it.
const DATABASE: &str = "postgres:10.16-alpine";

fn of_policies() {
    let sandbox = Sandbox::new("isolated", &Ground::find(Wish::Real, Major::Five));
    sandbox.ask_for_policies();
    let up = || sandbox.up(&["--profile", "minimal", "--project", "x,y", "--engine", "docker"]);
    // It takes a while to be installed, and is needed last.
    let flytekit = std::thread::spawn(|| Flytekit::find(&examples::commands()[0]));
    up().exits(0);
    sandbox.run(&["smoke", "--full"]).exits(0).says("2 workflows ran");
    if sandbox.ground.is_real() {
        held_by_the_node(&sandbox);
        let mended = up().exits(0).events();
        let there = [format!("networkpolicy {SYSTEM}/postgres"), format!("networkpolicy {Y}/within-namespace")];
        let mut created = applied(&mended, "created");
        created.sort();
        assert_eq!(created, there);
    } else {
        println!(
            "NOT HERE: a node that enforces anything; src/render/tests/policies.rs judges the policies themselves"
        );
    }
    examples::run(&sandbox, flytekit.join().expect("looked for"));
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn held_by_the_node(sandbox: &Sandbox) {
    let kubectl = |args: &[&str]| docker(&[&["exec", &sandbox.node(), "kubectl"], args].concat());
    let run = |namespace: &str, name: &str, command: Value| {
        cluster::apply(
            sandbox,
            &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                    "name": "probe", "image": DATABASE, "imagePullPolicy": "IfNotPresent",
                    "env": [{"name": "POSTGRES_PASSWORD", "value": "probe"}], "command": command}]}}),
        );
    };
    let idle = json!(["sleep", "600"]);
    run(X, "e2e-x", idle.clone());
    run(Y, "e2e-y", idle);
    run(Y, "e2e-server", Value::Null);
    for (namespace, name) in [(X, "e2e-x"), (Y, "e2e-y"), (Y, "e2e-server")] {
        kubectl(&["-n", namespace, "wait", "--for=condition=Ready", "--timeout=60s", &format!("pod/{name}")]);
    }
    let server = kubectl(&["-n", Y, "get", "pod", "e2e-server", "-o", "jsonpath={.status.podIP}"]);
    let database = format!("postgres.{SYSTEM}");
    let reaches = |namespace: &str, pod: &str, host: &str| {
        let ask = ["-n", namespace, "exec", pod, "--", "pg_isready", "--timeout=1", "--host", host];
        try_docker(&[&["exec", &sandbox.node(), "kubectl"], &ask[..]].concat()).is_ok()
    };
    // What was applied takes hold a moment later.
    let becomes = |wanted: bool, namespace: &str, pod: &str, host: &str| {
        let asked = Instant::now();
        while reaches(namespace, pod, host) != wanted {
            assert!(asked.elapsed() < Duration::from_secs(20), "{pod} reaches {host}: never {wanted}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    becomes(true, Y, "e2e-y", &server);
    becomes(false, X, "e2e-x", &server);
    becomes(false, X, "e2e-x", &database);
    becomes(false, Y, "e2e-y", &database);

    // It is the policy that held them off.
    cluster::delete(sandbox, ["networking.k8s.io/v1", "NetworkPolicy", Y, "within-namespace"]);
    cluster::delete(sandbox, ["networking.k8s.io/v1", "NetworkPolicy", SYSTEM, "postgres"]);
    becomes(true, X, "e2e-x", &server);
    becomes(true, X, "e2e-x", &database);
}
