//! The Docker daemon: absent, deaf, old, full, and gone in the middle.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use flyte_sandbox::failure::Reason;

use super::Row;
use super::expected::{Expected, fails};
use crate::standin::Failing;
use crate::support::daemon::{Daemon, Mishap};
use crate::support::desk::Desk;
use crate::support::running::Running;
use crate::support::sandbox::Sandbox;

pub(super) const ROWS: &[Row] = &[
    ("a_socket_that_is_not_there_is_told_by_every_command", absent),
    ("a_socket_that_nobody_listens_on_is_refused", refused),
    ("a_daemon_that_accepts_and_never_answers_is_silent", silent),
    ("a_socket_that_the_user_may_not_use_is_forbidden", forbidden),
    ("an_address_of_another_kind_is_told_with_what_is_possible", other_address),
    ("a_daemon_that_is_too_old_is_told_with_its_version", too_old),
    ("an_answer_that_is_no_docker_is_not_taken_for_one", no_docker),
    ("a_daemon_that_is_slow_is_waited_for", slow),
    ("a_daemon_that_dies_when_the_network_is_made_is_lost", dies_at_the_network),
    ("a_daemon_that_dies_when_the_node_is_made_is_lost", dies_at_the_node),
    ("a_daemon_that_dies_while_images_travel_is_lost", dies_at_the_images),
    ("a_daemon_that_dies_while_undoing_says_what_may_be_left", dies_at_undoing),
    ("a_daemon_without_room_for_a_volume_says_that_its_disk_is_full", full_at_the_volume),
    ("a_daemon_without_room_for_a_container_says_that_its_disk_is_full", full_at_the_node),
    ("a_save_that_breaks_once_is_tried_again", save_breaks_once),
];

/// A sandbox on stand-ins, and the daemon before the real one that it uses.
pub(super) fn before(name: &str) -> (Sandbox, Daemon) {
    let mut sandbox = Sandbox::failing(name, Failing::No);
    let daemon = Daemon::before(&sandbox.ground.docker_host, sandbox.path("daemon.sock"));
    sandbox.docker_host = daemon.host();
    (sandbox, daemon)
}

/// No command that needs Docker gets any further than this, and none leaves anything.
fn every_command_fails(desk: &Desk, expected: &Expected) {
    for args in [&["up", "--output", "json"][..], &["up"], &["down"], &["status"], &["doctor"], &["smoke"], &["logs"]] {
        expected.told_by(&desk.run(args));
        desk.assert_no_state();
    }
}

fn absent() {
    let mut desk = Desk::new("d-absent");
    desk.docker_host = format!("unix://{}", desk.path("no.sock").display());
    every_command_fails(&desk, &fails(Reason::DockerAbsent, "no.sock"));
}

fn refused() {
    let mut desk = Desk::new("d-refused");
    drop(UnixListener::bind(desk.path("old.sock")).expect("a socket"));
    desk.docker_host = format!("unix://{}", desk.path("old.sock").display());
    every_command_fails(&desk, &fails(Reason::DockerRefused, "Connection refused"));
}

fn silent() {
    let desk = Desk::new("d-silent");
    let expected = fails(Reason::DockerSilent, "no answer within 2 s");
    for args in [&["up", "--output", "json"][..], &["down"]] {
        expected.told_by(&desk.run(args));
        desk.assert_no_state();
    }
}

fn forbidden() {
    const NOBODY: u32 = 65534;
    let desk = Desk::new("d-forbid");
    let program = desk.path("sandbox");
    std::fs::copy(env!("CARGO_BIN_EXE_sandbox"), &program).expect("a copy");
    let open = |path: &str, mode: u32| {
        std::fs::set_permissions(desk.path(path), std::fs::Permissions::from_mode(mode)).expect("permissions");
    };
    open("", 0o755);
    open("docker.sock", 0o600);
    let mut command = desk.command(&["status"]);
    // The system's administrator may do everything.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(desk.path("state"), Some(NOBODY), Some(NOBODY)).expect("a state folder of its own");
        command = desk.command_of(&program, &["status"]);
        command.uid(NOBODY).gid(NOBODY);
    } else {
        open("docker.sock", 0o000);
    }
    fails(Reason::DockerForbidden, "ermission denied").told_by(&Running::start(command, &["status"]).end());
    desk.assert_docker_not_asked();
}

fn other_address() {
    let mut desk = Desk::new("d-ssh");
    desk.docker_host = "ssh://me@build.example".to_owned();
    let ran = desk.run(&["up"]);
    fails(Reason::DockerRemote, "ssh").told_by(&ran);
    ran.says("only unix:// and tcp://");
    desk.assert_no_state();
}

fn too_old() {
    let (sandbox, daemon) = before("d-old");
    let version = r#"{"Version":"19.03.15","ApiVersion":"1.40","MinAPIVersion":"1.12"}"#;
    daemon.always("GET /version", Mishap::Answer(200, version.to_owned()));
    let expected = fails(Reason::DockerTooOld, "Docker 19.03.15 is too old: it speaks API 1.40");
    expected.told_by(&sandbox.up(&[]));
    expected.told_by(&sandbox.run(&["up"]));
    sandbox.assert_gone();
}

fn no_docker() {
    let (sandbox, daemon) = before("d-html");
    daemon.always("", Mishap::Answer(200, "<html>Welcome</html>".to_owned()));
    fails(Reason::Docker, "").told_by(&sandbox.up(&[]));
    sandbox.assert_gone();
}

fn slow() {
    let (sandbox, daemon) = before("d-slow");
    daemon.always("", Mishap::Late(Duration::from_millis(150)));
    sandbox.up(&[]).exits(0);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

/// The daemon dies at this request; when it is back, `down` finds all there is.
fn dies_at(name: &str, request: &'static str) {
    let (sandbox, daemon) = before(name);
    daemon.once(request, Mishap::Dies);
    // What it has by then cannot be asked.
    let left = format!("what Docker has of sandbox {}", sandbox.name);
    fails(Reason::DockerLost, "").leaving(left).told_by(&sandbox.up(&[]));
    assert!(daemon.asked().iter().any(|asked| asked.contains(request)), "{request} was never asked for");
    daemon.recovers();
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn dies_at_the_network() {
    dies_at("d-network", "POST /networks/create");
}

fn dies_at_the_node() {
    dies_at("d-node", "POST /containers/create");
}

fn dies_at_the_images() {
    dies_at("d-images", "GET /images/get");
}

fn dies_at_undoing() {
    let (sandbox, daemon) = before("d-undo");
    sandbox.fail(Failing::After("no such luck".to_owned()));
    daemon.once("DELETE /containers/", Mishap::Dies);
    let ran = sandbox.up(&[]);
    assert_eq!(ran.status.code(), Some(12), "{ran:?}");
    let failure = ran.failure();
    assert_eq!(failure["reason"], "k3d", "{failure}");
    assert!(failure["leftovers"].as_array().is_some_and(|left| !left.is_empty()), "{failure}");
    daemon.recovers();
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

const FULL: &str = "mkdir /var/lib/docker/x: no space left on device";

fn full_at(name: &str, request: &'static str) {
    let (sandbox, daemon) = before(name);
    daemon.always(request, Mishap::Refused(500, FULL));
    fails(Reason::DiskFull, "no space left on device").showing("no space left").told_by(&sandbox.up(&[]));
    sandbox.assert_gone();
}

fn full_at_the_volume() {
    full_at("d-volume", "POST /volumes/create");
}

fn full_at_the_node() {
    full_at("d-full", "POST /containers/create");
}

fn save_breaks_once() {
    let (sandbox, daemon) = before("d-save");
    daemon.once("GET /images/get", Mishap::Broken(2000));
    sandbox.up(&[]).exits(0);
    let saves = daemon.asked().iter().filter(|asked| asked.contains("GET /images/get")).count();
    assert!(saves > 1, "{saves} saves");
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}
