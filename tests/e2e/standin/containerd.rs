//! `ctr images import`, `ctr images ls` and `crictl images`, with a file for a store: where containerd's own would be, so that a volume
//! mounted there keeps it from one cluster to the next.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use flyte_sandbox::manifest::ImageRef;
use serde::{Deserialize, Serialize};
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
        (
            "ctr",
            ["-n", "k8s.io", "images", "import", "-"] | ["-n", "k8s.io", "images", "import", "--no-unpack", "-"],
        ) => {
            if let Some(words) = Faults::now().import {
                eprintln!("ctr: {words}");
                return ExitCode::FAILURE;
            }
            import(std::io::stdin().lock());
        }
        ("ctr", ["-n", "k8s.io", "images", "ls"]) => {
            println!("REF TYPE DIGEST SIZE PLATFORMS LABELS");
            for (name, Kept { target, .. }) in images() {
                println!("{name} application/vnd.docker.distribution.manifest.v2+json {target} 1.0 MiB linux/amd64 -");
            }
        }
        ("crictl", ["rmi", ids @ ..]) => {
            keep(images().into_iter().filter(|(_, kept)| !ids.contains(&&*kept.id)).collect())
        }
        ("crictl", ["images", "-o", "json"]) => println!("{}", listed(&images())),
        _ => {
            eprintln!("{name}: this stand-in does not know {args:?}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// The digests of an image.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    /// Of its configuration.
    id: String,
    /// Of what its name stands for; empty where the archive does not say.
    target: String,
}

/// Image ids by canonical name.
pub(super) fn ids() -> BTreeMap<String, String> {
    images().into_iter().map(|(name, kept)| (name, kept.id)).collect()
}

/// Images by canonical name.
fn images() -> BTreeMap<String, Kept> {
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
        let path = entry.path().expect("a path").into_owned();
        let mut read = || -> Value { serde_json::from_reader(&mut entry).expect("JSON") };
        if path.as_os_str() == "manifest.json" {
            for image in read().as_array().expect("docker save's manifest") {
                let config = image["Config"].as_str().expect("a configuration");
                let digest = config.trim_end_matches(".json").rsplit('/').next().unwrap_or_default();
                for tag in image["RepoTags"].as_array().into_iter().flatten() {
                    let reference: ImageRef = tag.as_str().expect("a tag").parse().expect("a reference");
                    println!("unpacking {} ({digest})...done", reference.canonical());
                    images.entry(reference.canonical()).or_default().id = format!("sha256:{digest}");
                }
            }
        } else if path.as_os_str() == "index.json" {
            // Docker writes it since 25.
            for manifest in read()["manifests"].as_array().expect("an OCI index") {
                let name = manifest["annotations"]["io.containerd.image.name"].as_str();
                if let (Some(name), Some(digest)) = (name, manifest["digest"].as_str()) {
                    images.entry(name.to_owned()).or_default().target = digest.to_owned();
                }
            }
        }
    }
    keep(images);
}

fn keep(images: BTreeMap<String, Kept>) {
    std::fs::write(STORE, json!(images).to_string()).expect("a store");
}

fn listed(images: &BTreeMap<String, Kept>) -> Value {
    let images = images.iter().map(|(tag, Kept { id, .. })| json!({"id": id, "repoTags": [tag], "repoDigests": []}));
    json!({"images": images.collect::<Vec<_>>()})
}
