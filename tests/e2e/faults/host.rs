//! The machine around the binary: homes, folders and streams.

use std::fs::File;
use std::process::Stdio;

use flyte_sandbox::failure::Reason;

use super::Row;
use super::expected::fails;
use crate::standin::Failing;
use crate::support::desk::Desk;
use crate::support::running::Running;
use crate::support::sandbox::Sandbox;

pub(super) const ROWS: &[Row] = &[
    ("a_place_for_state_that_is_a_file_is_told", || state_at("file", "Not a directory")),
    ("a_place_for_state_that_cannot_be_made_is_told", || state_at("/proc/no/such", "No such file")),
    ("a_home_that_cannot_be_written_is_told", home_unwritable),
    ("a_lock_that_is_a_folder_is_told", lock_is_a_folder),
    ("a_sandbox_folder_that_is_a_file_is_told", folder_is_a_file),
    ("without_a_home_a_sandbox_lives_and_leaves_nothing", no_home),
    ("a_home_with_spaces_and_strange_letters_is_a_home", strange_home),
    ("stale_files_of_an_earlier_life_are_in_nobodys_way", stale_files),
    ("a_full_standard_output_is_no_success", full_output),
    ("a_reader_that_goes_away_is_no_failure", reader_gone),
    ("a_place_for_junit_that_cannot_be_written_is_no_success", junit),
];

fn up_fails(desk: &Desk, place: &str, cause: &str) {
    let args = ["up", "--output", "json"];
    let mut command = desk.command(&args);
    command.env("SANDBOX_STATE_DIR", place);
    fails(Reason::StateUnwritable, cause).told_by(&Running::start(command, &args).end());
    desk.assert_docker_not_asked();
}

fn state_at(place: &str, cause: &str) {
    let desk = Desk::new("h-state");
    desk.write("file", "");
    up_fails(&desk, &desk.path(place).join("inner").to_string_lossy(), cause);
    desk.assert_no_state();
}

fn home_unwritable() {
    let desk = Desk::new("h-home");
    let args = ["up"];
    let mut command = desk.command(&args);
    command.env_remove("SANDBOX_STATE_DIR").env("HOME", "/proc/1/no-home");
    fails(Reason::StateUnwritable, "No such file").told_by(&Running::start(command, &args).end());
    desk.assert_docker_not_asked();
}

fn lock_is_a_folder() {
    let desk = Desk::new("h-lock");
    std::fs::create_dir(desk.path(&format!("state/{}.lock", desk.name))).expect("a folder");
    up_fails(&desk, &desk.path("state").to_string_lossy(), "Is a directory");
}

fn folder_is_a_file() {
    let sandbox = Sandbox::failing("h-file", Failing::No);
    let folder = format!("state/{}", sandbox.name);
    sandbox.write(&folder, "");
    fails(Reason::StateUnwritable, "").told_by(&sandbox.up(&[]));
    std::fs::remove_file(sandbox.path(&folder)).expect("the file that was there stays");
    sandbox.assert_gone();
}

fn no_home() {
    let sandbox = Sandbox::failing("h-nohome", Failing::No);
    std::fs::create_dir(sandbox.path("tmp")).expect("a folder");
    for args in [&sandbox.up_args(&[])[..], &["smoke"], &["down"]] {
        let mut command = sandbox.command(args);
        command.env_remove("HOME").env_remove("SANDBOX_STATE_DIR").env("TMPDIR", sandbox.path("tmp"));
        Running::start(command, args).end().exits(0);
    }
    sandbox.assert_gone();
    Desk::assert_no_state_in(&sandbox.path("tmp/flyte-sandbox"));
}

fn strange_home() {
    let sandbox = Sandbox::failing("h-strange", Failing::No);
    let home = sandbox.path("home of Jürgen 'Ünïcode' 日本");
    std::fs::create_dir(&home).expect("a folder");
    for args in [&sandbox.up_args(&[])[..], &["status"], &["kubeconfig"], &["down"]] {
        let mut command = sandbox.command(args);
        command.env_remove("SANDBOX_STATE_DIR").env("HOME", &home);
        Running::start(command, args).end().exits(0);
    }
    sandbox.assert_gone();
    Desk::assert_no_state_in(&home.join(".local/state/flyte-sandbox"));
}

fn stale_files() {
    let sandbox = Sandbox::failing("h-stale", Failing::No);
    let folder = format!("state/{}", sandbox.name);
    std::fs::create_dir_all(sandbox.path(&folder).join("k3d/old")).expect("a folder");
    for file in ["kubeconfig.yaml", "kubeconfig.partial", "k3d/k3d-kubeconfig.yaml", "unknown"] {
        sandbox.write(&format!("{folder}/{file}"), b"\0garbage: [");
    }
    sandbox.write(&format!("{folder}.lock"), b"\xff\xff no pid");
    sandbox.up(&[]).exits(0);
    sandbox.run(&["smoke"]).exits(0);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn full_output() {
    let desk = Desk::new("h-full");
    for args in [&["plan"][..], &["render"], &["schema", "spec"], &["images", "list", "--help"]] {
        let mut command = desk.command(args);
        command.stdout(File::create("/dev/full").expect("a device"));
        let output = command.output().expect("the binary");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        assert!(!output.status.success() || args.contains(&"--help"), "{args:?} is called a success: {said}");
    }
    desk.assert_no_state();
}

fn reader_gone() {
    let desk = Desk::new("h-pipe");
    for args in [&["render"][..], &["plan"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = desk.command(args);
        command.stdout(Stdio::from(writer));
        let output = command.output().expect("the binary");
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
}

fn junit() {
    let sandbox = Sandbox::failing("h-junit", Failing::No);
    let ran = sandbox.up(&["--junit", "/proc/1/junit.xml"]);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    ran.says("cannot write the JUnit report").says("junit.xml");
    sandbox.assert_gone();
}
