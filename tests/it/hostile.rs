//! Input that would be something else than what it is given for: an option, a path, another request.

use std::fs;
use std::path::Path;
use std::process::Command as Program;
use std::time::Duration;

use assert_cmd::Command;
use flyte_sandbox::cluster::Dialect;
use flyte_sandbox::plan::{ClusterPlan, PortMapping};
use flyte_sandbox::spec::{Domain, Given, Layer, MachineKey, Origin, Spec, resolve};
use proptest::prelude::*;

const HOSTILE: [&str; 24] = [
    "-x",
    "--",
    "--volume=/:/host",
    "-",
    "..",
    ".",
    "../x",
    "a/../b",
    "/etc/passwd",
    "a b",
    "a\nb",
    "a\0b",
    "a\tb",
    "a=b",
    "a,b",
    "a@server:0",
    "$(id)",
    "`id`",
    "a;b",
    "a|b",
    "%2e%2e",
    "\u{e4}",
    "\u{202e}a",
    "",
];

/// What a user may write text for, each alone.
fn layers(text: &str) -> [(&'static str, Layer); 9] {
    let given = || Some(Given { value: text.to_owned(), origin: Origin::Flag("--flag".to_owned()) });
    let domain = Domain { id: text.to_owned(), name: "Development".to_owned() };
    let domain = Given { value: domain, origin: Origin::Flag("--domain".to_owned()) };
    let none = Layer::default;
    [
        ("name", Layer { name: given(), ..none() }),
        ("appid", Layer { appid: given(), ..none() }),
        ("systemProject", Layer { system_project: given(), ..none() }),
        ("env", Layer { env: given(), ..none() }),
        ("projects", Layer { projects: given().map(|one| vec![one]), ..none() }),
        ("domains", Layer { domains: Some(vec![domain]), ..none() }),
        ("kubernetes", Layer { kubernetes: given(), ..none() }),
        ("images", Layer { images: given().into_iter().map(|one| ("k3s".to_owned(), one)).collect(), ..none() }),
        ("bucket", Layer { bucket: given(), ..none() }),
    ]
}

fn resolved(layer: Layer) -> Option<Spec> {
    resolve([layer], &MachineKey::default()).ok().map(|resolved| resolved.spec)
}

#[test]
fn nothing_that_could_be_an_option_a_path_or_a_command_is_accepted_anywhere() {
    for text in HOSTILE {
        for (key, layer) in layers(text) {
            assert_eq!(resolved(layer), None, "{key}: {text:?}");
        }
    }
}

#[test]
fn text_of_a_credential_is_one_word() {
    let secret = |text: &str| {
        let value = flyte_sandbox::spec::Secret::new(text);
        let origin = Origin::Flag("--flag".to_owned());
        resolved(Layer { secret_key: Some(Given { value, origin }), ..Layer::default() })
    };
    for text in ["a\nb-a-b-a-b", "a\0b-a-b-a-b", "a b a b a b", "\u{2028}12345678", "1234567", ""] {
        assert_eq!(secret(text), None, "{text:?}");
    }
    assert!(secret("--a'b\"c$(d)").is_some(), "it is never on a command line");
}

fn argv(spec: &Spec, dialect: Dialect) -> Vec<String> {
    let port = |host, node| PortMapping { host, node, purpose: String::new() };
    let plan = ClusterPlan {
        name: spec.name.clone(),
        node_image: spec.node_image.clone(),
        ports: vec![port(spec.ports.console, 30081), port(spec.ports.dashboard, 30082), port(spec.ports.minio, 30084)],
        api_port: spec.ports.api,
        network_policies: false,
        store: None,
    };
    dialect.create(&plan, 6550, Duration::from_secs(60))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_spec_changes_which_options_k3d_is_given(
        text in prop_oneof![".{0,24}", "[a-z0-9./:@_-]{1,24}", "[a-z0-9-]{1,24}", "v1\\.[0-9]{2}\\.[0-9.+-]{1,8}k3s1"],
        which in 0..9_usize,
    ) {
        let [_, (_, layer), ..] = layers("a");
        let usual = resolved(layer).expect("a valid appid");
        let (_, layer) = layers(&text).into_iter().nth(which).expect("one of nine");
        if let Some(spec) = resolved(layer) {
            for dialect in [Dialect::V4, Dialect::V5] {
                let options = |spec: &Spec| -> Vec<String> {
                    let args = argv(spec, dialect);
                    let names = args.iter().filter(|arg| arg.starts_with('-'));
                    names.map(|arg| arg.split('=').next().unwrap_or_default().to_owned()).collect()
                };
                prop_assert_eq!(options(&spec), options(&usual));
                prop_assert_eq!(argv(&spec, dialect).len(), argv(&usual, dialect).len());
                prop_assert!(argv(&spec, dialect).iter().all(|arg| !arg.contains(['\n', '\0'])));
            }
        }
    }
}

fn refused(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    let output = command.env_clear().current_dir(folder).args(["render", "--upstream-credentials"]).args(args);
    let output = output.timeout(Duration::from_secs(60)).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    said
}

#[test]
fn a_folder_of_manifests_with_a_link_to_itself_a_pipe_or_a_folder_in_it_ends_in_a_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |name: &str| {
        let path = folder.path().join(name);
        fs::create_dir(&path).expect("made");
        path
    };
    let (circle, pipe, inner) = (of("circle"), of("pipe"), of("inner"));
    std::os::unix::fs::symlink("a.yaml", circle.join("a.yaml")).expect("linked");
    assert!(Program::new("mkfifo").arg(pipe.join("a.yaml")).status().expect("it runs").success());
    std::os::unix::fs::symlink(&inner, inner.join("a.yaml")).expect("linked");
    for (name, word) in [("circle", "symbolic links"), ("pipe", "is not a file"), ("inner", "is not a file")] {
        let said = refused(folder.path(), &["--manifests", name]);
        assert!(said.contains(word), "{name}: {said}");
    }
}

#[test]
fn input_without_an_end_is_read_up_to_a_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [["--manifests", "/dev/zero"], ["--config", "/dev/zero"]] {
        assert!(refused(folder.path(), &args).contains("64 MiB"), "{args:?}");
    }
}
