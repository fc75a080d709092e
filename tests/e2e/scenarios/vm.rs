//! Docker in a virtual machine: ports that come late, linger, never arrive or are taken here, and what is told of the product.
//!
//! The machine is played, and so is its forwarder of ports, whose worst is what Lima's does: see `support/vm.rs` and
//! `standin/forwarder.rs`.

use std::net::TcpListener;
use std::ops::Deref;
use std::time::{Duration, Instant};

use flyte_sandbox::failure::Reason;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Scenario;
use crate::faults::expected::fails;
use crate::standin::Forwarding;
use crate::support::daemon::{Daemon, Mishap};
use crate::support::desk::Desk;
use crate::support::images;
use crate::support::ran::Ran;
use crate::support::vm::Vm;

pub(super) const SCENARIOS: &[Scenario] = &[
    ("vm_ports_that_come_late_and_linger_are_waited_for_and_those_that_are_lost_are_told", late),
    ("vm_a_port_that_never_arrives_is_told_in_time_and_nothing_is_left", never),
    ("vm_a_port_of_flyte_that_never_arrives_is_not_flytes_fault", lost),
    ("vm_a_port_that_is_taken_here_is_told_before_anything_is_made", taken),
    ("vm_the_product_its_clock_and_its_memory_are_told_in_its_own_words", words),
];

/// Lima's time between two looks at what is published.
const TICK: Duration = Duration::from_secs(3);
const GIB: u64 = 1 << 30;

/// A folder to run the binary in, with a Docker of Colima's.
struct Colima {
    desk: Desk,
    daemon: Daemon,
    vm: Vm,
}

impl Deref for Colima {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl Colima {
    /// Absent where this machine cannot play it.
    fn start(name: &str) -> Option<Self> {
        let vm = match Vm::start(name) {
            Ok(vm) => vm,
            Err(why) => {
                println!("NOT TRIED: a Docker daemon in a virtual machine: {why}");
                return None;
            }
        };
        let mut desk = Desk::new(name);
        let daemon = Daemon::before(&vm.host(), desk.path("colima.sock"));
        desk.docker_host = daemon.host();
        daemon.always("GET /info", Mishap::Changed(colimas));
        Some(Self { desk, daemon, vm })
    }

    /// What its daemon says of itself from now on.
    fn says(&self, of_itself: fn(&mut Value)) {
        self.daemon.recovers();
        self.daemon.always("GET /info", Mishap::Changed(of_itself));
    }

    fn up(&self) -> Ran {
        self.run(&["up", "--output", "json", "--no-cache", "--engine", "docker"])
    }

    #[track_caller]
    fn assert_gone(&self) {
        assert_eq!(self.vm.things(), Vec::<String>::new());
        self.assert_no_state();
    }
}

/// What a daemon of Colima's says of itself.
fn colimas(info: &mut Value) {
    info["Name"] = json!("colima");
    info["OperatingSystem"] = json!("Ubuntu 24.04.1 LTS");
    info["KernelVersion"] = json!("6.8.0-50-generic");
    info["MemTotal"] = json!(6 * GIB);
}

#[track_caller]
fn never_says_kill(ran: &Ran) {
    assert!(!ran.out.contains("kill") && !ran.err.contains("kill"), "{ran:?}");
}

fn late() {
    let Some(colima) = Colima::start("vm-late") else { return };
    let forwarder = colima.vm.forward(Forwarding { late: TICK, ..Forwarding::default() });
    colima.up().exits(0);
    colima.run(&["down"]).exits(0);
    let again = colima.up().exits(0).says("Colima still holds a port");
    never_says_kill(&again);

    drop(forwarder);
    let smoke = colima.run(&["smoke"]).says("`colima restart`");
    fails(Reason::PortUnreachable, "127.0.0.1:").told_by(&smoke);
    let status = colima.run(&["status"]).exits(5).says("does not arrive on this machine").says("`colima restart`");
    assert!(!status.out.contains("broken"), "the node is well: {status:?}");

    let forwarder = colima.vm.forward(Forwarding::default());
    let began = Instant::now();
    while colima.run(&["status"]).status.code() != Some(0) {
        assert!(began.elapsed() < Duration::from_secs(20), "the ports are back, and the sandbox is not");
    }
    colima.run(&["down"]).exits(0);
    colima.assert_gone();
    drop(forwarder);
}

fn never() {
    let Some(colima) = Colima::start("vm-never") else { return };
    let _forwarder = colima.vm.forward(Forwarding { ignored: vec![6443], ..Forwarding::default() });
    let began = Instant::now();
    let ran = colima.up().says("`colima restart`");
    fails(Reason::PortUnreachable, "127.0.0.1:").told_by(&ran);
    never_says_kill(&ran);
    assert!(began.elapsed() < Duration::from_secs(45), "told after {:?}", began.elapsed());
    colima.assert_gone();
}

fn lost() {
    let Some(colima) = Colima::start("vm-lost") else { return };
    let forwarder = colima.vm.forward(Forwarding { ignored: vec![30082], ..Forwarding::default() });
    let port = colima.ports[1];
    let ran =
        colima.run(&["up", "--output", "json", "--no-cache", "--engine", "docker", "--keep"]).says("`colima restart`");
    fails(Reason::PortUnreachable, format!("127.0.0.1:{port} does not: connection refused")).told_by(&ran);
    never_says_kill(&ran);
    let smoke =
        ran.events().iter().find(|event| event["event"] == "stage-finished" && event["stage"] == "smoke").cloned();
    let took = smoke.expect("it got so far")["millis"].as_u64().expect("a number");
    assert!((10_000..15_000).contains(&took), "told after {took} ms of asking");
    let status = colima.run(&["status"]).exits(5).says(&format!("port {port} does not arrive on this machine"));
    assert!(!status.out.contains("broken"), "{status:?}");

    drop(forwarder);
    let _forwarder = colima.vm.forward(Forwarding::default());
    colima.up().exits(0);
    colima.run(&["down"]).exits(0);
    colima.assert_gone();
}

fn taken() {
    let Some(colima) = Colima::start("vm-taken") else { return };
    let port = colima.ports[2];
    let forwarder = colima.vm.forward(Forwarding::default());

    let held = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    // The machine knows nothing of it: Docker refuses nothing.
    let publish = format!("127.0.0.1:{port}:30084");
    let web = ["run", "--detach", "--name", "web", "--publish", &publish, "--env", "STANDIN_NODE=web"];
    colima.vm.docker(&[&web[..], &[&images::name("k3s")]].concat());
    forwarder.until_it_logs(&format!("127.0.0.1:{port}: Address already in use"));
    colima.vm.docker(&["rm", "--force", "--volumes", "web"]);

    let pid = std::process::id();
    let ran = colima.up().says(&format!("`kill {pid}` frees it")).says("`--port-minio ");
    fails(Reason::PortTaken, format!("port {port} (minio) is taken by process {pid} (`")).told_by(&ran);
    colima.assert_gone();
    drop(held);

    let another = colima.vm.forward(Forwarding { held: vec![port], ..Forwarding::default() });
    another.until_it_logs(&format!("forwarding tcp: 127.0.0.1:{port}"));
    let ran = colima.up().says("`--port-minio ");
    fails(Reason::PortTaken, format!("port {port} (minio) is taken by Lima")).told_by(&ran);
    never_says_kill(&ran);
    colima.assert_gone();
}

fn words() {
    let Some(colima) = Colima::start("vm-words") else { return };
    colima.run(&["doctor"]).exits(0).says(" of Colima, API ").says("48.4 GiB free");

    colima.says(|info| {
        colimas(info);
        info["SystemTime"] = json!(Timestamp::now() + SignedDuration::from_hours(1));
    });
    let began = Instant::now();
    let ran = colima.up().says("`colima restart`");
    assert!(began.elapsed() < Duration::from_secs(5), "told after {:?}", began.elapsed());
    fails(Reason::ClockSkew, "ahead of this machine's").told_by(&ran);

    // What a machine of 2 GiB has for its programs.
    colima.says(|info| {
        colimas(info);
        info["MemTotal"] = json!(2 * GIB - (60 << 20));
    });
    let ran = colima.up().says("`colima stop`, then `colima start --memory 6`");
    fails(Reason::MemoryLow, "Docker has 1.9 GiB of memory").told_by(&ran);
    colima.assert_gone();
}
