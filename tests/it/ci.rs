//! What CI services are told to run: that there are such commands, and what comes of them where there is no service.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("there")
}

/// The commands of `sandbox` that a file tells others to run, from the name on.
fn told(path: &str) -> Vec<String> {
    let text = read(path);
    let lines = text.lines().flat_map(|line| line.split(['`', ';', '|', '&'])).map(str::trim);
    let is_called = |before: &str| before.is_empty() || before.ends_with(' ');
    let commands = lines.filter_map(|line| line.split_once("sandbox ").filter(|(before, _)| is_called(before)));
    commands.map(|(_, command)| command.to_owned()).collect()
}

#[test]
fn what_ci_is_told_to_run_there_is() {
    let reference = read("docs/cli.md");
    let mut flags = 0;
    for file in ["docs/ci.md", "action.yml"] {
        for command in told(file) {
            for flag in command.split_whitespace().filter(|word| word.starts_with("--")) {
                let flag = flag.trim_end_matches([')', '.', ',']);
                assert!(reference.contains(&format!("{flag} ")), "{file} says `sandbox {command}`; there is no {flag}");
                flags += 1;
            }
        }
    }
    assert!(flags >= 4, "{flags} flags found");
}

/// A job's machine: a home, a folder to work in, and no Docker.
struct Job {
    folder: tempfile::TempDir,
}

/// What a script of a job came to.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    said: String,
}

impl Job {
    /// With this as `sandbox`.
    fn new(sandbox: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for path in ["home/.cargo/bin", "work"] {
            fs::create_dir_all(folder.path().join(path)).expect("a folder");
        }
        let bin = folder.path().join("home/.cargo/bin");
        sandbox(&bin.join("sandbox"));
        program(&bin.join("cargo"), "exit 0");
        program(&folder.path().join("work/my-tests"), "exit 0");
        Self { folder }
    }

    /// With the real one.
    fn real() -> Self {
        Self::new(|path| symlink(env!("CARGO_BIN_EXE_sandbox"), path).expect("a link"))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path().join(path)).unwrap_or_default()
    }

    /// Runs a script as a service does, with the variables that it sets.
    fn run(&self, script: &str, variables: &[(&str, &str)]) -> Ended {
        let (home, bin) = (self.folder.path().join("home"), self.folder.path().join("home/.cargo/bin"));
        let output = Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .env_clear()
            .envs(variables.iter().copied())
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", &home)
            .env("DOCKER_HOST", format!("unix://{}", home.join("no.sock").display()))
            .current_dir(self.folder.path().join("work"))
            .output()
            .expect("bash");
        let said = [output.stdout, output.stderr].concat();
        Ended { code: output.status.code(), said: String::from_utf8_lossy(&said).into_owned() }
    }
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a program");
}

/// One that writes down what it is asked for, and the bundle that it is asked for.
fn recorder(path: &Path) {
    program(path, r#"echo "$SANDBOX_NAME: $*" >>"$HOME/asked"; if [ "$1 $2" = "images bundle" ]; then : >"$3"; fi"#);
}

/// The scripts of the action's steps, by the steps' names.
fn action() -> Vec<(String, String)> {
    let action: Value = serde_yaml::from_str(&read("action.yml")).expect("YAML");
    let steps = action["runs"]["steps"].as_array().expect("steps");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    steps.iter().filter_map(|step| Some((text(&step["name"])?, text(&step["run"])?))).collect()
}

/// The job that the page shows for a service, by a key of it.
fn shown(key: &str) -> Value {
    let page = read("docs/ci.md");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut jobs = blocks.map(|block| serde_yaml::from_str::<Value>(block).expect("YAML"));
    jobs.find(|job| job.get(key).is_some()).expect("a job")
}

const RUN: [(&str, &str); 10] = [
    ("GITHUB_ACTION_PATH", env!("CARGO_MANIFEST_DIR")),
    ("GITHUB_OUTPUT", "../output"),
    ("GITHUB_RUN_ID", "99999999999"),
    ("GITHUB_RUN_ATTEMPT", "10"),
    ("GITHUB_JOB", "Build_and Test"),
    ("GITHUB_ENV", "../env"),
    ("GITHUB_STEP_SUMMARY", "../summary"),
    ("FLAGS", "--project x --domain development"),
    ("TIMEOUT", "15m"),
    ("TTL", "6h"),
];

/// The name that the action gives to a job of this runner.
fn name(job: &Job, runner: &str) -> String {
    let (_, script) = &action()[0];
    let variables = [&RUN[..], &[("RUNNER_NAME", runner)]].concat();
    assert_eq!(job.run(script, &variables).code, Some(0));
    let env = job.read("env");
    env.lines().last().and_then(|line| line.strip_prefix("SANDBOX_NAME=")).expect("a name").to_owned()
}

#[test]
fn the_action_names_jobs_apart_as_sandboxes_may_be_named() {
    let job = Job::real();
    let [one, other] = ["runner 1", "runner 2"].map(|runner| name(&job, runner));
    assert_ne!(one, other);
    let planned = job.run("sandbox plan", &[("SANDBOX_NAME", &one)]);
    assert_eq!(planned.code, Some(0), "{one}: {planned:?}");
    let long = job.run("sandbox plan", &[("SANDBOX_NAME", &"c".repeat(33))]);
    assert_eq!(long.code, Some(2));
    assert!(long.said.contains("SANDBOX_NAME") && long.said.contains("32 are allowed"), "{long:?}");
}

#[test]
fn the_action_leaves_a_report_and_a_diagnosis_where_up_fails() {
    let job = Job::real();
    let name = name(&job, "runner");
    let codes = action().into_iter().skip(1).map(|(step, script)| {
        let ended = job.run(&script, &[&RUN[..], &[("SANDBOX_NAME", &name)]].concat());
        assert!(!ended.said.contains("error[usage]"), "{step}: {ended:?}");
        ended.code
    });
    assert_eq!(codes.collect::<Vec<_>>(), [Some(0), Some(0), Some(0), Some(1)]);
    for file in ["work/sandbox-report/up.xml", "work/sandbox-report/up.html", "summary"] {
        assert!(job.read(file).contains("docker-absent"), "{file}");
    }
    assert!(job.folder.path().join("work/sandbox-report/diagnosis.tar.zst").exists());
}

#[test]
fn the_action_makes_a_bundle_once_and_uses_it_from_then_on() {
    let job = Job::new(recorder);
    let (_, up) = action().pop().expect("steps");
    for _ in 0..2 {
        let ended = job.run(&up, &[&RUN[..], &[("SANDBOX_NAME", "ci")]].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let bundle = job.folder.path().join("home/.cache/flyte-sandbox/images.tar.zst");
    let (bundle, flags) = (bundle.display(), "--project x --domain development");
    let rest = format!(
        "--timeout 15m --ttl 6h --junit sandbox-report/up.xml --report sandbox-report/up.html --trace sandbox-report/up-trace.json --summary ../summary {flags}"
    );
    let expected = [
        format!("ci: up {rest}"),
        format!("ci: images bundle {bundle} {flags}"),
        format!("ci: up --bundle {bundle} {rest}"),
    ];
    assert_eq!(job.read("home/asked").lines().collect::<Vec<_>>(), expected);
}

/// A cache that is found is never written again: its key has to change when anything does that is kept in it.
#[test]
fn the_actions_cache_is_of_these_sources_and_these_flags() {
    let action: Value = serde_yaml::from_str(&read("action.yml")).expect("YAML");
    let steps = action["runs"]["steps"].as_array().expect("steps");
    let cached = steps.iter().find(|step| step["uses"].as_str().is_some_and(|uses| uses.starts_with("actions/cache")));
    let key = cached.expect("a cache")["with"]["key"].as_str().expect("a key");
    assert!(key.contains("steps.content.outputs.hash"), "{key}");

    let job = Job::real();
    let (_, script) = action_step("content");
    let sources = job.folder.path().join("action");
    for folder in ["src", "manifests", "sandbox"] {
        fs::create_dir_all(sources.join(folder)).expect("a folder");
    }
    for file in ["Cargo.lock", "src/main.rs", "manifests/a.yaml", "sandbox/sandbox.yaml"] {
        fs::write(sources.join(file), "1").expect("a file");
    }
    let path = sources.display().to_string();
    let hash = |flags: &str| {
        let ended = job.run(&script, &[&RUN[..], &[("GITHUB_ACTION_PATH", path.as_str()), ("FLAGS", flags)]].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        job.read("output").lines().last().and_then(|line| line.strip_prefix("hash=")).expect("a hash").to_owned()
    };
    let first = hash("");
    assert_eq!(hash(""), first);
    assert_ne!(hash("--flyte 1.16"), first);
    fs::write(sources.join("src/main.rs"), "2").expect("a file");
    assert_ne!(hash(""), first, "other sources make another binary");
}

/// The step of this id: its name and its script.
fn action_step(id: &str) -> (String, String) {
    let action: Value = serde_yaml::from_str(&read("action.yml")).expect("YAML");
    let steps = action["runs"]["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("no step {id}"));
    (step["name"].as_str().unwrap_or_default().to_owned(), step["run"].as_str().expect("a script").to_owned())
}

/// The lines of a part of the GitLab job as one script, which a line that fails ends, and the job's variables.
fn gitlab(part: &str) -> (String, String) {
    let job = &shown("flyte")["flyte"];
    let lines = job[part].as_array().expect("lines").iter().filter_map(Value::as_str);
    let name = job["variables"]["SANDBOX_NAME"].as_str().expect("a name").replace("$CI_JOB_ID", "12345678901234");
    (lines.collect::<Vec<_>>().join("\n"), name)
}

#[test]
fn the_gitlab_job_bundles_once_and_takes_the_sandbox_away() {
    let job = Job::new(recorder);
    let (script, name) = gitlab("script");
    let (after, _) = gitlab("after_script");
    for status in ["success", "failed"] {
        for script in [&script, &after] {
            let ended = job.run(script, &[("SANDBOX_NAME", &name), ("CI_JOB_STATUS", status)]);
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
    }
    let expected = [
        "gc",
        "up --ttl 6h --junit up.xml --report up.html",
        "images bundle images.tar.zst",
        "down",
        "gc",
        "up --bundle images.tar.zst --ttl 6h --junit up.xml --report up.html",
        "diagnose --archive diagnosis.tar.zst",
        "down",
    ];
    let asked = job.read("home/asked");
    assert_eq!(asked.lines().collect::<Vec<_>>(), expected.map(|asked| format!("{name}: {asked}")));
}

#[test]
fn the_gitlab_job_leaves_a_report_and_a_diagnosis_where_up_fails() {
    let job = Job::real();
    let (script, name) = gitlab("script");
    let variables = [("SANDBOX_NAME", name.as_str()), ("CI_JOB_STATUS", "failed")];
    for (part, script) in [("script", script), ("after_script", gitlab("after_script").0)] {
        let ended = job.run(&script, &variables);
        assert_eq!(ended.code, Some(4), "{part}: {ended:?}");
        assert!(ended.said.contains("error[docker-absent]"), "{part}: {ended:?}");
    }
    assert!(job.read("work/up.xml").contains("docker-absent"));
    assert!(job.folder.path().join("work/diagnosis.tar.zst").exists());
}

#[test]
fn every_step_of_the_github_job_that_runs_sandbox_runs_where_there_is_nothing() {
    let job = Job::real();
    let steps = shown("jobs")["jobs"]["flyte"]["steps"].clone();
    let scripts = steps.as_array().expect("steps").iter().filter_map(|step| step["run"].as_str());
    let codes = scripts.map(|script| job.run(script, &[("SANDBOX_NAME", "ci-1")]).code);
    assert_eq!(codes.collect::<Vec<_>>(), [Some(0), Some(0), Some(4)]);
}

/// Everything that the release's steps run.
fn release_scripts() -> Vec<String> {
    let jobs = release()["jobs"].as_object().expect("jobs").clone();
    let steps = jobs.values().flat_map(|job| job["steps"].as_array().expect("steps").clone());
    steps.filter_map(|step| step["run"].as_str().map(str::to_owned)).collect()
}

fn release() -> Value {
    serde_yaml::from_str(&read(".github/workflows/release.yml")).expect("YAML")
}

#[test]
fn the_release_runs_scripts_and_commands_that_there_are() {
    let (reference, mut scripts, mut flags) = (read("docs/cli.md"), 0, 0);
    for script in release_scripts() {
        for line in script.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let Some(program) = words.first() else { continue };
            if program.starts_with("scripts/") {
                assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(program).exists(), "there is no {program}");
                scripts += 1;
            }
            // `scripts/up` hands its flags on.
            if program.ends_with("/sandbox") || *program == "scripts/up" {
                for flag in words.iter().filter(|word| word.starts_with("--") && **word != "--version") {
                    assert!(reference.contains(&format!("{flag} ")), "`{line}`: there is no {flag}");
                    flags += 1;
                }
            }
        }
    }
    assert!(scripts >= 6 && flags >= 6, "{scripts} scripts, {flags} flags");
}

/// What others publish under a name that moves may be something else tomorrow; and who publishes may write, nobody else.
#[test]
fn the_release_takes_exact_versions_and_no_rights_that_it_does_not_use() {
    let release = release();
    assert_eq!(release["permissions"], serde_json::json!({"contents": "read"}));
    for (name, job) in release["jobs"].as_object().expect("jobs") {
        assert_eq!(job.get("permissions").is_some(), name == "publish", "{name}");
        assert!(job["timeout-minutes"].is_number(), "{name} may hang");
        for used in job["steps"].as_array().expect("steps").iter().filter_map(|step| step["uses"].as_str()) {
            let version = used.split_once("@v").map(|(_, version)| version).expect("a version");
            assert_eq!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{used}");
        }
    }
}

/// Packagers and `cargo binstall` go by names that are in three places.
#[test]
fn archives_have_the_same_name_everywhere() {
    let (manifest, install, release) = (read("Cargo.toml"), read("install.sh"), read("scripts/release"));
    assert!(manifest.contains("{ repo }/releases/download/v{ version }/sandbox-{ version }-{ target }.tar.gz"));
    assert!(install.contains("releases=${SANDBOX_RELEASES:-https://github.com/flyte-sandbox/sandbox/releases}"));
    assert!(install.contains("$releases/download/v$version/$archive.tar.gz"));
    assert!(install.contains("archive=sandbox-$version-$target"));
    assert!(release.contains("name=sandbox-$version-$1"));
}
