//! `k3d version` and `k3d cluster create`, in both dialects, strict about both: a flag of the other one is refused.
//!
//! A file beside it says which version it is and how it fails.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};

use super::faults::{self, Faults};
use super::log;

/// The file beside the program.
const PART: &str = "k3d.json";
/// Noise comes in pieces of this size.
const PIECE: usize = 1 << 16;

/// How it fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failing {
    /// It does not.
    No,
    /// `k3d version` says this and nothing else.
    Version(String),
    /// `k3d version` does not end.
    VersionHangs,
    /// It makes the network, says this, and exits with 1.
    Says(String),
    /// It exits with 0 and has made nothing.
    Nothing,
    /// It makes the network and never ends.
    Hang,
    /// It writes so many MiB of this, says that the disk is full, and exits with 1.
    Noise(Noise, usize),
    /// It binds the first published port itself before it makes the node.
    TakesPort,
    /// It makes the cluster, says this, and exits with 1 leaving all of it and another volume.
    After(String),
    /// It makes the network and the volume, says that all is rolled back, and leaves both.
    RollsBackHalf,
}

/// What is written without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Noise {
    /// Log lines.
    Lines,
    /// One line.
    Line,
    /// Bytes that are no text.
    Bytes,
}

/// What it plays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) version: String,
    pub(crate) failing: Failing,
    /// What the node that it makes does wrong.
    pub(crate) node: Faults,
}

impl Default for Part {
    fn default() -> Self {
        Self { version: "v5.9.0".to_owned(), failing: Failing::No, node: Faults::default() }
    }
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
    let made = match (args.as_slice(), &part.failing) {
        (["version"], Failing::Version(text)) => {
            println!("{text}");
            Ok(())
        }
        (["version"], Failing::VersionHangs) => hang(),
        (["version"], _) => {
            println!("k3d version {}\nk3s version v1.21.2-k3s1 (default)", part.version);
            Ok(())
        }
        (["cluster", "create", name, flags @ ..], _) => {
            Asked::parse(&part, flags).and_then(|asked| create(&part, name, &asked))
        }
        (other, _) => Err(format!("unknown command {other:?} for \\\"k3d\\\"")),
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            log("fatal", &why);
            ExitCode::FAILURE
        }
    }
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

fn make_noise(noise: Noise, mebibytes: usize) {
    let piece = match noise {
        Noise::Lines => {
            "time=\"2021-06-01T00:00:00Z\" level=info msg=\"still at it\"\n".repeat(PIECE / 58).into_bytes()
        }
        Noise::Line => vec![b'x'; PIECE],
        Noise::Bytes => (0..=u8::MAX).cycle().take(PIECE).collect(),
    };
    let mut stderr = std::io::stderr().lock();
    for _ in 0..mebibytes * (1 << 20) / piece.len() {
        let _ = stderr.write_all(&piece);
    }
    let _ = stderr.write_all(b"\n");
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
    const ROLLED_BACK: &str = "Cluster creation FAILED, all changes have been rolled back!";
    match &part.failing {
        Failing::Says(words) => {
            log("error", words);
            return Err(ROLLED_BACK.to_owned());
        }
        Failing::Noise(noise, mebibytes) => {
            make_noise(*noise, *mebibytes);
            return Err("write /tmp/x: no space left on device".to_owned());
        }
        Failing::Hang => hang(),
        _ => {}
    }
    let images = format!("k3d-{name}-images");
    if !asked.has("--no-image-volume") {
        docker(&["volume", "create", "--label", "app=k3d", "--label", &cluster, &images])?;
    }
    if part.failing == Failing::RollsBackHalf {
        log("error", "Failed Cluster Start: server-0 did not come up");
        return Err(ROLLED_BACK.to_owned());
    }
    let mut run: Vec<String> =
        ["run", "-d", "--name", &node, "--hostname", &node, "--network", &network].map(str::to_owned).into();
    let mut option = |flag: &str, value: String| run.extend([flag.to_owned(), value]);
    option("--restart", "unless-stopped".to_owned());
    option("-e", format!("STANDIN_NODE={node}"));
    option("-e", format!("{}={}", faults::VARIABLE, serde_json::to_string(&part.node).expect("JSON")));
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
    let first_port = asked.all("--port").next().and_then(|port| port.rsplit_once(':')?.0.parse().ok());
    let first_port: Option<std::net::SocketAddr> = first_port.filter(|_| part.failing == Failing::TakesPort);
    let _taken = first_port.map(|port| TcpListener::bind(port).expect("a free port"));
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    if let Err(why) = docker(&run) {
        log("error", &format!("Failed Cluster Start: {}", why.replace('"', "'")));
        return Err("Failed to create cluster".to_owned());
    }
    if let Failing::After(words) = &part.failing {
        docker(&["volume", "create", "--label", "app=k3d", "--label", &cluster, &format!("k3d-{name}-more")])?;
        log("error", words);
        return Err(ROLLED_BACK.to_owned());
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
