//! k3d, nodes and images that fail, and what is left to read of it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::Scenario;
use crate::standin::{Failing, Faults};
use crate::support::docker::docker;
use crate::support::ran::Ran;
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] = &[
    ("a_k3d_that_fails_is_heard_and_what_it_made_is_removed", k3d_fails),
    ("a_k3d_that_makes_nothing_and_says_that_it_did_is_not_believed", k3d_lies),
    ("a_node_that_does_not_stay_up_is_told_by_its_own_last_words", node_crashes),
    ("images_that_cannot_be_had_are_all_named_at_once", images_missing),
    ("a_sandbox_can_be_diagnosed_in_every_state", diagnosed),
];

/// Gives the sandbox a secret that can be looked for.
fn with_a_secret(sandbox: &Sandbox) -> &'static str {
    let mut spec = std::fs::OpenOptions::new().append(true).open(sandbox.path("sandbox.yaml")).expect("a file");
    writeln!(spec, "storage: {{secretKey: never-to-be-seen}}").expect("written");
    "never-to-be-seen"
}

/// Every file of a folder, by its path in it; none has the secret in it.
#[track_caller]
fn evidence(folder: &Path, secret: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(within) = open.pop() {
        for entry in std::fs::read_dir(&within).expect("a folder").flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).expect("text");
            let path = entry.path().strip_prefix(folder).expect("within").display().to_string();
            assert!(!text.contains(secret), "{path} has a secret in it");
            found.insert(path, text);
        }
    }
    found
}

fn causes(failure: &Value) -> Vec<&str> {
    failure["causes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn hinted(ran: Ran) -> Ran {
    assert!(ran.failure()["hints"].as_array().is_some_and(|hints| !hints.is_empty()), "no next step");
    ran
}

fn k3d_fails() {
    let sandbox =
        Sandbox::failing("k3d-1", Failing::Says("Failed Cluster Start: the moon is in the wrong house".to_owned()));
    let failure = hinted(sandbox.up(&[]).exits(5)).failure();
    assert_eq!(failure["reason"], "k3d");
    assert!(causes(&failure).iter().any(|cause| cause.contains("the moon is in the wrong house")), "{failure}");
    sandbox.assert_gone();
    let shown = sandbox.run(&["up"]).exits(5);
    let last = shown.err.rfind("the moon is in the wrong house").expect("the cause");
    assert!(shown.err[last..].lines().count() <= 6, "the cause is not near the end:\n{}", shown.err);
    sandbox.assert_gone();
}

fn k3d_lies() {
    let sandbox = Sandbox::failing("k3d-0", Failing::Nothing);
    let failure = sandbox.up(&[]).exits(5).failure();
    assert_eq!(failure["what"], "k3d said that it made the cluster, and there is no node");
    sandbox.assert_gone();
}

fn node_crashes() {
    let cause = "starting kubernetes: preparing server: no room for a datastore";
    let sandbox = Sandbox::faulty("crash", Faults { ends: Some((cause.to_owned(), 1)), ..Faults::default() });
    let secret = with_a_secret(&sandbox);
    let ran = hinted(sandbox.up(&[]).exits(5));
    let failure = ran.failure();
    assert_eq!(failure["reason"], "node-crash");
    assert_eq!(causes(&failure).last(), Some(&cause), "{failure}");
    sandbox.assert_gone();
    let folder = Path::new(failure["folder"].as_str().expect("a folder"));
    assert!(folder.starts_with(sandbox.path(&format!("state/failures/{}", sandbox.name))), "{}", folder.display());
    let files = evidence(folder, secret);
    assert!(files["index.md"].starts_with(&format!("# {cause}\n")), "{}", files["index.md"]);
    assert!(files["node.log"].contains(cause), "{}", files["node.log"]);
    assert!(files["k3d.log"].contains("Creating node"), "{}", files["k3d.log"]);
    assert!(files["docker/events.ndjson"].contains("\"die\""), "{}", files["docker/events.ndjson"]);
    let network = format!("docker/network-k3d-{}.json", sandbox.name);
    let container = format!("docker/container-{}.json", sandbox.node());
    let others = [
        "failure.json",
        "run.ndjson",
        "plan.json",
        "manifests.yaml",
        "versions.json",
        "docker/daemon.json",
        &network,
        &container,
    ];
    for name in others {
        assert!(files.contains_key(name), "{name} is not among {:?}", files.keys());
    }
    assert!(files["index.md"].contains("* all that Kubernetes knows"), "{}", files["index.md"]);

    sandbox.run(&["up", "--keep", "--no-cache"]).exits(5).says(cause).says("evidence: ");
    sandbox.run(&["status"]).exits(5).says("is broken");
    // Between two of its lives the node looks like one that runs; then it is its next end that tells.
    let again = sandbox.run(&["up", "--no-cache"]);
    assert!([Some(3), Some(5)].contains(&again.status.code()), "{again:?}");
    assert!(again.err.contains(&sandbox.name) && !again.err.contains("`kill "), "{}", again.err);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn images_missing() {
    let sandbox = Sandbox::failing("images", Failing::No);
    let (one, other) = ("registry.invalid/nope:1", "registry.invalid/neither:2");
    let (minio, postgres) = (format!("minio={one}"), format!("postgres={other}"));
    let ran = hinted(sandbox.up(&["--image", &minio, "--image", &postgres]).exits(6));
    let failure = ran.failure();
    let object = failure["object"].as_str().unwrap_or_default();
    assert!(object.contains(one) && object.contains(other), "{failure}");
    sandbox.assert_gone();
}

fn diagnosed() {
    let sandbox = Sandbox::failing("diagnose", Failing::No);
    let secret = with_a_secret(&sandbox);
    let folder = |ran: Ran| {
        let told: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        (Path::new(told["folder"].as_str().expect("a folder")).to_owned(), told["fresh"] == true)
    };
    let json = ["diagnose", "--output", "json"];
    sandbox.run(&json).exits(13);
    sandbox.up(&[]).exits(0).events();
    let (well, fresh) = folder(sandbox.run(&json).exits(0));
    let files = evidence(&well, secret);
    assert!(fresh && files["index.md"].starts_with("# the sandbox runs\n"), "{}", files["index.md"]);
    for name in ["pods.txt", "kubernetes/nodes.json", "kubernetes/version.json", "node.log", "manifests.yaml"] {
        assert!(files.contains_key(name), "{name} is not among {:?}", files.keys());
    }

    docker(&["stop", &sandbox.node()]);
    let packed = sandbox.run(&["diagnose", "--archive"]).exits(0);
    let archive = Path::new(packed.out.trim());
    assert!(archive.is_file() && packed.out.trim().ends_with(".tar.zst"), "{packed:?}");
    let stopped = archive.with_extension("").with_extension("");
    assert!(evidence(&stopped, secret)["index.md"].starts_with("# the sandbox is stopped\n"));

    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
    let (earlier, fresh) = folder(sandbox.run(&json).exits(0).says("there is no sandbox"));
    assert!(!fresh && earlier == stopped, "{} is not {}", earlier.display(), stopped.display());
    sandbox.run(&["diagnose", "--archive", "sent.tar.zst"]).exits(0).says("sent.tar.zst");
    assert!(sandbox.path("sent.tar.zst").is_file(), "it is not where it was asked to be");
}
