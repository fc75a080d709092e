//! Documentation that could rot is made from the code, and compared. `UPDATE_DOCS=1` writes it anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use flyte_sandbox::failure::Reason;
use flyte_sandbox::report::Stage;
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

#[test]
fn the_pictures_are_of_the_program_that_there_is() {
    const STALE: &str = "run scripts/pictures";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("there");
    for (picture, most) in [("docs/pictures/up.svg", 60_000), ("docs/pictures/page.webp", 150_000)] {
        let shown = readme.split("![").skip(1).any(|image| {
            image.split_once("](").is_some_and(|(text, to)| !text.is_empty() && to.starts_with(&format!("{picture})")))
        });
        assert!(shown, "README.md does not show {picture}, or not to those who cannot see it");
        let file = fs::metadata(root.join(picture)).unwrap_or_else(|error| panic!("{picture}: {error}: {STALE}"));
        assert!((1_000..=most).contains(&file.len()), "{picture} has {} bytes", file.len());
    }
    let page = fs::read(root.join("docs/pictures/page.webp")).expect("there");
    assert!(page.starts_with(b"RIFF") && page[8..].starts_with(b"WEBP"), "{STALE}");

    let terminal = fs::read_to_string(root.join("docs/pictures/up.svg")).expect("there");
    let texts: Vec<_> = terminal
        .split("<text ")
        .skip(1)
        .filter_map(|text| text.split_once('>')?.1.split_once('<'))
        .map(|(text, _)| text)
        .collect();
    // The stages of an `up` on nothing, and no others: a mark, a name, and what came of it.
    let stages =
        [Stage::Plan, Stage::Preflight, Stage::Images, Stage::Apply, Stage::Cluster, Stage::Rollout, Stage::Smoke];
    let mut named: Vec<_> = texts
        .windows(3)
        .filter(|three| three[2].ends_with(" s") && ["✓", "="].contains(&three[0]))
        .map(|three| three[1])
        .collect();
    let mut titles = stages.map(Stage::title);
    named.sort_unstable();
    titles.sort_unstable();
    assert_eq!(named, titles, "{STALE}");
    assert!(texts.iter().any(|text| text.starts_with("sandbox ") && text.ends_with(" is ready")), "{STALE}");
    for word in ["<script", "<image", "href", "@import", "url(", "/tmp", "/root"] {
        assert!(!terminal.contains(word), "{word}");
    }
}
