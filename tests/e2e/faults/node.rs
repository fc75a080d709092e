//! The node's container, and k3s in it.

use flyte_sandbox::failure::Reason;

use super::expected::fails;
use super::{Row, long_enough};
use flyte_sandbox::rehearsal::Answer;

use crate::standin::{Failing, Faults};
use crate::support::docker::docker;
use crate::support::sandbox::{Sandbox, is_running};

pub(super) const ROWS: &[Row] = &[
    ("that_ends_at_once_is_told_by_its_own_last_words", || {
        ends("n-crash", "starting kubernetes: preparing server: no room for a datastore", 1, Reason::NodeCrash);
    }),
    ("that_does_not_know_the_cgroups_says_so", || {
        ends("n-cgroup", "failed to find memory cgroup (v2)", 1, Reason::NodeCgroup);
    }),
    ("without_inotify_instances_says_so", || {
        ends("n-inotify", "kubelet exited: inotify_init: too many open files", 1, Reason::NodeInotify);
    }),
    ("whose_disk_is_full_says_so", || {
        ends("n-disk", "write /var/lib/rancher/k3s/server/db/state.db: no space left on device", 1, Reason::DiskFull);
    }),
    ("that_the_kernel_killed_lacked_memory", killed),
    ("that_is_removed_while_it_starts_is_told", || taken_away("n-gone", &["rm", "--force", "--volumes"], "preflight")),
    ("that_is_removed_while_objects_come_is_told", || {
        taken_away("n-gone-2", &["rm", "--force", "--volumes"], "rollout")
    }),
    ("that_is_stopped_while_objects_come_is_told", || taken_away("n-stop", &["stop", "--time", "0"], "rollout")),
    ("whose_api_never_is_ready_is_given_up", never_ready),
    ("that_keeps_its_broken_cluster_for_a_look", kept),
];

fn ends(name: &str, words: &str, code: u8, reason: Reason) {
    let sandbox = Sandbox::faulty(name, Faults { ends: Some((words.to_owned(), code)), ..Faults::default() });
    fails(reason, words).showing(words).told_by(&sandbox.up(&[]));
    sandbox.assert_gone();
}

/// As the kernel kills: without a last word.
fn killed() {
    let sandbox = Sandbox::faulty("n-137", Faults { ends: Some((String::new(), 137)), ..Faults::default() });
    fails(Reason::NodeMemory, "for lack of memory").showing("Starting k3s").told_by(&sandbox.up(&[]));
    sandbox.assert_gone();
}

/// Somebody takes the node away, once it runs and the run is in this stage.
fn taken_away(name: &str, how: &[&str], stage: &str) {
    let sandbox = Sandbox::failing(name, Failing::No);
    let args = sandbox.up_args(&[]);
    let mut up = sandbox.start(&args);
    up.until_stage(stage);
    let node = sandbox.node();
    up.until("a node", || is_running(&node));
    docker(&[how, &[&node]].concat());
    fails(Reason::NodeRemoved, "").told_by(&up.end());
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn never_ready() {
    let sandbox = Sandbox::failing("n-ready", Failing::No);
    let long = long_enough(&sandbox);
    let answer = Answer::Status(500, "[-]etcd failed: reason withheld".to_owned());
    sandbox.spoil(&Faults::answering("api GET /readyz", answer));
    docker(&["stop", "--time", "0", &sandbox.node()]);
    let ran = sandbox.up(&["--timeout", &long]);
    fails(Reason::ClusterNotReady, "API: waiting for /readyz").showing("k3s is up and running").told_by(&ran);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn kept() {
    let words = "no room for a datastore";
    let sandbox = Sandbox::faulty("n-keep", Faults { ends: Some((words.to_owned(), 1)), ..Faults::default() });
    let ran = sandbox.up(&["--keep"]);
    fails(Reason::NodeCrash, words).showing(words).told_by(&ran);
    ran.says(&format!("sandbox down --name {}", sandbox.name));
    assert!(!docker(&["ps", "--all", "--quiet", "--filter", &format!("name={}", sandbox.node())]).is_empty());
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}
