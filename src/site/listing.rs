//! Every sandbox of the machine: those of its Docker, and those that the state folder records.

use std::collections::BTreeMap;
use std::time::SystemTime;

use futures::future::try_join_all;
use humantime::format_rfc3339_seconds;
use serde::Serialize;

use super::host::Host;
use super::location::Location;
use super::process::RehearsalProcess;
use super::spare::SpareRecord;
use crate::cluster::{self, KeptData, NodeState};
use crate::docker::Docker;
use crate::failure::{Failure, Reason};
use crate::flyte::names;
use crate::plan::{API_PORT, node_name};
use crate::state::Holder;

/// What a sandbox is doing, as far as can be told without asking it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxState {
    /// Its node runs; `status` says whether it is ready.
    Running,
    /// Its node is stopped.
    Stopped,
    /// Its node is frozen.
    Frozen,
    /// It is the spare of this sandbox: its node is frozen, and the next `up` takes it.
    Spare(String),
    /// Another run is bringing it up, or down, or changes it.
    Changing,
    /// Its node does not stay up, or was never made whole.
    Broken,
    /// It has no node, and its data is kept.
    DataKept,
    /// It is on this context of an existing cluster, which is not asked.
    OnContext(String),
    /// It is a rehearsal.
    Rehearsed,
    /// It is a rehearsal whose process has ended.
    RehearsalEnded,
    /// The state folder knows of it, and Docker does not.
    Lost,
}

/// A sandbox of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedSandbox {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: SandboxState,
    /// The run that changes it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Holder>,
    /// Its ports on 127.0.0.1, by what is behind them.
    pub ports: BTreeMap<String, u16>,
    /// When its node was made, RFC 3339.
    pub created: Option<String>,
    /// The memory of its node in bytes.
    pub memory: Option<u64>,
    /// When its time is over and `sandbox gc` removes it, RFC 3339.
    pub expires: Option<String>,
}

/// All of them, by name.
#[derive(Debug)]
pub struct Listing {
    /// Those that could be found.
    pub sandboxes: Vec<ListedSandbox>,
    /// Why those of Docker could not.
    pub failure: Option<Failure>,
}

/// Every sandbox of the machine; with the memory of nodes, which Docker measures for a second.
///
/// # Errors
/// [`Reason::StateUnwritable`]: the state folder cannot be read.
pub async fn list(host: &Host, with_memory: bool) -> Result<Listing, Failure> {
    let mut sandboxes = Vec::new();
    let mut in_docker = Vec::new();
    for name in host.state.sandboxes() {
        match Location::recorded(&name, host)? {
            Some(Location::Rehearsal) => sandboxes.push(rehearsal(name, host)),
            Some(Location::Attached(at)) => {
                sandboxes.push(ListedSandbox::new(name, SandboxState::OnContext(at.context)));
            }
            Some(Location::Node) => in_docker.push(name),
            None => {}
        }
    }
    let failure = match in_docker_all(host, &in_docker, with_memory).await {
        Ok(found) => {
            sandboxes.extend(found);
            None
        }
        // On a machine without Docker there is none of them.
        Err(failure) if failure.reason == Reason::DockerAbsent && in_docker.is_empty() && host.names_no_docker() => {
            None
        }
        Err(failure) => Some(failure),
    };
    for sandbox in &mut sandboxes {
        sandbox.run = host.state.sandbox(&sandbox.name).busy();
        if sandbox.run.is_some() && !sandbox.may_answer() {
            sandbox.state = SandboxState::Changing;
        }
    }
    // Those that a run is about to make.
    for name in host.state.sandboxes() {
        let run = host.state.sandbox(&name).busy();
        if run.is_some() && !sandboxes.iter().any(|known| known.name == name) {
            sandboxes.push(ListedSandbox { run, ..ListedSandbox::new(name, SandboxState::Changing) });
        }
    }
    sandboxes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Listing { sandboxes, failure })
}

impl ListedSandbox {
    /// What it is doing, in words.
    #[must_use]
    pub fn doing(&self) -> String {
        let being = |run: Option<&Holder>| format!("being {}", run.map_or("changed", changed));
        match &self.state {
            _ if self.run.is_some() => being(self.run.as_ref()),
            SandboxState::Running => "running".to_owned(),
            SandboxState::Stopped => "stopped".to_owned(),
            SandboxState::Frozen => "frozen".to_owned(),
            SandboxState::Spare(of) => format!("spare of {of}"),
            SandboxState::Changing => being(None),
            SandboxState::Broken => "broken".to_owned(),
            SandboxState::DataKept => "data kept".to_owned(),
            SandboxState::OnContext(context) => format!("on context {context}"),
            SandboxState::Rehearsed => "rehearsed".to_owned(),
            SandboxState::RehearsalEnded => "rehearsal ended".to_owned(),
            SandboxState::Lost => "lost: not in Docker".to_owned(),
        }
    }

    /// Whether its cluster may answer.
    #[must_use]
    pub const fn may_answer(&self) -> bool {
        matches!(self.state, SandboxState::Running | SandboxState::Rehearsed | SandboxState::OnContext(_))
    }

    fn new(name: String, state: SandboxState) -> Self {
        Self { name, state, run: None, ports: BTreeMap::new(), created: None, memory: None, expires: None }
    }
}

/// What a run makes of a sandbox, such as `brought up`.
#[must_use]
pub fn changed(run: &Holder) -> &'static str {
    match run.purpose.as_str() {
        "up" => "brought up",
        "down" => "removed",
        _ => "changed",
    }
}

fn rehearsal(name: String, host: &Host) -> ListedSandbox {
    let process = RehearsalProcess::find(&host.state.sandbox(&name));
    let live = process.as_ref().is_some_and(RehearsalProcess::is_alive);
    let state = if live { SandboxState::Rehearsed } else { SandboxState::RehearsalEnded };
    let ports = process.iter().flat_map(RehearsalProcess::ports).filter_map(|(node, host)| purpose(node, host));
    ListedSandbox { ports: ports.collect(), ..ListedSandbox::new(name, state) }
}

async fn in_docker_all(host: &Host, recorded: &[String], with_memory: bool) -> Result<Vec<ListedSandbox>, Failure> {
    let docker = host.docker().await?;
    let (owned, expiries, kept, taken) = tokio::try_join!(
        cluster::owned(&docker),
        cluster::expiries(&docker),
        cluster::kept_data(&docker),
        cluster::taken(&docker)
    )?;
    let is_taken = |name: &str| taken.taker(name).is_some();
    let nodes = owned.iter().map(|name| node(&docker, name, taken.cluster_of(name), host, with_memory));
    let mut sandboxes = try_join_all(nodes).await?;
    let is_known = |name: &str, sandboxes: &[ListedSandbox]| sandboxes.iter().any(|known| known.name == name);
    for KeptData { sandbox, since, .. } in kept {
        if !is_known(&sandbox, &sandboxes) && !is_taken(&sandbox) {
            let created = Some(since).filter(|since| !since.is_empty());
            sandboxes.push(ListedSandbox { created, ..ListedSandbox::new(sandbox, SandboxState::DataKept) });
        }
    }
    for name in recorded {
        if !is_known(name, &sandboxes) && !is_taken(name) {
            sandboxes.push(ListedSandbox::new(name.clone(), SandboxState::Lost));
        }
    }
    for sandbox in &mut sandboxes {
        sandbox.expires = expiries.get(&sandbox.name).map(|at| rfc3339(*at));
    }
    Ok(sandboxes)
}

async fn node(
    docker: &Docker,
    name: &str,
    cluster: &str,
    host: &Host,
    with_memory: bool,
) -> Result<ListedSandbox, Failure> {
    let node = node_name(cluster);
    let (state, inspected) = tokio::try_join!(cluster::state(docker, cluster), cluster::node(docker, cluster))?;
    let spare = SpareRecord::read(&host.state.sandbox(name)).filter(|_| cluster == name);
    let memory = match state {
        // One that ends meanwhile has none.
        NodeState::Running | NodeState::Frozen if with_memory => docker.memory(&node).await.unwrap_or_default(),
        _ => None,
    };
    let state = match state {
        NodeState::Frozen if let Some(spare) = spare => SandboxState::Spare(spare.of),
        NodeState::Running => SandboxState::Running,
        NodeState::Stopped => SandboxState::Stopped,
        NodeState::Frozen => SandboxState::Frozen,
        NodeState::Absent | NodeState::Foreign | NodeState::Unstarted | NodeState::Restarting { .. } => {
            SandboxState::Broken
        }
    };
    let inspected = inspected.unwrap_or_default();
    let ports = inspected.ports.iter().filter_map(|port| purpose(port.container, port.host)).collect();
    let created = inspected.created.map(rfc3339);
    Ok(ListedSandbox { ports, created, memory, ..ListedSandbox::new(name.to_owned(), state) })
}

/// What is behind a port of a node, with the host's port.
fn purpose(node: u16, host: u16) -> Option<(String, u16)> {
    let published = names::PUBLISHED.iter().find(|published| published.node_port == node);
    let purpose = published.map(|published| published.purpose).or((node == API_PORT).then_some("api"))?;
    Some((purpose.to_owned(), host))
}

fn rfc3339(time: SystemTime) -> String {
    format_rfc3339_seconds(time).to_string()
}
