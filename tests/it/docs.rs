//! Documentation that could rot is made from the code, and compared. `UPDATE_DOCS=1` writes it anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use flyte_sandbox::failure::Reason;
use flyte_sandbox::spec;

fn compare(path: &str, made: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, made).expect("written");
    }
    let stands = fs::read_to_string(&file).unwrap_or_default();
    assert!(stands == made, "{path} is stale; `UPDATE_DOCS=1 cargo test --test it docs` writes it anew");
}

fn help(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sandbox")).args(args).arg("--help").env("COLUMNS", "100").output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_command_reference_is_what_help_says() {
    let commands = [
        &["up"][..],
        &["down"],
        &["stop"],
        &["start"],
        &["reset"],
        &["snapshot"],
        &["snapshot", "save"],
        &["snapshot", "list"],
        &["snapshot", "show"],
        &["snapshot", "remove"],
        &["backup"],
        &["gc"],
        &["status"],
        &["smoke"],
        &["doctor"],
        &["diagnose"],
        &["plan"],
        &["render"],
        &["list"],
        &["ui"],
        &["logs"],
        &["exec"],
        &["psql"],
        &["run"],
        &["open"],
        &["kubectl"],
        &["images"],
        &["images", "list"],
        &["images", "pull"],
        &["images", "bundle"],
        &["images", "load"],
        &["images", "import"],
        &["images", "prune"],
        &["project"],
        &["project", "add"],
        &["project", "list"],
        &["project", "remove"],
        &["config"],
        &["kubeconfig"],
        &["credentials"],
        &["runs"],
        &["runs", "list"],
        &["runs", "show"],
        &["runs", "export"],
        &["runs", "diff"],
        &["schema"],
        &["completions"],
    ];
    let mut made = "# Command reference\n\nMade from `--help` by a test; do not edit.\n".to_owned();
    made.push_str(&format!("\n## sandbox\n\n```text\n{}```\n", help(&[])));
    for command in commands {
        made.push_str(&format!("\n## sandbox {}\n\n```text\n{}```\n", command.join(" "), help(command)));
    }
    for command in help(&[]).lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty())
    {
        let name = command.split_whitespace().next().expect("a name");
        assert!(commands.iter().any(|known| known[0] == name), "`{name}` is not in this list");
    }
    compare("docs/cli.md", &made);
}

#[test]
fn the_spec_schema_is_the_types() {
    let schema = serde_json::to_string_pretty(&spec::schema()).expect("JSON");
    compare("sandbox/schema/sandbox.schema.json", &format!("{schema}\n"));
}

#[test]
fn every_exit_code_is_in_the_readme() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("there");
    for reason in Reason::ALL {
        let row = format!("| {} |", reason.exit_code());
        assert!(readme.contains(&row), "{reason:?} has exit code {}, which the table lacks", reason.exit_code());
    }
}

#[test]
fn every_reason_is_documented() {
    compare("docs/reasons.md", &flyte_sandbox::reason::page());
}
