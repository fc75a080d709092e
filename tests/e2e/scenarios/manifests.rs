//! Manifests of others.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use super::Scenario;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::ran::outcome;
use crate::support::running::Running;
use crate::support::sandbox::Sandbox;

/// What the Helm chart of Flyte v0.15.0 writes, where it lies beside this repository.
const UPSTREAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/upstream/minimal-perms-jp.yaml");

pub(super) const SCENARIOS: &[Scenario] = &[
    ("a_sandbox_is_made_from_upstreams_manifests", upstream),
    ("what_render_prints_can_be_brought_up_from_standard_input", rendered),
];

fn upstream() {
    let sandbox = Sandbox::new("upstream", &Ground::find(Wish::Real, Major::Five));
    let ran = if Path::new(UPSTREAM).exists() {
        sandbox.up(&["--manifests", UPSTREAM])
    } else {
        println!("NOT HERE: {UPSTREAM}; the built-in manifests, which are in the same vocabulary, take its place");
        sandbox.up(&["--manifests", concat!(env!("CARGO_MANIFEST_DIR"), "/manifests")])
    };
    assert_eq!(outcome(&ran.exits(0).events(), "smoke"), "passed");
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn rendered() {
    let sandbox = Sandbox::new("stdin", &Ground::find(Wish::StandIn, Major::Five));
    let rendered = sandbox.run(&["render"]).exits(0).out;
    let args = sandbox.up_args(&["--manifests", "-"]);
    let mut command = sandbox.command(&args);
    command.stdin(Stdio::piped());
    let up = Running::start_with(command, &args, |mut stdin| {
        stdin.write_all(rendered.as_bytes()).expect("a reader");
    });
    let events = up.end().exits(0).events();
    assert_eq!(outcome(&events, "smoke"), "passed");
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}
