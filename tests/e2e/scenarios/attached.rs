//! A cluster that is there already, as a user of some of its namespaces.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Scenario;
use crate::support::cluster;
use crate::support::docker::docker;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::ran::outcome;
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] =
    &[("a_user_of_namespaces_is_told_what_is_missing_and_then_has_a_flyte_in_them", of_namespaces)];

const NAMESPACES: [&str; 2] = ["200-flytepoc-dev", "200-flytepoc-x-d-dev"];

/// Another sandbox's node is the cluster: it has the images.
fn of_namespaces() {
    let cluster = Sandbox::new("given", &Ground::find(Wish::Real, Major::Five));
    cluster.up(&["--profile", "minimal"]).exits(0);
    if !cluster.ground.is_real() {
        println!("NOT HERE: a real cluster; that of the hermetic tests takes its place (tests/it/context.rs)");
        cluster.run(&["down"]).exits(0);
        return cluster.assert_gone();
    }
    let kubectl = |args: &[&str]| docker(&[&["exec", &cluster.node(), "kubectl"], args].concat());
    kubectl(&["-n", "default", "create", "serviceaccount", "installer"]);
    cluster.write("theirs.yaml", restricted(&cluster, &token(&kubectl)));
    let team = format!("{}-team", cluster.name);
    let class = "engine: context\ncontext: theirs\nkubeconfig: theirs.yaml\nstorageClass: e2e\n";
    cluster.write("team.yaml", format!("{class}appid: '200'\nname: {team}\n"));
    let spec = ["--config", "team.yaml", "--profile", "minimal"];
    let up = |more: &[&str]| cluster.up(&[&spec[..], more].concat());
    assert_eq!(up(&[]).exits(3).failure()["reason"], "rights-missing");

    let admins = cluster.run(&[&["render", "--for-cluster", "serviceaccount:default/installer"], &spec[..]].concat());
    cluster.write("admin.yaml", admins.exits(0).out);
    docker(&["cp", &cluster.path("admin.yaml").to_string_lossy(), &format!("{}:/tmp/admin.yaml", cluster.node())]);
    kubectl(&["apply", "-f", "/tmp/admin.yaml"]);
    provision(&cluster);
    let events = up(&[]).exits(0).events();
    assert_eq!(outcome(&events, "smoke"), "passed");
    let skipped = events.iter().filter(|event| event["event"] == "probe" && event["outcome"] == "skipped");
    let mut skipped: Vec<_> = skipped.filter_map(|event| event["id"].as_str()).collect();
    skipped.sort_unstable();
    assert_eq!(skipped, ["R2", "R3"]);
    assert_eq!(outcome(&up(&[]).exits(0).events(), "cluster"), "unchanged");

    let bound = kubectl(&["-n", NAMESPACES[0], "get", "pvc", "-o", "jsonpath={.items[*].status.phase}"]);
    assert_eq!(bound, "Bound Bound");
    kubectl(&["-n", NAMESPACES[0], "delete", "pod", "-l", "app.kubernetes.io/name=postgres"]);
    assert_eq!(outcome(&up(&[]).exits(0).events(), "smoke"), "passed");

    cluster.run(&["down", "--name", &team]).exits(0);
    for namespace in NAMESPACES {
        let of_ours = [
            "get",
            "all,configmaps,secrets,persistentvolumeclaims,serviceaccounts,roles,rolebindings",
            "--output",
            "name",
        ];
        let left = kubectl(&[&["-n", namespace], &of_ours[..]].concat());
        let given = |line: &&str| {
            let given = ["kube-root-ca.crt", "default", "sandbox-installer"];
            !line.is_empty()
                && !given.iter().any(|name| line.split_once('/').is_some_and(|(_, own)| own.starts_with(name)))
        };
        assert_eq!(left.lines().filter(given).collect::<Vec<_>>(), Vec::<&str>::new());
    }
    cluster.run(&["down"]).exits(0);
    cluster.assert_gone();
}

/// Volumes of the storage class that the team names, as an administrator has them.
fn provision(cluster: &Sandbox) {
    for volume in ["one", "two"] {
        let spec = json!({"storageClassName": "e2e", "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": format!("/tmp/{volume}"), "type": "DirectoryOrCreate"}});
        let metadata = json!({"name": format!("e2e-{volume}")});
        cluster::apply(
            cluster,
            &json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}),
        );
    }
}

/// A kubeconfig whose only context is that of the account.
fn restricted(cluster: &Sandbox, token: &str) -> String {
    let whole: Value = serde_yaml::from_str(&cluster.run(&["kubeconfig"]).exits(0).out).expect("YAML");
    json!({"apiVersion": "v1", "kind": "Config", "clusters": whole["clusters"],
        "users": [{"name": "installer", "user": {"token": token}}],
        "contexts": [{"name": "theirs", "context": {"cluster": whole["clusters"][0]["name"], "user": "installer"}}]})
    .to_string()
}

/// The account's token. Kubernetes 1.21 makes one for every account, a moment after it.
fn token(kubectl: &impl Fn(&[&str]) -> String) -> String {
    let made = Instant::now();
    loop {
        let secret =
            kubectl(&["-n", "default", "get", "serviceaccount", "installer", "-o", "jsonpath={.secrets[0].name}"]);
        if !secret.is_empty() {
            let token = "go-template={{.data.token | base64decode}}";
            return kubectl(&["-n", "default", "get", "secret", &secret, "-o", token]);
        }
        assert!(made.elapsed() < Duration::from_secs(10), "the account has no token");
        std::thread::sleep(Duration::from_millis(100));
    }
}
