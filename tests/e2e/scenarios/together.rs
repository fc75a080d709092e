//! Two sandboxes, and two runs on one.

use super::Scenario;
use crate::support::docker::belongings;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] =
    &[("two_sandboxes_live_side_by_side", side_by_side), ("a_second_run_on_a_sandbox_names_the_first", second_run)];

fn side_by_side() {
    let ground = Ground::find(Wish::StandIn, Major::Five);
    let [one, other] = ["one", "other"].map(|name| Sandbox::new(name, &ground));
    let (args, others_args) = (one.up_args(&[]), other.up_args(&[]));
    let (first, second) = (one.start(&args), other.start(&others_args));
    first.end().exits(0);
    second.end().exits(0);
    let status = one.run(&["status"]).exits(0);
    // The machine may have more of them than this test knows.
    let others = status.out.lines().find_map(|line| line.trim().strip_prefix("other sandboxes: ")).unwrap_or_default();
    assert!(others.split(", ").any(|name| name == other.name), "{} is not among {others:?}", other.name);

    let taken = one.ports[2].to_string();
    let third = Sandbox::new("third", &ground);
    let ran = third.run(&["up", "--port-minio", &taken]).exits(3);
    ran.says(&format!("port {taken} (minio) is taken by the sandbox `{}`", one.name));
    third.assert_gone();

    one.run(&["down"]).exits(0);
    one.assert_gone();
    other.run(&["smoke"]).exits(0);
    other.run(&["down"]).exits(0);
    other.assert_gone();
}

fn second_run() {
    let sandbox = Sandbox::new("twice", &Ground::find(Wish::StandIn, Major::Five));
    let args = sandbox.up_args(&[]);
    let mut first = sandbox.start(&args);
    first.until("something made", || !belongings(&sandbox.name).is_empty());
    let named = format!("`sandbox up` with pid {} holds it", first.pid());
    for args in [&["up"], &["down"]] {
        sandbox.run(args).exits(11).says(&named);
    }
    first.end().exits(0);
    sandbox.run(&["smoke"]).exits(0);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}
