//! The state of a sandbox, as data.

use humantime::format_rfc3339_seconds;
use serde::Serialize;

use crate::failure::Failure;
use crate::kubernetes;
use crate::plan::Plan;
use crate::report::{Endpoint, Waiting};
use crate::rollout;
use crate::site::{self, Host, Location, Running, Site};

/// What a sandbox is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// There is none.
    Absent,
    /// Its node is stopped; `start` or `up` starts it.
    Stopped,
    /// Its node is frozen; `start` or `up` thaws it.
    Frozen,
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
    /// Since when there is data of an earlier sandbox of the name that the next one takes up, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_data: Option<String>,
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
        let workloads: Vec<_> = inventory.workloads().cloned().collect();
        self.waiting = rollout::ready_now(&running.client, &workloads).await?;
        let ready = self.waiting.is_empty() && inventory.digest.is_some();
        self.phase = if ready { Phase::Ready } else { Phase::NotReady };
        let gone = kubernetes::missing(&running.client, inventory.objects.keys().cloned()).await?;
        let same = inventory.digest.as_ref() == Some(&plan.digest) && gone.is_empty();
        self.spec = if same { SpecState::Unchanged } else { SpecState::Changed };
        self.system_namespace = Some(inventory.spec.system_namespace());
        self.endpoints = site::endpoints(&inventory.spec);
        Ok(())
    }
}

/// The state of the sandbox of the plan's name, compared to the plan.
///
/// # Errors
/// Docker or the attached cluster does not answer.
pub async fn status(plan: &Plan, host: &Host) -> Result<Status, Failure> {
    let name = plan.spec.name.clone();
    let site = Site::resolve(&name, Some(Location::wanted(&plan.spec)), host)?;
    let overview = site.overview().await?;
    let mut status = Status {
        name: name.clone(),
        rehearsal: site.is_rehearsal() && !matches!(overview.phase, site::Phase::Absent),
        phase: Phase::Broken,
        spec: SpecState::Unknown,
        system_namespace: None,
        expires: overview.expires.map(|at| format_rfc3339_seconds(at).to_string()),
        kept_data: overview.kept_data,
        waiting: Vec::new(),
        endpoints: Vec::new(),
        sandboxes: overview.sandboxes,
    };
    match overview.phase {
        site::Phase::Absent => status.phase = Phase::Absent,
        site::Phase::Stopped => status.phase = Phase::Stopped,
        site::Phase::Frozen => status.phase = Phase::Frozen,
        site::Phase::Broken => status.phase = Phase::Broken,
        site::Phase::Running(running) => match *running {
            Ok(running) => status.see(running, plan).await?,
            Err(failure) => {
                status.waiting.push(Waiting { object: format!("sandbox {name}"), reason: failure.to_string() });
            }
        },
    }
    Ok(status)
}
