//! Ports of the host: taken, by whom, and since when.

use std::net::{TcpListener, UdpSocket};

use flyte_sandbox::failure::Reason;

use super::Row;
use super::expected::fails;
use crate::standin::Failing;
use crate::support::docker::{docker, try_docker};
use crate::support::images;
use crate::support::ran::Ran;
use crate::support::sandbox::Sandbox;

pub(super) const ROWS: &[Row] = &[
    ("a_process_on_loopback_is_named_with_its_pid", || held_by_us("p-lo", "127.0.0.1")),
    ("a_process_on_all_addresses_is_named_with_its_pid", || held_by_us("p-all", "0.0.0.0")),
    ("a_process_on_all_addresses_of_both_kinds_is_named_with_its_pid", || held_by_us("p-both", "[::]")),
    ("a_process_on_the_other_loopback_is_in_nobodys_way", other_loopback),
    ("a_process_that_takes_datagrams_is_in_nobodys_way", datagrams),
    ("a_container_is_named", container),
    ("a_cluster_of_k3ds_is_named", cluster),
    ("a_port_that_is_asked_for_twice_is_told", twice),
    ("the_ports_of_two_held_at_once_are_both_told", both),
    ("a_port_that_is_taken_between_the_look_and_the_use_is_told", taken_late),
    ("a_port_of_the_api_that_is_taken_is_told", api),
];

/// The first cause, and a way out that is one.
fn told(sandbox: &Sandbox, ran: &Ran, cause: &str) {
    fails(Reason::PortTaken, cause).told_by(ran);
    let failure = ran.failure();
    let hints = failure["hints"].as_array().into_iter().flatten().filter_map(|hint| hint.as_str());
    let offered = hints.filter_map(|hint| hint.strip_prefix("`--port-")?.split('`').next()?.split_once(' '));
    let offered: Vec<(String, String)> =
        offered.map(|(flag, port)| (format!("--port-{flag}"), port.to_owned())).collect();
    assert!(!offered.is_empty(), "no other port is offered: {failure}");
    let flags: Vec<&str> = offered.iter().flat_map(|(flag, port)| [flag.as_str(), port]).collect();
    sandbox.run(&[&["doctor"], &flags[..]].concat()).exits(0);
    sandbox.assert_gone();
}

fn held_by_us(name: &str, address: &str) {
    let sandbox = Sandbox::failing(name, Failing::No);
    let port = sandbox.ports[1];
    let _held = TcpListener::bind(format!("{address}:{port}")).expect("a free port");
    let holder = format!("port {port} (dashboard) is taken by process {} (`", std::process::id());
    told(&sandbox, &sandbox.up(&[]), &holder);
    fails(Reason::PortTaken, holder).told_by(&sandbox.run(&["doctor"]));
}

fn lives(sandbox: &Sandbox) {
    sandbox.up(&[]).exits(0);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

/// Docker publishes on 127.0.0.1, and so it can.
fn other_loopback() {
    let sandbox = Sandbox::failing("p-v6", Failing::No);
    let Ok(_held) = TcpListener::bind(("::1", sandbox.ports[1])) else {
        println!("NOT TRIED: this machine has no IPv6");
        return;
    };
    lives(&sandbox);
}

fn datagrams() {
    let sandbox = Sandbox::failing("p-udp", Failing::No);
    let _held = UdpSocket::bind(("0.0.0.0", sandbox.ports[1])).expect("a free port");
    lives(&sandbox);
}

/// A container of a stand-in that publishes the sandbox's last port, for as long as the work takes.
fn beside(sandbox: &Sandbox, labels: &[&str], work: impl FnOnce(&str)) {
    let (name, publish) = (format!("{}-holder", sandbox.name), format!("127.0.0.1:{}:30084", sandbox.ports[2]));
    let _ = try_docker(&["rm", "--force", "--volumes", &name]);
    // The network of somebody beside it.
    let network = format!("k3d-{}-other", sandbox.name);
    let args = ["run", "--detach", "--name", &name, "--publish", &publish, "--network", &network];
    let image = images::name("k3s");
    let labels = labels.iter().flat_map(|label| ["--label", label]);
    let args: Vec<&str> = args.into_iter().chain(labels).chain(["--env", "STANDIN_NODE=holder", &image]).collect();
    docker(&args);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&name)));
    let removed = try_docker(&["rm", "--force", "--volumes", &name]);
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
    removed.expect("the container was left alone");
}

fn container() {
    let sandbox = Sandbox::failing("p-box", Failing::No);
    beside(&sandbox, &[], |name| {
        let cause = format!("port {} (minio) is taken by the container `{name}`", sandbox.ports[2]);
        told(&sandbox, &sandbox.up(&[]), &cause);
    });
}

fn cluster() {
    let sandbox = Sandbox::failing("p-k3d", Failing::No);
    let theirs = format!("{}-theirs", sandbox.name);
    beside(&sandbox, &[&format!("k3d.cluster={theirs}"), "k3d.role=server"], |_| {
        let cause = format!("port {} (minio) is taken by the k3d cluster `{theirs}`", sandbox.ports[2]);
        told(&sandbox, &sandbox.up(&[]), &cause);
    });
}

fn twice() {
    let sandbox = Sandbox::failing("p-twice", Failing::No);
    let port = sandbox.ports[0].to_string();
    let ran = sandbox.up(&["--port-minio", &port]);
    fails(Reason::Usage, format!("`ports.minio: {port}`: `ports.console` has this port already")).told_by(&ran);
    sandbox.assert_gone();
}

fn both() {
    let sandbox = Sandbox::failing("p-two", Failing::No);
    let [console, dashboard, _] = sandbox.ports;
    let _held = [console, dashboard].map(|port| TcpListener::bind(("127.0.0.1", port)).expect("a free port"));
    let ran = sandbox.up(&[]);
    told(&sandbox, &ran, &format!("port {dashboard} (dashboard) is taken by process"));
    ran.says(&format!("port {console} (console) is taken by process"));
}

fn taken_late() {
    let sandbox = Sandbox::failing("p-late", Failing::TakesPort);
    let ran = sandbox.up(&[]);
    fails(Reason::PortTaken, "address already in use").showing("Creating node").told_by(&ran);
    sandbox.assert_gone();
    sandbox.fail(Failing::No);
    lives(&sandbox);
}

fn api() {
    let sandbox = Sandbox::failing("p-api", Failing::No);
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = held.local_addr().expect("an address").port();
    let ran = sandbox.up(&["--port-api", &port.to_string()]);
    told(&sandbox, &ran, &format!("port {port} (api) is taken by process {}", std::process::id()));
}
