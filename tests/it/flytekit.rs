//! `sandbox run`, against programs that answer as flytekit's do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::machine::{Machine, Ran};

/// Writes what `pyflyte serialize fast` writes: a file for each task, workflow and launch plan, named after it. A file that
/// has `raise` in it cannot be loaded. Then registers launch plans, whose one input is an integer, as
/// `flyte-cli fast-register-files` does, but by HTTP.
const PYTHON: &str = r#"#!/bin/bash
printf '%s\n' "$0 $*" >>"$CALLS"
env | grep '^FLYTE' | sort >"$CALLS.env"
cp "$FLYTECTL_CONFIG" "$CALLS.yaml"
module=$3
while [ "$1" != --register ]; do
  case $1 in --local-source-root) root=$2 ;; --folder) out=$2 ;; esac
  shift
done
file=$root/${module//.//}.py
if grep -q raise "$file"; then echo "File \"$file\", line 1" >&2; echo "ValueError: no" >&2; exit 4; fi
if grep -q refused "$file"; then echo "INVALID_ARGUMENT: cannot set default > platform limit" >&2; exit 5; fi
touch "$out/fast0.tar.gz"
for task in $(sed -n 's/^def \(task[a-z]*\).*/\1/p' "$file"); do touch "$out/0_$module.${task}_1.pb"; done
for workflow in $(sed -n 's/^def \(wf[a-z]*\).*/\1/p' "$file"); do
  touch "$out/1_$module.${workflow}_2.pb" "$out/2_$module.${workflow}_3.pb"
done
while [ $# -gt 0 ]; do
  case $1 in -p) project=$2 ;; -d) domain=$2 ;; -v) version=$2 ;; -h) admin=$2 ;; esac
  shift
done
for plan in "$out"/*_3.pb; do
  [ -e "$plan" ] || continue
  name=${plan##*/}; name=${name#*_}; name=${name%_3.pb}
  number='"var": {"type": {"simple": "INTEGER"}}, "default": {"scalar": {"primitive": {"integer": "1"}}}'
  id="\"project\": \"$project\", \"domain\": \"$domain\", \"name\": \"$name\", \"version\": \"$version\""
  body="{\"id\": {$id}, \"spec\": {\"default_inputs\": {\"parameters\": {\"n\": {$number}}}}}"
  exec 3<>"/dev/tcp/${admin%:*}/${admin#*:}"
  printf 'POST /api/v1/launch_plans HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n' >&3
  printf 'Content-Length: %s\r\n\r\n%s' ${#body} "$body" >&3
  head -1 <&3 | grep -q ' 200 ' || exit 1
done
"#;

/// A machine with a rehearsed sandbox, and with flytekit in a virtual environment.
struct Desk {
    machine: Machine,
    calls: PathBuf,
}

impl Desk {
    fn new() -> Self {
        Self::with(&[], 0)
    }

    /// With a sandbox whose `up` ends like this.
    fn with(args: &[&str], code: i32) -> Self {
        let machine = Machine::new();
        machine.up(&[&["--project", "x,y"], args].concat()).exits(code);
        let bin = machine.folder.path().join("venv/bin");
        fs::create_dir_all(&bin).expect("made");
        for (name, script) in [("pyflyte", "#!/bin/sh\n"), ("python3", PYTHON)] {
            fs::write(bin.join(name), script).expect("written");
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o700)).expect("set");
        }
        let calls = machine.folder.path().join("calls");
        Self { machine, calls }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.machine.folder.path().join("code").join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.machine.command();
        command.env("VIRTUAL_ENV", self.machine.folder.path().join("venv")).env("PATH", "/usr/bin:/bin");
        command.env("CALLS", &self.calls).env("FLYTE_PLATFORM_URL", "somewhere.example").arg("run").args(args);
        Ran(command.output().expect("it runs"))
    }

    fn called(&self) -> Vec<String> {
        let calls = fs::read_to_string(&self.calls).unwrap_or_default();
        let _ = fs::remove_file(&self.calls);
        calls.lines().map(str::to_owned).collect()
    }

    fn left_behind(&self) -> usize {
        let runs = self.machine.state().join("flyte/run");
        fs::read_dir(runs).map_or(0, Iterator::count)
    }
}

#[test]
fn a_file_is_registered_with_the_callers_flytekit_and_followed_to_its_end() {
    let desk = Desk::new();
    desk.write("core/__init__.py", "");
    desk.write("core/hello.py", "def wf(n=1):\n    pass\n");
    let ran =
        desk.run(&["code/core/hello.py", "-p", "y", "-d", "t-dev", "--image", "tasks:1", "--input", "n=5"]).exits(0);
    let out = ran.out();
    let id = out.split(' ').next().expect("a name").to_owned();
    let told = |text: &str| out.lines().any(|line| line.starts_with(&id) && line.ends_with(text));
    assert!(out.contains(" | core.hello.wf registered in y/t-dev ("), "{out}");
    let page = format!("/console/projects/y/domains/t-dev/executions/{id}");
    for text in [page.as_str(), "| QUEUED", "| RUNNING", "| SUCCEEDED"] {
        assert!(told(text), "{text}: {out}");
    }
    assert!(out.trim_end().ends_with("| SUCCEEDED"), "the end comes last: {out}");

    let venv = desk.machine.folder.path().join("venv/bin").display().to_string();
    let state = desk.machine.state().join(format!("flyte/run/{id}")).display().to_string();
    let admin = desk.machine.ports[0].replace("--port-console=", "127.0.0.1:");
    let serialize = "--pkgs core.hello serialize --image tasks:1";
    let register =
        format!("-p y -d t-dev -v {id} -h {admin} -i --additional-distribution-dir s3://my-s3-bucket-y/fast");
    let script = format!("{venv}/python3 {state}/register.py");
    let source = format!("--local-source-root {state}/code fast workflows --folder {state}/out");
    let called = format!("{script} {serialize} {source} --register fast-register-files {register} --dest-dir .");
    assert_eq!(desk.called(), [called]);
    let read = |kind: &str| fs::read_to_string(desk.calls.with_extension(kind)).expect("written");
    let keys = desk.machine.run(&["credentials", "--project", "y", "-o", "json"]).exits(0).out();
    let keys: Value = serde_json::from_str(&keys).expect("JSON");
    let secret = keys["minio"]["secretKey"].as_str().expect("text");
    assert!(read("yaml").contains(&format!("secret-key: {secret}")));
    assert!(read("env").contains(&format!("FLYTE_AWS_SECRET_ACCESS_KEY={secret}\n")));
    assert!(read("env").contains(&format!("FLYTE_PLATFORM_URL={admin}\n")), "the sandbox's, whatever was set");
    assert_eq!(desk.left_behind(), 0);
}

#[test]
fn what_cannot_run_is_told_with_the_way_out() {
    let desk = Desk::new();
    desk.write("one.py", "def wf(n=1):\n");
    desk.write("two.py", "def wfa():\ndef wfb():\n");
    desk.write("none.py", "x = 1\n");
    desk.write("tasks.py", "def taska():\ndef taskb():\n");
    desk.write("both.py", "def task():\ndef wf(n=1):\n");
    desk.write("bad.py", "raise ValueError('no')\n");
    desk.write("big.py", "refused = 1\n");
    let told = |args: &[&str], code: i32| {
        let ran = desk.run(&[&["-o", "json"], args].concat()).exits(code);
        assert_eq!(desk.left_behind(), 0, "{args:?}");
        ran.failure()
    };
    for (args, what, cause) in [
        (&["code/two.py"][..], "it is not clear which workflow is meant", "there are: wfa, wfb"),
        (&["code/two.py", "wfc"], "the file has no workflow `wfc`", "there are: wfa, wfb"),
        (&["code/both.py", "task"], "the file has no workflow `task`", "`task` is a task; workflows: wf"),
        (&["code/tasks.py"], "the file has no workflow", "it has tasks alone: taska, taskb"),
        (&["code/tasks.py", "taska"], "the file has no workflow", "it has tasks alone: taska, taskb"),
        (&["code/none.py"], "the file has no workflow", "it has no task either"),
    ] {
        let failure = told(args, 2);
        if args.contains(&"wfc") {
            assert_eq!(failure["hints"][0], "did you mean `wfa`?");
        }
        assert_eq!((&failure["what"], &failure["causes"][0]), (&what.into(), &cause.into()), "{args:?}");
    }
    assert_eq!(told(&["code/one.py", "--input", "m=1"], 2)["causes"][0], "there is no input m; there are: n (INTEGER)");
    assert_eq!(told(&["code/one.py", "--input", "n=a"], 2)["causes"][0], "input n: `a` is no INTEGER");
    assert_eq!(told(&["code/one.py", "-p", "z"], 2)["object"], "project z");
    assert_eq!(told(&["code/one.py", "-d", "development"], 2)["hints"][0], "there are: d-dev, t-dev, p-dev");
    assert_eq!(told(&["code/absent.py"], 2)["object"], "code/absent.py");
    let bad = told(&["code/bad.py"], 10);
    let path = fs::canonicalize(desk.machine.folder.path()).expect("there").join("code/bad.py");
    let shown = [format!("File \"{}\", line 1", path.display()), "ValueError: no".to_owned()];
    assert_eq!(bad["evidence"], serde_json::json!(shown), "by the user's own path");

    let refused = told(&["code/big.py"], 10);
    assert_eq!(refused["what"], "flytekit cannot register the file");
    assert_eq!(refused["causes"][0], "INVALID_ARGUMENT: cannot set default > platform limit", "admin's words");

    fs::remove_dir_all(desk.machine.folder.path().join("venv")).expect("removed");
    let absent = told(&["code/one.py"], 2);
    assert_eq!(absent["causes"][0], "there is no pyflyte in VIRTUAL_ENV or on the PATH");
    assert!(
        absent["hints"][0].as_str().is_some_and(|hint| hint.contains("pip install 'flytekit==1.10.7'")),
        "{absent}"
    );
}

#[test]
fn a_workflow_that_fails_is_told_in_its_own_words() {
    let desk = Desk::with(&["--keep", "--rehearse-fault", "workflow=failed,message=its own words"], 10);
    desk.write("one.py", "def wf(n=1):\n");
    let ran = desk.run(&["code/one.py", "wf"]).exits(10);
    assert!(ran.out().trim_end().ends_with("| FAILED"), "{}", ran.out());
    let said = String::from_utf8_lossy(&ran.0.stderr);
    assert!(said.contains("error[workflow-failed]: the workflow did not succeed"), "{said}");
    assert!(said.contains("because FAILED: UserError: its own words"), "{said}");
    let out = ran.out();
    let id = out.split(' ').next().expect("a name");
    assert!(said.contains(&format!("hint: `sandbox logs --execution {id}` shows")), "{said}");
    assert!(!said.contains("flytepropeller"), "a pod of it ran: {said}");
}

#[test]
fn a_quiet_run_says_failures_and_the_end() {
    let desk = Desk::new();
    desk.write("one.py", "def wf(n=1):\n");
    let ran = desk.run(&["code/one.py", "-q"]).exits(0);
    assert!(
        matches!(ran.out().lines().collect::<Vec<_>>()[..], [end] if end.ends_with(" | SUCCEEDED")),
        "{}",
        ran.out()
    );
    assert_eq!(String::from_utf8_lossy(&ran.0.stderr), "");
    let events = desk.run(&["code/one.py", "-q", "-o", "json"]).exits(0).events();
    assert!(events.len() > 1, "a program reads all, as of other commands: {events:?}");
}

#[test]
fn an_execution_is_named_once_it_is_there_and_said_to_go_on_where_nobody_waits_for_it() {
    let desk = Desk::with(&["--keep", "--rehearse-fault", "workflow=ignored"], 10);
    desk.write("one.py", "def wf(n=1):\n");
    let refused = desk.run(&["code/one.py", "--input", "m=1"]).exits(2);
    assert_eq!(refused.out(), "", "its inputs were not checked yet");
    let ran = desk.run(&["code/one.py", "--timeout", "5s"]).exits(124);
    let out = ran.out();
    let id = out.split(' ').next().expect("a name");
    let said = String::from_utf8_lossy(&ran.0.stderr).into_owned();
    let goes_on = format!("execution {id} goes on; `sandbox logs -f --execution {id}` shows it");
    assert!(said.contains(&goes_on), "{said}");
    assert!(said.contains("`sandbox logs flytepropeller-x-d-dev` shows"), "no pod was made: {said}");
    for args in [&["logs", "--execution", id][..], &["logs", id]] {
        let logs = desk.machine.run(args).exits(0);
        let said = String::from_utf8_lossy(&logs.0.stderr).into_owned();
        assert!(said.starts_with(&format!("warning: execution {id} has no pod: ")), "{said}");
    }
}

#[test]
fn a_pod_that_waits_is_told_while_it_waits_and_at_the_end() {
    let words = "Failed to apply default image tag \"Nowhere\"";
    let fault = format!("workflow=waiting,reason=InvalidImageName,message={words}");
    let desk = Desk::with(&["--keep", "--rehearse-fault", &fault], 10);
    desk.write("one.py", "def wf(n=1):\n");
    let ran = desk.run(&["code/one.py", "--timeout", "5s"]).exits(124);
    let held = format!("container task: InvalidImageName: {words}");
    let told: Vec<_> = ran.out().lines().filter(|line| line.ends_with(&held)).map(str::to_owned).collect();
    assert!(matches!(&told[..], [one] if one.contains("-n0-0 ")), "once: {}", ran.out());
    let said = String::from_utf8_lossy(&ran.0.stderr).into_owned();
    assert!(said.contains(&format!("-n0-0: {held}")), "{said}");
    assert!(said.contains("`sandbox images import IMAGE`"), "{said}");
}

/// What flytekit's `flyte-cli` is made of, as far as filling in goes: it passes over array nodes and failure nodes.
const FLYTEKIT: &str = r#"
import sys, types
class Node:
    DESCRIPTOR = types.SimpleNamespace(fields_by_name=["task_node", "array_node"])
    def __init__(self, node=None, failure=None):
        self.array_node, self.failure_node, self.filled = node and types.SimpleNamespace(node=node), failure, False
    def HasField(self, name):
        return getattr(self, name) is not None
    def CopyFrom(self, other):
        assert other is self
helpers = types.ModuleType("flytekit.clis.helpers")
def of_node(project, domain, version, node):
    node.filled = True
    return node
def of_template(project, domain, version, template):
    helpers._hydrate_node(project, domain, version, template.node)
    return template
helpers._hydrate_node, helpers._hydrate_workflow_template_nodes = of_node, of_template
def register(args, standalone_mode):
    one = Node(failure=Node())
    one.node = Node(node=Node())
    helpers._hydrate_workflow_template_nodes("x", "d-dev", "v1", one)
    print(one.node.filled, one.node.array_node.node.filled, one.failure_node.filled)
nothing = lambda args, standalone_mode: None
parts = {"flytekit": {}, "flytekit.clis": {"helpers": helpers}, "flytekit.clis.flyte_cli": {}, "flytekit.clis.sdk_in_container": {}}
parts["flytekit.clis.flyte_cli.main"] = {"_flyte_cli": types.SimpleNamespace(main=register)}
parts["flytekit.clis.sdk_in_container.pyflyte"] = {"main": types.SimpleNamespace(main=nothing)}
sys.modules["flytekit.clis.helpers"] = helpers
for name, members in parts.items():
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(members)
for name in parts:
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, sys.modules[name])
sys.argv = ["register.py", sys.argv[1], "--register"]
"#;

#[test]
fn what_flyte_cli_passes_over_is_filled_in_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!("{FLYTEKIT}\n{}", include_str!("../../src/flytekit/register.py"));
    let out = folder.path().display().to_string();
    let Ok(ran) = std::process::Command::new("python3").args(["-c", &script, &out]).output() else {
        eprintln!("there is no python3: nothing to try it with");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "True True True", "{ran:?}");
}
