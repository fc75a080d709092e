//! What this machine has, and what is played.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::docker::try_docker;
use super::images;

/// Set to anything, it makes every test use stand-ins.
const FORCE: &str = "SANDBOX_E2E_STANDIN";

/// Whether every test is to use stand-ins.
pub(crate) fn is_forced() -> bool {
    std::env::var_os(FORCE).is_some()
}

/// A k3d's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Major {
    Four,
    Five,
}

impl Major {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Four => "k3d version v4.",
            Self::Five => "k3d version v5.",
        }
    }

    /// What a stand-in says that it is.
    pub(crate) const fn version(self) -> &'static str {
        match self {
            Self::Four => "v4.4.8",
            Self::Five => "v5.9.0",
        }
    }
}

/// What a test would like to stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The real thing where this machine has it.
    Real,
    /// Stand-ins, for speed or because the real thing cannot be made to fail.
    StandIn,
}

/// What a test stands on.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// The daemon's address.
    pub(crate) docker_host: String,
    /// The real k3d, with real images; none where both are played.
    pub(crate) k3d: Option<PathBuf>,
    pub(crate) major: Major,
}

impl Ground {
    /// Looks, and says what is real and what is a stand-in.
    ///
    /// # Panics
    /// Without Docker: there is nothing to play it with.
    pub(crate) fn find(wish: Wish, major: Major) -> Self {
        let docker = try_docker(&["version", "--format", "{{.Server.Version}}"]).unwrap_or_else(|why| {
            panic!("these tests need a Docker Engine that answers, and there is none: {why}\nscripts/test starts one")
        });
        let context = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"];
        let docker_host = std::env::var("DOCKER_HOST").or_else(|_| try_docker(&context));
        let docker_host = docker_host.unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        println!("docker: {docker} (real)");
        let k3d = match wish {
            Wish::StandIn => {
                println!("k3d: {} (stand-in, as the test wishes)\nimages: stand-ins", major.version());
                None
            }
            Wish::Real => real(major, &docker_host),
        };
        if k3d.is_none() {
            images::make();
        }
        Self { docker_host, k3d, major }
    }

    pub(crate) fn is_real(&self) -> bool {
        self.k3d.is_some()
    }
}

/// The real k3d, if all that it needs is here too.
fn real(major: Major, docker_host: &str) -> Option<PathBuf> {
    let played = |why: &str| {
        println!("k3d: {} (stand-in: {why})\nimages: stand-ins", major.version());
        None
    };
    if is_forced() {
        return played(&format!("{FORCE} is set"));
    }
    let Some((path, version)) = k3d(major) else {
        return played(&format!("no program says `{}…`", major.prefix()));
    };
    let absent = absent(docker_host);
    if !absent.is_empty() {
        return played(&format!("{version} is here, but not the images {}", absent.join(", ")));
    }
    println!("{version} (real), {}\nimages: real", path.display());
    Some(path)
}

/// A k3d of this major version: `k3d`, `k3d-4.4.8` and the like.
fn k3d(major: Major) -> Option<(PathBuf, String)> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let named = |folder: &PathBuf| {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        files.filter(|file| is_k3d(file)).collect::<Vec<_>>()
    };
    folders.iter().flat_map(named).find_map(|path| {
        let output = Command::new(&path).arg("version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.starts_with(major.prefix()))?;
        Some((path, line.replacen("k3d version", "k3d:", 1)))
    })
}

fn is_k3d(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == "k3d" || name.strip_prefix("k3d-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// What a sandbox needs and Docker has not.
fn absent(docker_host: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut list = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    list.args(["images", "list", "--output", "json"]).env_clear().current_dir(folder.path());
    let output = list.env("HOME", folder.path()).env("DOCKER_HOST", docker_host).output().expect("the binary");
    let needed: Vec<Value> = serde_json::from_slice(&output.stdout).expect("a list of images");
    assert!(!needed.is_empty(), "`sandbox images list` names no image");
    let absent = needed.iter().filter(|needed| needed["present"] == false);
    absent.map(|needed| needed["image"].as_str().unwrap_or_default().to_owned()).collect()
}
