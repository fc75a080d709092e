//! `k3d version` and `k3d cluster create`, in both dialects, strict about both: a flag of the other one is refused.
//!
//! A file beside it says which version it is and how it fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};

use super::log;

/// The file beside the program.
const PART: &str = "k3d.json";

/// How it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failing {
    /// It does not.
    No,
    /// It makes the network, then says that a port is taken, and exits with 1.
    Port,
    /// It exits with 0 and has made nothing.
    Nothing,
    /// It makes the network and never ends.
    Hang,
    /// The node that it makes ends as soon as it starts.
    Crash,
}

/// What it plays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) version: String,
    pub(crate) failing: Failing,
}

impl Part {
    /// Writes it down for the program in this folder.
    pub(crate) fn write(&self, folder: &Path) {
        std::fs::write(folder.join(PART), serde_json::to_string(self).expect("JSON")).expect("a file");
    }

    fn read() -> Self {
        let program = PathBuf::from(std::env::args().next().unwrap_or_default());
        let text = std::fs::read_to_string(program.with_file_name(PART)).expect("a part to play");
        serde_json::from_str(&text).expect("a part")
    }

    fn is_4(&self) -> bool {
        self.version.starts_with("v4")
    }
}

pub(super) fn main(args: &[String]) -> ExitCode {
    let part = Part::read();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let made = match args.as_slice() {
        ["version"] => {
            println!("k3d version {}\nk3s version v1.21.2-k3s1 (default)", part.version);
            Ok(())
        }
        ["cluster", "create", name, flags @ ..] => {
            Asked::parse(&part, flags).and_then(|asked| create(&part, name, &asked))
        }
        other => Err(format!("unknown command {other:?} for \\\"k3d\\\"")),
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            log("fatal", &why);
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Default)]
struct Asked {
    values: BTreeMap<String, Vec<String>>,
}

impl Asked {
    fn parse(part: &Part, flags: &[&str]) -> Result<Self, String> {
        let both = ["--image", "--api-port", "--port", "--volume", "--timeout"];
        let (valued, node) = match part.is_4() {
            true => (["--label", "--k3s-server-arg"], "server[0]"),
            false => (["--runtime-label", "--k3s-arg"], "server:0"),
        };
        let switches =
            ["--no-lb", "--no-rollback", "--kubeconfig-update-default=false", "--kubeconfig-switch-context=false"];
        let of_4 = ["--no-hostip", "--no-image-volume"];
        let mut asked = Self::default();
        let mut flags = flags.iter();
        while let Some(flag) = flags.next() {
            if switches.contains(flag) || part.is_4() && of_4.contains(flag) {
                asked.values.insert((*flag).to_owned(), Vec::new());
                continue;
            }
            if !both.contains(flag) && !valued.contains(flag) {
                return Err(format!("unknown flag: {flag}"));
            }
            let value = *flags.next().ok_or_else(|| format!("flag needs an argument: {flag}"))?;
            let filtered = match *flag {
                "--image" | "--api-port" | "--timeout" | "--k3s-server-arg" => Some(value),
                "--port" if !part.is_4() => value.strip_suffix(&format!("@{node}:direct")),
                _ => value.strip_suffix(&format!("@{node}")),
            };
            let value = filtered.ok_or_else(|| format!("{flag} {value}: no node filter of this version"))?;
            asked.values.entry((*flag).to_owned()).or_default().push(value.to_owned());
        }
        Ok(asked)
    }

    fn all(&self, flag: &str) -> impl Iterator<Item = &String> {
        self.values.get(flag).into_iter().flatten()
    }

    fn has(&self, flag: &str) -> bool {
        self.values.contains_key(flag)
    }
}

fn create(part: &Part, name: &str, asked: &Asked) -> Result<(), String> {
    if part.failing == Failing::Nothing {
        log("info", "Cluster created successfully!");
        return Ok(());
    }
    let (network, node) = (format!("k3d-{name}"), format!("k3d-{name}-server-0"));
    let cluster = format!("k3d.cluster={name}");
    log("info", &format!("Creating network '{network}'"));
    docker(&["network", "create", "--label", "app=k3d", &network])?;
    match part.failing {
        Failing::Port => {
            log("error", "Failed Cluster Start: Bind for 127.0.0.1:30082 failed: port is already allocated");
            return Err("Cluster creation FAILED, all changes have been rolled back!".to_owned());
        }
        Failing::Hang => loop {
            std::thread::park();
        },
        _ => {}
    }
    let images = format!("k3d-{name}-images");
    if !asked.has("--no-image-volume") {
        docker(&["volume", "create", "--label", "app=k3d", "--label", &cluster, &images])?;
    }
    let mut run: Vec<String> =
        ["run", "-d", "--name", &node, "--hostname", &node, "--network", &network].map(str::to_owned).into();
    let mut option = |flag: &str, value: String| run.extend([flag.to_owned(), value]);
    option("--restart", "unless-stopped".to_owned());
    option("-e", format!("STANDIN_NODE={node}"));
    if part.failing == Failing::Crash {
        option("-e", "STANDIN_CRASH=1".to_owned());
    }
    for label in ["app=k3d", &cluster, "k3d.role=server", &format!("k3d.version={}", part.version)] {
        option("--label", label.to_owned());
    }
    for label in asked.all("--label").chain(asked.all("--runtime-label")) {
        option("--label", label.clone());
    }
    for port in asked.all("--port") {
        option("-p", port.clone());
    }
    for api in asked.all("--api-port") {
        option("-p", format!("{api}:6443"));
    }
    for volume in asked.all("--volume") {
        option("-v", volume.clone());
    }
    if !asked.has("--no-image-volume") {
        option("-v", format!("{images}:/k3d/images"));
    }
    run.extend(asked.all("--image").cloned());
    run.push("server".to_owned());
    run.extend(asked.all("--k3s-arg").chain(asked.all("--k3s-server-arg")).cloned());
    log("info", &format!("Creating node '{node}'"));
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    if let Err(why) = docker(&run) {
        log("error", &format!("Failed Cluster Start: {}", why.replace('"', "'")));
        return Err("Failed to create cluster".to_owned());
    }
    log("info", &format!("Cluster '{name}' created successfully!"));
    Ok(())
}

fn docker(args: &[&str]) -> Result<(), String> {
    let output = Command::new("docker").args(args).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "))
    }
}
