//! The secret of the object store, from outside: what shows it, what does not, and when the machine's key is needed.

use std::fs;
use std::path::Path;
use std::process::Command;

use flyte_sandbox::release::Release;
use serde_json::Value;

fn sandbox(state: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.env_clear().env("SANDBOX_STATE_DIR", state).current_dir(state.parent().expect("a folder")).args(args);
    command
}

fn printed(state: &Path, args: &[&str]) -> String {
    let output = sandbox(state, args).output().expect("it runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What Minio would be started with.
fn secret(state: &Path, args: &[&str]) -> String {
    let rendered: Value =
        serde_json::from_str(&printed(state, &[&["render", "-o", "json"], args].concat())).expect("JSON");
    let minio = rendered
        .as_array()
        .expect("objects")
        .iter()
        .find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == "minio");
    let variables = minio.expect("a Minio")["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let own = variables.as_array().expect("variables").iter().find(|one| one["name"] == "MINIO_SECRET_KEY");
    own.expect("a secret")["value"].as_str().expect("text").to_owned()
}

#[test]
fn a_sandbox_keeps_its_secret_as_long_as_the_machine_keeps_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let first = secret(&state, &[]);
    assert_eq!(first.len(), 40);
    assert_eq!(secret(&state, &[]), first);
    assert_ne!(secret(&state, &["--name", "other"]), first);
    assert_eq!(fs::read(state.join("machine.key")).expect("kept").len(), 32);
    fs::remove_file(state.join("machine.key")).expect("lost");
    assert_ne!(secret(&state, &[]), first);
}

#[test]
fn upstreams_credentials_are_an_option_and_need_no_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    assert_eq!(secret(&state, &["--upstream-credentials"]), "miniostorage");
    let by_variable = sandbox(&state, &["plan", "-o", "json"]).env("SANDBOX_UPSTREAM_CREDENTIALS", "yes").output();
    let plan: Value = serde_json::from_slice(&by_variable.expect("it runs").stdout).expect("JSON");
    let origin = &plan["provenance"]["storage.secretKey"];
    assert_eq!(origin, &serde_json::json!({"variable": "SANDBOX_UPSTREAM_CREDENTIALS"}));
    fs::write(folder.path().join("sandbox.yaml"), "storage: {secretKey: of-the-file}\n").expect("written");
    assert_eq!(secret(&state, &[]), "of-the-file");
    assert_eq!(secret(&state, &["--upstream-credentials"]), "miniostorage");
    assert!(!state.exists(), "nothing was to be kept");
}

#[test]
fn only_what_renders_the_manifests_shows_the_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let secret = secret(&state, &[]);
    for args in [&["plan"][..], &["plan", "-vv"], &["plan", "-o", "json"], &["render", "--explain"]] {
        let output = sandbox(&state, args).output().expect("it runs");
        for text in [output.stdout, output.stderr] {
            assert!(!String::from_utf8(text).expect("text").contains(&secret), "{args:?}");
        }
    }
    assert!(printed(&state, &["plan"]).contains("storage.secretKey is generated"));
}

#[test]
fn a_command_that_only_looks_for_a_sandbox_makes_no_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    // No Docker answers there: what is asked for is the order of things.
    for command in ["logs", "kubeconfig", "credentials"] {
        let code = sandbox(&state, &[command]).env("DOCKER_HOST", "unix:///nowhere/docker.sock").output();
        assert_ne!(code.expect("it runs").status.code(), Some(0), "{command}");
        assert!(!state.exists(), "{command}");
    }
}

#[test]
fn a_key_that_cannot_be_kept_stops_what_needs_it_with_both_ways_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    fs::write(&state, "not a folder").expect("written");
    let output = sandbox(&state, &["render"]).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(i32::from(flyte_sandbox::failure::Reason::StateUnwritable.exit_code())));
    assert!(said.contains("SANDBOX_STATE_DIR") && said.contains("--upstream-credentials"), "{said}");
    assert_eq!(secret(&state, &["--upstream-credentials"]), "miniostorage");
}

#[test]
fn a_plan_for_a_log_has_no_secret_of_a_bundle() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let manifests = folder.path().join("manifests");
    fs::create_dir(&manifests).expect("made");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    for file in fs::read_dir(ours).expect("there").flatten() {
        fs::copy(file.path(), manifests.join(file.file_name())).expect("copied");
    }
    for (name, text) in Release::default().manifests() {
        fs::write(manifests.join(Path::new(name).file_name().expect("a name")), text).expect("written");
    }
    let secrets = "apiVersion: v1\nkind: Secret\nmetadata: {name: one, namespace: flyte}\nstringData: {a: in-plain-text}\n---\n\
        apiVersion: v1\nkind: Secret\nmetadata: {name: two, namespace: flyte}\ndata: {b: aW4tYmFzZS02NA==}\n";
    fs::write(manifests.join("secrets.yaml"), secrets).expect("written");
    let plan = printed(&state, &["plan", "-o", "json", "--manifests", "manifests"]);
    assert!(plan.contains("\"stringData\"") && !plan.contains("in-plain-text") && !plan.contains("aW4tYmFzZS02NA"));
}
