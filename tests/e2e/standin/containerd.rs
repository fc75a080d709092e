//! `ctr images import` and `crictl images`, with a file for a store: where containerd's own would be, so that a volume
//! mounted there keeps it from one cluster to the next.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use flyte_sandbox::manifest::ImageRef;
use serde_json::{Value, json};

use super::faults::Faults;

const STORE: &str = "/var/lib/rancher/k3s/agent/containerd/standin-images.json";

pub(super) fn main(name: &str, args: &[String]) -> ExitCode {
    if !Path::new(super::CONTAINERD_UP).exists() {
        super::log("fatal", "failed to dial containerd.sock: connection refused");
        return ExitCode::FAILURE;
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match (name, args.as_slice()) {
        ("ctr", ["-n", "k8s.io", "images", "import", "-"]) => {
            if let Some(words) = Faults::now().import {
                eprintln!("ctr: {words}");
                return ExitCode::FAILURE;
            }
            import(std::io::stdin().lock());
        }
        ("crictl", ["images", "-o", "json"]) => println!("{}", listed(&images())),
        _ => {
            eprintln!("{name}: this stand-in does not know {args:?}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Image ids by canonical name.
pub(super) fn images() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(STORE).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// When the store was last written.
pub(super) fn written() -> Option<SystemTime> {
    std::fs::metadata(STORE).and_then(|store| store.modified()).ok()
}

fn import(archive: impl Read) {
    let mut images = images();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        if entry.path().expect("a path").as_os_str() == "manifest.json" {
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            for image in serde_json::from_str::<Vec<Value>>(&text).expect("docker save's manifest") {
                let config = image["Config"].as_str().expect("a configuration");
                let digest = config.trim_end_matches(".json").rsplit('/').next().unwrap_or_default();
                for tag in image["RepoTags"].as_array().into_iter().flatten() {
                    let reference: ImageRef = tag.as_str().expect("a tag").parse().expect("a reference");
                    println!("unpacking {} ({digest})...done", reference.canonical());
                    images.insert(reference.canonical(), format!("sha256:{digest}"));
                }
            }
        }
    }
    std::fs::write(STORE, json!(images).to_string()).expect("a store");
}

fn listed(images: &BTreeMap<String, String>) -> Value {
    let images = images.iter().map(|(tag, id)| json!({"id": id, "repoTags": [tag], "repoDigests": []}));
    json!({"images": images.collect::<Vec<_>>()})
}
