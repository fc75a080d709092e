//! What there is, as data.

use humantime::format_rfc3339_seconds;
use serde::Serialize;

use super::{Host, Running, endpoints, given};
use crate::cluster::{self, NodeState};
use crate::failure::{Failure, Reason};
use crate::kubernetes;
use crate::plan::Plan;
use crate::rehearsal::Rehearsal;
use crate::report::{Endpoint, Waiting};
use crate::rollout;

/// What a sandbox is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// There is none.
    Absent,
    /// Its node is stopped; `up` starts it.
    Stopped,
    /// Its node does not stay up, or an `up` was killed half way.
    Broken,
    /// Its node runs and some workloads are not ready.
    NotReady,
    /// Everything is ready.
    Ready,
}

/// How a sandbox relates to what the spec says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpecState {
    /// `up` would change nothing.
    Unchanged,
    /// `up` would apply a difference.
    Changed,
    /// It cannot be told.
    Unknown,
}

/// What there is of a sandbox.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The sandbox's name.
    pub name: String,
    /// Whether it is only played.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rehearsal: bool,
    /// What it is doing.
    pub phase: Phase,
    /// How it relates to the spec.
    pub spec: SpecState,
    /// Its system namespace, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_namespace: Option<String>,
    /// When its time is over and `sandbox gc` removes it, RFC 3339; absent where it has no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Workloads that are not ready.
    pub waiting: Vec<Waiting>,
    /// Where to go.
    pub endpoints: Vec<Endpoint>,
    /// All sandboxes on this daemon, this one among them if it is there.
    pub sandboxes: Vec<String>,
}

impl Status {
    async fn see(&mut self, running: Running, plan: &Plan) -> Result<(), Failure> {
        let inventory = running.inventory;
        let workloads: Vec<_> =
            inventory.objects.keys().filter(|object| object.kind == "Deployment").cloned().collect();
        self.waiting = rollout::ready_now(&running.client, &workloads).await?;
        let ready = self.waiting.is_empty() && !inventory.digest.is_empty();
        self.phase = if ready { Phase::Ready } else { Phase::NotReady };
        let gone = kubernetes::missing(&running.client, inventory.objects.keys().cloned()).await?;
        let same = inventory.digest == plan.digest && gone.is_empty();
        self.spec = if same { SpecState::Unchanged } else { SpecState::Changed };
        self.system_namespace = Some(inventory.spec.system_namespace());
        self.endpoints = endpoints::endpoints(&inventory.spec);
        Ok(())
    }
}

/// Looks at the sandbox of the plan's name, and compares it to the plan.
///
/// # Errors
/// Docker does not answer.
pub async fn status(plan: &Plan, host: &Host) -> Result<Status, Failure> {
    let name = plan.spec.name.clone();
    let played = Rehearsal::find(&host.state.sandbox(&name));
    let mut status = Status {
        name: name.clone(),
        rehearsal: played.is_some(),
        phase: Phase::Broken,
        spec: SpecState::Unknown,
        system_namespace: None,
        expires: None,
        waiting: Vec::new(),
        endpoints: Vec::new(),
        sandboxes: Vec::new(),
    };
    if let Some(place) = given::place_of(plan, host)? {
        match Running::at(&place, &name, host).await {
            Ok(running) => status.see(running, plan).await?,
            Err(failure) if failure.reason == Reason::NotFound => status.phase = Phase::Absent,
            Err(failure) => return Err(failure),
        }
        return Ok(status);
    }
    let (node, sandboxes, expiry) = match &played {
        // What else there is only Docker knows, and a rehearsal does without it.
        Some(played) if played.runs() => (NodeState::Running, vec![name.clone()], None),
        Some(_) => (NodeState::Stopped, vec![name.clone()], None),
        None => {
            let docker = host.docker().await?;
            let (node, owned, expiries) =
                tokio::try_join!(cluster::state(&docker, &name), cluster::owned(&docker), cluster::expiries(&docker))?;
            (node, owned, expiries.get(&name).copied())
        }
    };
    status.expires = expiry.map(|at| format_rfc3339_seconds(at).to_string());
    status.sandboxes = sandboxes;
    match node {
        NodeState::Absent | NodeState::Foreign => status.phase = Phase::Absent,
        NodeState::Stopped => status.phase = Phase::Stopped,
        NodeState::Unstarted | NodeState::Restarting { .. } => {}
        NodeState::Running => match Running::find(&name, host).await {
            Ok(running) => status.see(running, plan).await?,
            Err(failure) => {
                status.waiting.push(Waiting { object: format!("sandbox {name}"), reason: failure.to_string() })
            }
        },
    }
    Ok(status)
}
