//! A daemon that is not at Docker's usual place.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use flyte_sandbox::digest;
use serde_json::json;

use super::Scenario;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::running::Running;
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] = &[("a_daemon_on_a_loopback_port_is_as_good_as_one_on_a_socket", over_tcp)];

/// The daemon behind a port of this machine; it is there as long as this process.
fn port_before(socket: &str) -> String {
    let socket = socket.strip_prefix("unix://").expect("a daemon behind a socket").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let host = format!("tcp://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(daemon) = UnixStream::connect(&socket) else { continue };
            let (from_client, from_daemon) =
                (client.try_clone().expect("a socket"), daemon.try_clone().expect("a socket"));
            thread::spawn(move || hand_on(from_client, daemon, |to| drop(to.shutdown(Shutdown::Write))));
            thread::spawn(move || hand_on(from_daemon, client, |to: &TcpStream| drop(to.shutdown(Shutdown::Write))));
        }
    });
    host
}

fn hand_on<To: io::Write>(mut from: impl io::Read, mut to: To, end: impl FnOnce(&To)) {
    let _ = io::copy(&mut from, &mut to);
    end(&to);
}

fn over_tcp() {
    let ground = Ground::find(Wish::StandIn, Major::Five);
    let mut sandbox = Sandbox::new("tcp", &ground);
    sandbox.docker_host = port_before(&ground.docker_host);
    sandbox.up(&["--engine", "docker"]).exits(0);
    let name = digest::hex(&digest::sha256("team"));
    let meta = format!("docker/contexts/meta/{name}");
    std::fs::create_dir_all(sandbox.path(&meta)).expect("a folder");
    let context = json!({"Name": "team", "Endpoints": {"docker": {"Host": sandbox.docker_host}}});
    sandbox.write(&format!("{meta}/meta.json"), context.to_string());
    let by_context = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env_remove("DOCKER_HOST").env("DOCKER_CONTEXT", "team").env("DOCKER_CONFIG", sandbox.path("docker"));
        Running::start(command, args).end()
    };
    by_context(&["smoke"]).exits(0);
    by_context(&["down"]).exits(0).says("is gone");
    sandbox.assert_gone();
}
