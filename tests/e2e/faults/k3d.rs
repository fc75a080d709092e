//! k3d: absent, of a version that cannot be used, lying, hanging, noisy, failing half way.

use std::os::unix::fs::PermissionsExt;

use flyte_sandbox::failure::Reason;

use super::Row;
use super::expected::{Expected, fails};
use crate::standin::{Failing, Noise};
use crate::support::running::{Running, processes};
use crate::support::sandbox::Sandbox;

pub(super) const ROWS: &[Row] = &[
    ("that_is_asked_for_and_not_installed_is_told_with_where_to_get_it", absent),
    ("of_version_3_is_too_old", || cannot_be_used("k-3", "k3d version v3.4.0", "it is older than 4.4")),
    ("of_version_6_is_not_known", || cannot_be_used("k-6", "k3d version v6.0.0", "is not known here")),
    ("that_was_withdrawn_is_not_used", || cannot_be_used("k-545", "k3d version v5.4.5", "withdrew it as broken")),
    ("that_is_something_else_is_not_taken_for_one", || cannot_be_used("k-else", "K3D Slicer 1.0", "K3D Slicer 1.0")),
    ("whose_version_does_not_end_is_given_up", version_hangs),
    ("that_is_no_program_cannot_be_used", no_program),
    ("that_ends_well_and_made_nothing_is_not_believed", lies),
    ("that_hangs_is_ended_with_all_its_children", hangs),
    ("that_writes_without_end_takes_no_memory", endless),
    ("that_writes_one_line_without_end_takes_no_memory", endless_line),
    ("that_writes_no_text_is_heard_all_the_same", no_text),
    ("words_about_subnets_are_known", subnets),
    ("words_that_nobody_knows_stay", unknown_words),
    ("that_fails_when_all_is_made_is_undone", fails_late),
    ("that_rolls_back_half_is_undone", rolls_back_half),
];

fn up_fails(sandbox: &Sandbox, expected: &Expected) {
    expected.told_by(&sandbox.up(&[]));
    sandbox.assert_gone();
}

fn absent() {
    let sandbox = Sandbox::failing("k-absent", Failing::No);
    std::fs::remove_file(sandbox.path("bin/k3d")).expect("a link");
    let args = sandbox.up_args(&["--engine", "k3d"]);
    let mut command = sandbox.command(&args);
    command.env("PATH", sandbox.path("bin"));
    let ran = Running::start(command, &args).end();
    fails(Reason::K3dAbsent, "k3d is not installed").told_by(&ran);
    ran.says("https://github.com/k3d-io/k3d/releases");
    sandbox.assert_gone();
}

fn cannot_be_used(name: &str, version: &str, cause: &str) {
    let sandbox = Sandbox::failing(name, Failing::Version(version.to_owned()));
    up_fails(&sandbox, &fails(Reason::K3dUnusable, cause));
    fails(Reason::K3dUnusable, cause).told_by(&sandbox.run(&["doctor"]));
}

fn version_hangs() {
    let sandbox = Sandbox::failing("k-vhang", Failing::VersionHangs);
    fails(Reason::K3dUnusable, "timed out").told_by(&sandbox.up(&["--timeout", "3s"]));
    assert_eq!(processes(&sandbox.path("bin/k3d")), Vec::<u32>::new(), "k3d outlived the run");
    sandbox.assert_gone();
}

fn no_program() {
    let sandbox = Sandbox::failing("k-text", Failing::No);
    std::fs::remove_file(sandbox.path("bin/k3d")).expect("a link");
    sandbox.write("bin/k3d", "\0\0\0\0 not a program");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(sandbox.path("bin/k3d"), mode).expect("permissions");
    up_fails(&sandbox, &fails(Reason::K3dUnusable, "xec format error"));
}

fn lies() {
    let sandbox = Sandbox::failing("k-lies", Failing::Nothing);
    up_fails(&sandbox, &fails(Reason::K3dNoNode, "there is no node"));
}

fn hangs() {
    let sandbox = Sandbox::failing("k-hang", Failing::Hang);
    fails(Reason::K3dTimeout, "timed out after 6s")
        .showing("Creating network")
        .told_by(&sandbox.up(&["--timeout", "6s"]));
    assert_eq!(processes(&sandbox.path("bin/k3d")), Vec::<u32>::new(), "k3d outlived the run");
    sandbox.assert_gone();
}

/// More than the memory that the run may have.
fn noisy(name: &str, noise: Noise, mebibytes: usize) {
    const MEMORY: &str = "ulimit -d 200000; exec \"$0\" \"$@\"";
    let sandbox = Sandbox::failing(name, Failing::Noise(noise, mebibytes));
    let args = sandbox.up_args(&[]);
    let mut command = sandbox.command_of("/bin/bash".as_ref(), &["-c", MEMORY, env!("CARGO_BIN_EXE_sandbox")]);
    command.args(&args);
    let ran = Running::start(command, &args).end();
    fails(Reason::DiskFull, "no space left on device").told_by(&ran);
    assert!(ran.out.len() < 4 << 20, "{} bytes of events", ran.out.len());
    sandbox.assert_gone();
}

fn endless() {
    noisy("k-lines", Noise::Lines, 100);
}

fn endless_line() {
    noisy("k-line", Noise::Line, 400);
}

fn no_text() {
    noisy("k-bytes", Noise::Bytes, 1);
}

fn says(name: &str, words: &str, reason: Reason) {
    let sandbox = Sandbox::failing(name, Failing::Says(words.to_owned()));
    up_fails(&sandbox, &fails(reason, words).showing(words));
}

fn subnets() {
    says(
        "k-subnets",
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
        Reason::SubnetsExhausted,
    );
}

fn unknown_words() {
    says("k-words", "the flux capacitor of node 'k3d-x' is empty: 1.21 GW needed", Reason::K3d);
}

fn fails_late() {
    let words = "Failed to stat file '/etc/hosts' in node";
    let sandbox = Sandbox::failing("k-late", Failing::After(words.to_owned()));
    up_fails(&sandbox, &fails(Reason::K3d, words).showing(words));
}

fn rolls_back_half() {
    let sandbox = Sandbox::failing("k-half", Failing::RollsBackHalf);
    up_fails(&sandbox, &fails(Reason::K3d, "server-0 did not come up"));
}
