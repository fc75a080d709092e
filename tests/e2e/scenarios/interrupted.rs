//! Runs that are stopped, politely and not.

use rustix::process::Signal;

use super::Scenario;
use crate::standin::Failing;
use crate::support::docker::belongings;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::running::processes;
use crate::support::sandbox::{Sandbox, is_running};

pub(super) const SCENARIOS: &[Scenario] = &[
    ("an_interrupted_up_is_undone_and_says_so", interrupted),
    ("an_interrupt_ends_a_k3d_that_hangs", hanging),
    ("a_killed_up_is_mended_by_the_next_and_removed_by_down", killed),
];

fn interrupted() {
    let sandbox = Sandbox::new("int", &Ground::find(Wish::Real, Major::Five));
    let args = sandbox.up_args(&[]);
    let mut up = sandbox.start(&args);
    up.until("a node", || is_running(&sandbox.node()));
    up.signal(Signal::INT);
    let ran = up.end().exits(130);
    assert_eq!(ran.failure()["reason"], "interrupted");
    ran.says("undone: ");
    sandbox.assert_gone();
    assert!(!sandbox.path("state/failures").exists(), "there is nothing to explain");
}

fn hanging() {
    let sandbox = Sandbox::new("hang", &Ground::find(Wish::StandIn, Major::Five));
    sandbox.fail(Failing::Hang);
    let args = sandbox.up_args(&[]);
    let mut up = sandbox.start(&args);
    up.until("a network", || !belongings(&sandbox.name).is_empty());
    up.signal(Signal::INT);
    up.end().exits(130);
    assert_eq!(processes(&sandbox.path("bin/k3d")), Vec::<u32>::new(), "k3d outlived the run");
    sandbox.assert_gone();

    let failure = sandbox.up(&["--timeout", "4s"]).exits(5).failure();
    assert_eq!(failure["reason"], "k3d-timeout", "{failure}");
    sandbox.assert_gone();
}

fn killed() {
    let sandbox = Sandbox::new("kill", &Ground::find(Wish::StandIn, Major::Five));
    let kill = || {
        let args = sandbox.up_args(&[]);
        let mut up = sandbox.start(&args);
        up.until("a node", || is_running(&sandbox.node()));
        up.signal(Signal::KILL);
        assert_eq!(up.end().status.code(), None);
        assert!(!belongings(&sandbox.name).is_empty());
    };
    kill();
    sandbox.up(&[]).exits(0).events();
    sandbox.run(&["smoke"]).exits(0);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
    kill();
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}
