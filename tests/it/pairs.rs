//! Two different commands at once on one sandbox: each does its work, or says that the other is busy with it; none
//! breaks what the other makes.

use std::collections::BTreeSet;
use std::fs;

use flyte_sandbox::state::StateRoot;
use serde_json::{Value, json};

use crate::support::docker::{FakeDocker, World, node};
use crate::support::machine::{Machine, Ran};

/// Commands that change something, with the exit codes that each may have beside another: 11 where the other holds the
/// lock, 13 where the other has taken the sandbox away.
const COMMANDS: &[(&[&str], &[i32])] = &[
    (&["up"], &[0, 11]),
    (&["down"], &[0, 11]),
    // It takes no lock: a process that another `up` has just started, and nobody answers for yet, has the ports.
    (&["doctor"], &[0, 3]),
    (&["gc"], &[0]),
    (&["project", "add", "z"], &[0, 11, 13]),
    (&["credentials", "renew", "--within", "365d"], &[0, 11, 13]),
    (&["images", "prune"], &[0]),
];

struct Pairs {
    machine: Machine,
    docker: FakeDocker,
    _runtime: tokio::runtime::Runtime,
}

impl Pairs {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let docker = runtime.block_on(FakeDocker::start(World::default()));
        let machine = Machine::new();
        let write = |name: &str, text: &str| fs::write(machine.folder.path().join(name), text).expect("written");
        let ports: Vec<_> =
            machine.ports.iter().filter_map(|port| port.split_once('=')).map(|(_, port)| port).collect();
        let [console, dashboard, minio] = ports[..] else { panic!("three ports: {ports:?}") };
        write(
            "sandbox.yaml",
            &format!(
                "engine: rehearsal\nports: {{console: {console}, dashboard: {dashboard}, minio: {minio}}}\n\
                 storage: {{credentials: {{file: '{{project}}.json'}}}}\n"
            ),
        );
        for project in ["x", "y", "z"] {
            let keys = json!({"accessKey": format!("of-{project}"), "secretKey": "issued-key",
                "expiresAt": "2099-01-01T00:00:00Z"});
            write(&format!("{project}.json"), &keys.to_string());
        }
        Self { machine, docker, _runtime: runtime }
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.machine.command();
        Ran(command.env("DOCKER_HOST", &self.docker.host).args(args).args(["-o", "json"]).output().expect("it runs"))
    }

    /// Both at once, from a sandbox that is ready; then that it can be made ready again.
    fn meet(&self, one: &(&[&str], &[i32]), other: &(&[&str], &[i32])) {
        let (ran, beside) = std::thread::scope(|scope| {
            let beside = scope.spawn(|| self.run(other.0));
            (self.run(one.0), beside.join().expect("no panic"))
        });
        for (ran, (args, codes), beside) in [(&ran, one, other.0), (&beside, other, one.0)] {
            let code = ran.0.status.code();
            assert!(
                code.is_some_and(|code| codes.contains(&code)),
                "{args:?} beside {beside:?}: {code:?}\n{}\n{}",
                ran.out(),
                String::from_utf8_lossy(&ran.0.stderr)
            );
        }
        self.run(&["up"]).exits(0);
        let status: Value = serde_json::from_str(&self.run(&["status"]).exits(0).out()).expect("JSON");
        assert_eq!((&status["phase"], &status["spec"]), (&"ready".into(), &"unchanged".into()), "{one:?} {other:?}");
    }
}

/// Every pair with this command, itself included; pairs with those before it are theirs.
fn every_pair_with(command: &str) {
    let pairs = Pairs::new();
    pairs.run(&["up"]).exits(0);
    let first = COMMANDS.iter().position(|(args, _)| args[0] == command).expect("a command");
    for other in &COMMANDS[first..] {
        pairs.meet(&COMMANDS[first], other);
    }
    pairs.run(&["down"]).exits(0);
    let left: Vec<_> = fs::read_dir(pairs.machine.state()).expect("there").flatten().map(|at| at.file_name()).collect();
    let left: BTreeSet<_> = left.iter().filter_map(|name| name.to_str()).collect();
    assert_eq!(left, BTreeSet::from(["machine.key", "recorded.runs"]));
}

#[test]
fn up_beside_every_command() {
    every_pair_with("up");
}

#[test]
fn down_beside_every_command() {
    every_pair_with("down");
}

#[test]
fn doctor_beside_every_command() {
    every_pair_with("doctor");
}

#[test]
fn gc_beside_every_command() {
    every_pair_with("gc");
}

#[test]
fn project_add_beside_every_command() {
    every_pair_with("project");
}

#[test]
fn credentials_renew_beside_every_command() {
    every_pair_with("credentials");
}

#[test]
fn images_prune_beside_every_command() {
    every_pair_with("images");
}

#[test]
fn what_another_run_brings_up_is_not_called_broken() {
    let pairs = Pairs::new();
    pairs.docker.world().containers = vec![node("flyte", Some("flyte"), "created")];
    let spec = pairs.machine.folder.path().join("sandbox.yaml");
    fs::write(spec, "engine: docker\n").expect("written");
    fs::write(pairs.machine.folder.path().join("wf.py"), "").expect("written");
    let says = |args: &[&str]| {
        let mut command = pairs.machine.command();
        let ran = command.env("DOCKER_HOST", &pairs.docker.host).args(args).output().expect("it runs");
        (ran.status.code(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
    };
    let state = StateRoot::new(pairs.machine.state()).sandbox("flyte");
    let held = state.lock("up").expect("free");
    let who = format!("`sandbox up` with pid {}", std::process::id());
    let (code, said) = says(&["status"]);
    assert_eq!((code, said), (Some(5), format!("sandbox flyte is being brought up\n{who} works on it\n")));
    let status: Value = serde_json::from_str(&says(&["status", "-o", "json"]).1).expect("JSON");
    assert_eq!((&status["phase"], &status["run"]["purpose"]), (&"changing".into(), &"up".into()));
    let (code, said) = says(&["list"]);
    assert!(code == Some(0) && said.contains("\nflyte  being brought up  "), "{said}");
    let (code, said) = says(&["run", "wf.py"]);
    assert!(code == Some(11) && said.contains(&format!("because {who} holds it")), "{said}");
    drop(held);
    let (code, said) = says(&["status"]);
    assert!(code == Some(5) && said.starts_with("sandbox flyte is broken;"), "{said}");
    assert!(says(&["list"]).1.contains("\nflyte  broken  "));
}
