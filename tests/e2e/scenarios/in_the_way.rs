//! What is found before anything is touched.

use std::net::TcpListener;

use super::Scenario;
use crate::support::docker::{docker, try_docker};
use crate::support::ground::{Ground, Major, Wish};
use crate::support::images;
use crate::support::running::Running;
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] = &[
    ("a_port_held_by_a_process_is_told_with_its_pid_and_a_way_out", held_by_a_process),
    ("a_port_held_by_a_container_is_told_with_its_name", held_by_a_container),
    ("without_docker_the_failure_says_so_and_what_to_do", no_docker),
    ("without_k3d_the_node_is_made_through_docker_unless_k3d_is_asked_for", no_k3d),
    ("a_cluster_of_the_same_name_that_no_sandbox_made_is_left_alone", foreign_cluster),
];

fn held_by_a_process() {
    let sandbox = Sandbox::new("port", &Ground::find(Wish::Real, Major::Five));
    let port = sandbox.ports[2];
    let _held = TcpListener::bind(("0.0.0.0", port)).expect("a free port");
    let holder = format!("port {port} (minio) is taken by process {} (`", std::process::id());
    let program = std::env::current_exe().expect("this program");
    let program = program.file_name().expect("a name").to_string_lossy().into_owned();
    let ran = sandbox.run(&["up"]).exits(3).says(&holder).says(&program).says("`--port-minio ");
    ran.says("nothing was changed");
    sandbox.run(&["doctor"]).exits(3).says(&holder);
    sandbox.assert_gone();

    let failure = sandbox.up(&[]).exits(3).failure();
    let hints = failure["hints"].as_array().cloned().unwrap_or_default();
    let out = hints.iter().filter_map(|hint| hint.as_str()?.strip_prefix("`--port-minio ")?.split('`').next());
    let out: u16 = out.map(|port| port.parse().expect("a port")).next().expect("a way out");
    TcpListener::bind(("127.0.0.1", out)).expect("the port that is offered is free");
    sandbox.run(&["doctor", "--port-minio", &out.to_string()]).exits(0);
    sandbox.assert_gone();
}

fn held_by_a_container() {
    let sandbox = Sandbox::new("port-2", &Ground::find(Wish::StandIn, Major::Five));
    let port = sandbox.ports[2];
    let (name, publish) = (format!("e2e-holder-{}", std::process::id()), format!("{port}:30084"));
    let network = format!("k3d-{}-other", sandbox.name);
    docker(&[
        "run",
        "--network",
        &network,
        "--detach",
        "--rm",
        "--name",
        &name,
        "--publish",
        &publish,
        "--env",
        "STANDIN_NODE=holder",
        &images::name("k3s"),
    ]);
    let ran = sandbox.run(&["up"]);
    let stopped = try_docker(&["rm", "--force", "--volumes", &name]);
    ran.exits(3).says(&format!("port {port} (minio) is taken by the container `{name}`")).says("`--port-minio ");
    stopped.expect("the container was left alone");
    sandbox.assert_gone();
}

fn no_docker() {
    let sandbox = Sandbox::new("no-docker", &Ground::find(Wish::StandIn, Major::Five));
    let socket = format!("unix://{}", sandbox.path("no.sock").display());
    for args in [&["up"][..], &["down"], &["status"], &["doctor"]] {
        let mut command = sandbox.command(args);
        command.env("DOCKER_HOST", &socket);
        let ran = Running::start(command, args).end().exits(4).says("no.sock").says("Docker");
        assert!(ran.err.contains("DOCKER_HOST") || ran.err.contains("start"), "no next step: {}", ran.err);
    }
    sandbox.assert_gone();
}

fn no_k3d() {
    let sandbox = Sandbox::new("no-k3d", &Ground::find(Wish::StandIn, Major::Five));
    let up = |more: &[&str]| {
        let args = sandbox.up_args(more);
        let mut command = sandbox.command(&args);
        command.env("PATH", sandbox.path("home"));
        Running::start(command, &args).end()
    };
    up(&["--engine", "k3d"]).exits(3).says("k3d is not installed").says("`--engine docker` makes the node without k3d");
    sandbox.assert_gone();
    up(&[]).exits(0).says("the node is created through Docker, without k3d").says(" by Docker; node Ready");
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn foreign_cluster() {
    let sandbox = Sandbox::new("foreign", &Ground::find(Wish::StandIn, Major::Five));
    let label = format!("k3d.cluster={}", sandbox.name);
    docker(&[
        "create",
        "--name",
        &sandbox.node(),
        "--label",
        &label,
        "--label",
        "k3d.role=server",
        &images::name("k3s"),
    ]);
    let theirs = sandbox.node_id();
    sandbox.run(&["up"]).exits(3).says("no sandbox made").says("`--name` chooses another name");
    sandbox.run(&["down"]).exits(13).says("left alone");
    sandbox.run(&["status"]).exits(13);
    assert_eq!(sandbox.node_id(), theirs);
    sandbox.assert_others_untouched();
}
