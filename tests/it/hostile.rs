//! Input that would be something else than what it is given for: an option, a path, another request.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flyte_sandbox::cluster::Dialect;
use flyte_sandbox::manifest::Bundle;
use flyte_sandbox::plan::{ClusterPlan, PortMapping};
use flyte_sandbox::release::Release;
use flyte_sandbox::render::render;
use flyte_sandbox::spec::{Layer, MachineKey, Origin, Sourced, Spec, parse, resolve};
use flyte_sandbox::yaml;
use proptest::prelude::*;
use serde_json::{Value, json};

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

/// Keys whose values are free text: a name to be shown, a name or a path of the user's own, keys of the object store.
const FREE: [&str; 5] = ["domains[].name", "context", "kubeconfig", "storage.accessKey", "storage.secretKey"];

/// An entry of each map in the spec, its value as JSON.
const ENTRIES: [(&str, &str, &str); 3] = [
    ("images", "k3s", r#""a:1""#),
    ("registryMirrors", "cr.flyte.org", r#""ghcr.io""#),
    ("projects", "x", r#"{"cpu": "1"}"#),
];

/// Every key of the spec, from its schema: `ports.console`, `projects[]`, `images{key}` and `images{value}`.
fn keys() -> Vec<String> {
    fn collect(schema: &Value, all: &Value, path: &str, found: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
            return collect(&all["$defs"][name], all, path, found);
        }
        if let Some(choices) = schema["anyOf"].as_array() {
            return choices.iter().filter(|one| one["type"] != "null").for_each(|one| collect(one, all, path, found));
        }
        if schema["items"].is_object() {
            return collect(&schema["items"], all, &format!("{path}[]"), found);
        }
        if schema["additionalProperties"].is_object() {
            found.push(format!("{path}{{key}}"));
            return collect(&schema["additionalProperties"], all, &format!("{path}{{value}}"), found);
        }
        match schema["properties"].as_object() {
            Some(properties) => properties.iter().for_each(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(value, all, &path, found);
            }),
            None => found.push(path.to_owned()),
        }
    }
    let (schema, mut found) = (flyte_sandbox::spec::schema(), Vec::new());
    collect(&schema, &schema, "", &mut found);
    found
}

/// A spec with this text at this key, and what else the key needs beside it.
fn layer(key: &str, text: &str) -> Option<Layer> {
    let mut spec = json!(text);
    for part in key.rsplit('.') {
        let name = part.split(['[', '{']).next().unwrap_or_default();
        let entry = || ENTRIES.iter().find(|(map, ..)| *map == name).expect("ENTRIES has one of every map");
        spec = match &part[name.len()..] {
            "" => spec,
            "[]" => json!([spec]),
            "{key}" => json!({ text: serde_json::from_str::<Value>(entry().2).expect("JSON") }),
            _ => json!({ entry().1: spec }),
        };
        spec = json!({ name: spec });
    }
    match key {
        "domains[].name" => spec["domains"][0]["id"] = "d-dev".into(),
        "context" | "kubeconfig" | "storageClass" => {
            spec["engine"] = "context".into();
            if key != "context" {
                spec["context"] = "there".into();
            }
        }
        _ => {}
    }
    parse(&spec.to_string(), "sandbox.yaml").ok()
}

fn resolved(layer: Layer) -> Option<Spec> {
    resolve([layer], &MachineKey::default()).ok().map(|resolved| resolved.spec)
}

#[test]
fn nothing_that_could_be_an_option_a_path_or_a_command_is_accepted_anywhere() {
    let keys = keys();
    assert!(keys.len() > 20 && FREE.iter().all(|free| keys.iter().any(|key| key == free)), "{keys:?}");
    for key in keys.iter().filter(|key| !FREE.contains(&key.as_str())) {
        for text in HOSTILE {
            assert_eq!(layer(key, text).and_then(resolved), None, "{key}: {text:?}");
        }
    }
}

#[test]
fn free_text_stays_what_it_is_in_all_that_is_made_of_it() {
    let odd = ["a$bcd", "a{{b}}", "a\"b'c", "a: b", "a #b", "%61bc%", "a\\b\\", "*abc", "!abc", "@abc", "0x1f", "null"];
    for key in FREE {
        for text in HOSTILE.into_iter().chain(odd) {
            let Some(spec) = layer(key, text).and_then(resolved) else { continue };
            let rendered = render(&spec, Bundle::embedded(Release::default()).expect("manifests")).expect(text);
            let values: Vec<Value> = rendered.objects.iter().map(|object| object.value().clone()).collect();
            let again = yaml::documents(&yaml::emit_documents(&values)).expect(text);
            assert_eq!(again, values, "{key}: {text:?}");
            let files = values.iter().filter(|object| object["kind"] == "ConfigMap");
            let files = files.flat_map(|object| object["data"].as_object().into_iter().flatten());
            for (name, file) in files.filter(|(name, _)| name.ends_with(".yaml")) {
                yaml::documents(file.as_str().expect("text"))
                    .unwrap_or_else(|error| panic!("{key}: {text:?}: {name}: {error:?}"));
            }
        }
    }
}

#[test]
fn text_of_a_credential_is_one_word() {
    let secret = |text: &str| {
        let value = flyte_sandbox::spec::Secret::new(text);
        let origin = Origin::Flag("--flag".to_owned());
        resolved(Layer { secret_key: Some(Sourced { value, origin }), ..Layer::default() })
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
        kubernetes: (1, 21),
        ports: vec![port(spec.ports.console, 30081), port(spec.ports.dashboard, 30082), port(spec.ports.minio, 30084)],
        api_port: spec.ports.api,
        network_policies: false,
        yields: false,
        store: None,
    };
    dialect.create(&plan, 6550, Duration::from_secs(60))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_spec_changes_which_options_k3d_is_given(
        text in prop_oneof![".{0,24}", "[a-z0-9./:@_-]{1,24}", "[a-z0-9-]{1,24}", "v1\\.[0-9]{2}\\.[0-9.+-]{1,8}k3s1"],
        key in prop::sample::select(keys()),
    ) {
        let usual = layer("appid", "a").and_then(resolved).expect("a valid appid");
        if let Some(spec) = layer(&key, &text).and_then(resolved) {
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
    let output = output.output().expect("it runs");
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
    assert!(Command::new("mkfifo").arg(pipe.join("a.yaml")).status().expect("it runs").success());
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
