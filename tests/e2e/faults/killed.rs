//! Runs that are stopped or killed, in every stage; and runs in each other's way.

use flyte_sandbox::failure::Reason;
use rustix::process::Signal;

use super::expected::fails;
use super::{Fault, fault};
use crate::standin::Failing;
use crate::support::docker::docker;
use crate::support::running::{Running, processes};
use crate::support::sandbox::Sandbox;

/// The stages of an `up` that goes well, and those of one that fails at k3d.
const WELL: &[&str] = &["plan", "preflight", "cluster", "images", "apply", "rollout", "smoke"];
const ILL: &[&str] = &["evidence", "down"];

const SIGNALS: [(&str, Signal); 3] = [("int", Signal::INT), ("term", Signal::TERM), ("kill", Signal::KILL)];

pub(super) fn all() -> Vec<Fault> {
    let mut all = Vec::new();
    for (word, signal) in SIGNALS {
        // The one polite signal is heard where the other is.
        let stages = if signal == Signal::TERM { &["cluster", "rollout"] } else { WELL };
        for stage in stages {
            all.push(fault(format!("in_{stage}_by_sig{word}"), move || stopped(stage, word, signal, Failing::No)));
        }
        for stage in ILL.iter().filter(|_| signal != Signal::TERM) {
            let failing = Failing::After("no such luck".to_owned());
            all.push(fault(format!("in_{stage}_of_a_failed_up_by_sig{word}"), move || {
                stopped(stage, word, signal, failing)
            }));
        }
        all.push(fault(format!("in_a_down_by_sig{word}"), move || stopped_down(word, signal)));
    }
    let more: [(&str, fn()); 6] = [
        ("twice_leaves_at_once_and_says_how_to_clean_up", twice),
        ("two_ups_at_once_on_one_name_are_one_up", two_ups),
        ("an_up_while_a_down_works_names_it", up_while_down),
        ("two_names_at_once_do_not_meet", two_names),
        ("a_lock_whose_holder_died_is_nobodys", dead_holder),
        ("a_terminal_that_closes_stops_the_run", hangup),
    ];
    all.extend(more.map(|(sentence, test)| fault(sentence, test)));
    all
}

/// An `up` that gets this signal in this stage. After it `down` works; after a kill `up` does, too.
fn stopped(stage: &str, word: &str, signal: Signal, failing: Failing) {
    let fails_anyway = failing != Failing::No;
    let sandbox = Sandbox::failing(&format!("x-{stage}-{}-{word}", u8::from(fails_anyway)), failing);
    let args = sandbox.up_args(&[]);
    let mut up = sandbox.start(&args);
    up.until_stage(stage);
    up.signal(signal);
    let ran = up.end();
    if signal == Signal::KILL {
        assert_eq!(ran.status.code(), None, "{ran:?}");
        sandbox.fail(Failing::No);
        sandbox.up(&[]).exits(0);
    } else if fails_anyway {
        // What undoes is not undone.
        fails(Reason::K3d, "no such luck").told_by(&ran);
        sandbox.assert_gone();
    } else {
        fails(Reason::Interrupted, "").told_by(&ran);
        sandbox.assert_gone();
    }
    sandbox.run(&["down"]).exits(0);
    assert_eq!(processes(&sandbox.path("bin/k3d")), Vec::<u32>::new(), "k3d outlived the run");
    sandbox.assert_gone();
}

/// A `down` that gets this signal, and may have ended by then.
fn stopped_down(word: &str, signal: Signal) {
    let sandbox = Sandbox::failing(&format!("x-gone-{word}"), Failing::No);
    sandbox.up(&[]).exits(0);
    let mut down = sandbox.start(&["down", "--output", "json"]);
    down.until_stage("down");
    down.signal(signal);
    let code = down.end().status.code();
    assert!([Some(0), Some(130), None].contains(&code), "{code:?}");
    if signal == Signal::KILL {
        sandbox.up(&[]).exits(0);
    }
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn twice() {
    let sandbox = Sandbox::failing("x-twice", Failing::Hang);
    let args = sandbox.up_args(&[]);
    let mut up = sandbox.start(&args);
    // A volume comes before it. What the daemon is still asked for when a run leaves at once may come after `down`.
    let is_network = |thing: &String| thing.starts_with("network ");
    up.until("a network", || crate::support::docker::belongings(&sandbox.name).iter().any(is_network));
    up.signal(Signal::INT);
    up.until_stage("down");
    up.signal(Signal::INT);
    up.end().exits(130).says(&format!("`sandbox down --name {}` removes what is there", sandbox.name));
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn two_ups() {
    let sandbox = Sandbox::failing("x-two", Failing::No);
    let args = sandbox.up_args(&[]);
    let [one, other] = [sandbox.start(&args), sandbox.start(&args)];
    let (pids, ended) = ([one.pid(), other.pid()], [one.end(), other.end()]);
    let won = ended.iter().position(|ran| ran.status.code() == Some(0)).expect("one of them wins");
    let holder = format!("`sandbox up` with pid {} holds it", pids[won]);
    fails(Reason::Locked, holder).told_by(&ended[1 - won]);
    sandbox.run(&["smoke"]).exits(0);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn up_while_down() {
    let sandbox = Sandbox::failing("x-while", Failing::No);
    sandbox.up(&[]).exits(0);
    // A node that takes a while to go: its end is waited for.
    let mut down = sandbox.start(&["down", "--output", "json"]);
    down.until_stage("down");
    let holder = format!("`sandbox down` with pid {} holds it", down.pid());
    let up = sandbox.up(&[]);
    down.end().exits(0);
    // Where `down` was faster, `up` has made it anew.
    match up.status.code() {
        Some(0) => drop(sandbox.run(&["down"]).exits(0)),
        _ => fails(Reason::Locked, holder).told_by(&up),
    }
    sandbox.assert_gone();
}

fn two_names() {
    let [one, other] = ["x-one", "x-other"].map(|name| Sandbox::failing(name, Failing::No));
    let (args, others_args) = (one.up_args(&[]), other.up_args(&[]));
    let (first, mut second) = (one.start(&args), other.start(&others_args));
    second.until_stage("apply");
    second.signal(Signal::INT);
    fails(Reason::Interrupted, "").told_by(&second.end());
    other.assert_gone();
    first.end().exits(0);
    one.run(&["smoke"]).exits(0);
    one.run(&["down"]).exits(0);
    one.assert_gone();
}

fn dead_holder() {
    let sandbox = Sandbox::failing("x-dead", Failing::No);
    sandbox.write(&format!("state/{}.lock", sandbox.name), format!("{} up", u32::MAX));
    sandbox.up(&[]).exits(0);
    sandbox.write(&format!("state/{}.lock", sandbox.name), "1 down");
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn hangup() {
    let sandbox = Sandbox::failing("x-hup", Failing::No);
    let args = sandbox.up_args(&[]);
    let mut up: Running = sandbox.start(&args);
    up.until_stage("apply");
    up.signal(Signal::HUP);
    fails(Reason::Interrupted, "").told_by(&up.end());
    sandbox.assert_gone();
    assert!(docker(&["ps", "--quiet", "--filter", &format!("name={}", sandbox.node())]).is_empty());
}
