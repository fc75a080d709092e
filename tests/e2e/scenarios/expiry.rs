//! Sandboxes whose time is limited.

use rustix::process::Signal;
use serde_json::Value;

use super::Scenario;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] =
    &[("a_sandbox_is_kept_until_its_time_is_over", kept), ("what_a_killed_up_left_goes_when_its_time_is_over", killed)];

/// Whether a sandbox of somebody else's on this daemon would be removed too.
pub(super) fn others_due(sandbox: &Sandbox) -> bool {
    let listed = sandbox.run(&["gc", "--dry-run", "--output", "json"]).exits(0);
    let listed: Vec<Value> = serde_json::from_str(&listed.out).expect("a list");
    let due: Vec<&Value> = listed.iter().filter(|one| one["fate"] == "due" && one["sandbox"] != sandbox.name).collect();
    if !due.is_empty() {
        println!("NOT TRIED: this daemon has others whose time is over: {due:?}");
    }
    !due.is_empty()
}

fn kept() {
    let sandbox = Sandbox::new("ttl", &Ground::find(Wish::StandIn, Major::Five));
    sandbox.up(&["--ttl", "2h"]).exits(0);
    let status = |says: &str| sandbox.run(&["status"]).exits(0).says(says);
    status("its time is over in 1h ");
    sandbox.up(&[]).exits(0);
    status("its time is over in 1h ");
    if others_due(&sandbox) {
        return;
    }
    sandbox.run(&["gc"]).exits(0).says(&format!("{} left: its time is over in 1h ", sandbox.name));
    sandbox.up(&["--ttl", "1ms"]).exits(0);
    status("`sandbox gc` removes it");
    sandbox.run(&["gc"]).exits(0).says(&format!("{} removed: its time has been over for ", sandbox.name));
    sandbox.assert_gone();
}

fn killed() {
    let sandbox = Sandbox::new("ttl-kill", &Ground::find(Wish::StandIn, Major::Five));
    let args = sandbox.up_args(&["--ttl", "1ms"]);
    let mut up = sandbox.start(&args);
    up.until_stage("rollout");
    let busy = format!("{} left: `sandbox up` with pid {} holds it", sandbox.name, up.pid());
    if !others_due(&sandbox) {
        sandbox.run(&["gc"]).exits(0).says(&busy);
        up.signal(Signal::KILL);
        up.end();
        sandbox.run(&["gc"]).exits(0).says(&format!("{} removed: ", sandbox.name));
        sandbox.assert_gone();
    }
}
