//! Variables that are set to nothing, as CI systems set those that nobody filled in.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// What others read, or the libraries that are used here.
const OTHERS: [&str; 22] = [
    "CI",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "KUBECONFIG",
    "LANG",
    "NO_COLOR",
    "NO_PROXY",
    "PATH",
    "RUST_BACKTRACE",
    "SANDBOX_STATE_DIR",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "https_proxy",
];

/// Every variable that stands for a flag, from the command reference.
fn of_flags() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let page = fs::read_to_string(page).expect("there");
    let words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("SANDBOX_")).map(str::to_owned).collect()
}

fn run(home: &Path, empty: &[String], args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.env_clear().env("HOME", home).envs(empty.iter().map(|name| (name, ""))).current_dir(home);
    command.args(args).output().expect("it runs")
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    // How long it took is another each time.
    let timed = |line: &&str| !line.starts_with("exit code ");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().filter(timed).collect::<Vec<_>>().join("\n");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn an_empty_variable_is_as_one_that_is_not_set() {
    let home = tempfile::tempdir().expect("a folder");
    let docker = home.path().join(".docker");
    fs::create_dir(&docker).expect("made");
    // A context that is not there is named, so whoever reads this file shows it.
    fs::write(docker.join("config.json"), r#"{"currentContext":"theirs"}"#).expect("written");
    let flags = of_flags();
    assert!(flags.len() > 20, "{flags:?}");
    let all: Vec<String> = flags.into_iter().chain(OTHERS.map(str::to_owned)).collect();
    for args in [&["render"][..], &["plan", "--engine", "rehearsal"], &["up", "--help"], &["logs"], &["images", "list"]]
    {
        let wanted = told(&run(home.path(), &[], args));
        if told(&run(home.path(), &all, args)) != wanted {
            // Which of them it is.
            for name in &all {
                assert_eq!(told(&run(home.path(), std::slice::from_ref(name), args)), wanted, "{args:?}, {name}");
            }
            panic!("{args:?}: some of them together");
        }
    }
}
