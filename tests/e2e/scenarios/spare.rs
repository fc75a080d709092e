//! A sandbox that was made ahead, and is taken.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::Scenario;
use crate::support::docker::{belongings, docker};
use crate::support::ground::{Ground, Major, Wish};
use crate::support::ran::{Ran, outcome};
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] = &[("a_spare_is_taken_proven_and_made_again", taken)];

const PAUSE: Duration = Duration::from_millis(500);
/// A spare that is made while two sandboxes of the real thing run on two cores.
const PATIENCE: Duration = Duration::from_secs(240);

fn taken() {
    let sandbox = Sandbox::new("spare", &Ground::find(Wish::Real, Major::Five));
    if !sandbox.ground.is_real() {
        println!("NOT HERE: a port-forward to pods; tests/it/spare.rs has what is asked of Docker");
        return sandbox.assert_gone();
    }
    let spec = std::fs::read_to_string(sandbox.path("sandbox.yaml")).expect("a spec");
    let spec = format!("{spec}engine: docker\n");
    sandbox.write("sandbox.yaml", format!("{spec}spare: true\n"));
    let flags = ["--profile", "minimal", "--project", "x"];
    let up = |more: &[&str]| sandbox.up(&[&flags, more].concat());
    let (first, second) = (format!("{}-spare", sandbox.name), format!("{}-spare-2", sandbox.name));

    up(&["--spare"]).exits(0);
    assert_eq!(state(&sandbox, &first), Some(format!("{{\"spare\":\"{}\"}}", sandbox.name)));
    up(&["--spare"]).exits(0).says(&format!("has a spare, {first}"));

    // One that does not answer is given up, and its place taken by a sandbox from cold.
    let node = |cluster: &str| format!("k3d-{cluster}-server-0");
    docker(&["unpause", &node(&first)]);
    docker(&["exec", &node(&first), "sh", "-c", "kill -STOP -1"]);
    docker(&["pause", &node(&first)]);
    let cold = up(&[]).exits(0).says("the spare does not pass").says("a workflow ran");
    assert!(cold.out.contains("one is made in the background"), "{}", cold.out);
    let began = Instant::now();
    while state(&sandbox, &first).is_none_or(|state| !state.contains("spare")) {
        assert!(began.elapsed() < PATIENCE, "no spare: {}", sandbox.run(&["list"]).out);
        std::thread::sleep(PAUSE);
    }
    sandbox.run(&["down"]).exits(0);

    // One that was taken and not proven counts for nothing.
    sandbox.write("sandbox.yaml", spec);
    let args = sandbox.up_args(&flags);
    let mut killed = sandbox.start(&args);
    killed.until_stage("rollout");
    killed.signal(Signal::KILL);
    assert_eq!(killed.end().status.code(), None);
    let forwarder = format!("k3d-{}-ports", sandbox.name);
    assert!(belongings(&sandbox.name).contains(&format!("container {forwarder}")));
    up(&[]).exits(0).says("a workflow ran");

    // Somebody removes what publishes its ports.
    docker(&["rm", "--force", "--volumes", &forwarder]);
    let again = up(&[]).exits(0);
    assert_eq!(outcome(&again.events(), "smoke"), "passed");
    sandbox.run(&["status"]).exits(0);
    docker(&["exec", &node(&first), "sh", "-c", "echo mine > /var/lib/sandbox/minio/mine"]);
    sandbox.run(&["stop"]).exits(0);
    sandbox.run(&["start"]).exits(0).says("is back");

    sandbox.run(&["down", "--keep-data"]).exits(0);
    let volume = format!("volume k3d-{}-data", sandbox.name);
    assert_eq!(belongings(&sandbox.name), [volume]);
    let images = docker(&["image", "ls", "--quiet", "--filter", "reference=rancher/k3s"]);
    let mount = format!("k3d-{}-data:/kept", sandbox.name);
    let image = images.lines().next().expect("the node image");
    // By its name other tests know it for a test's.
    let (name, file) = (format!("{}-look", sandbox.name), "/kept/minio/mine");
    let in_nothing = ["run", "--rm", "--name", &name, "--network", "none", "--entrypoint", "cat", "-v", &mount];
    let kept = docker(&[&in_nothing[..], &[image, file]].concat());
    assert_eq!(kept.trim(), "mine");
    sandbox.run(&["down"]).exits(0);
    for cluster in [&first, &second] {
        assert_eq!(belongings(cluster), Vec::<String>::new());
    }
    sandbox.assert_gone();
}

/// The state of a sandbox in `list`, as JSON.
fn state(sandbox: &Sandbox, name: &str) -> Option<String> {
    let Ran { out, .. } = sandbox.run(&["list", "--output", "json"]).exits(0);
    let listed: Value = serde_json::from_str(&out).expect("JSON");
    let all = listed.as_array().cloned().unwrap_or_default();
    all.into_iter().find(|one| one["name"] == name).map(|one| one["state"].to_string())
}
