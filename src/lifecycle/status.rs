//! The state of a sandbox, as data.

use std::collections::BTreeSet;
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;
use serde::Serialize;

use super::compare::drift;
use super::lacking::lacking;
use super::observed::Restart;
use super::outdated::{Outdated, outdated};
use super::sight::seen;
use crate::failure::{Failure, Reason};
use crate::manifest::{Edit, ObjectRef};
use crate::plan::Plan;
use crate::report::{Endpoint, Waiting};
use crate::run::beside;
use crate::site::{self, Host, Location, Running, Site};
use crate::smoke::Answer;
use crate::state::Holder;

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
    /// Another run is bringing it up, or down, or changes it.
    Changing,
    /// Its node does not stay up, or an `up` was killed half way.
    Broken,
    /// Its node runs, and some workloads are not ready or objects are missing.
    NotReady,
    /// Everything is there and ready, and every endpoint answered just now.
    Ready,
}

/// How a sandbox relates to what the spec says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpecState {
    /// `up` would change nothing and wait for nothing.
    Unchanged,
    /// `up` would apply a difference.
    Changed,
    /// The spec is the same; objects are missing or were edited, or pods run an image that was built again since, and `up`
    /// mends that.
    Drifted,
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
    /// The run that changes it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Holder>,
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
    /// Workloads that are not ready or lack what the spec says (projects, buckets, tables), and pods whose status is older
    /// than their node's start.
    pub waiting: Vec<Waiting>,
    /// Objects that were applied and are not there.
    pub missing: Vec<ObjectRef>,
    /// Objects that somebody changed since they were applied.
    pub edited: Vec<Edit>,
    /// Workloads whose pods run an image that was built again since; `up` replaces them.
    pub outdated: BTreeSet<Outdated>,
    /// Containers that died since the node started, and what of.
    pub restarts: Vec<Restart>,
    /// What the endpoints answered just now.
    pub answers: Vec<Answer>,
    /// Where to go.
    pub endpoints: Vec<Endpoint>,
    /// All sandboxes on this daemon, this one among them if it is there.
    pub sandboxes: Vec<String>,
}

impl Status {
    async fn see(
        &mut self,
        running: Running,
        node_started: Option<SystemTime>,
        site: &Site<'_>,
        plan: &Plan,
    ) -> Result<(), Failure> {
        let Running { inventory, client, .. } = running;
        let system = inventory.spec.system_namespace();
        let among = async |images| site.outdated(images).await;
        let look = async {
            let seen = Box::pin(seen(&client, &inventory, node_started)).await;
            let answered = seen.answers.iter().all(|answer| answer.is_well);
            // What does not run lacks more than need be told.
            let all_run = answered && seen.pods.as_ref().is_ok_and(|(waiting, _)| waiting.is_empty());
            ((seen.answers, answered, seen.pods), all_run)
        };
        let (((answers, answered, waiting), lacking), outdated, drift) = tokio::join!(
            Box::pin(beside(look, lacking(&client, &inventory))),
            Box::pin(outdated(&client, &system, among)),
            Box::pin(drift(&client, &inventory, plan)),
        );
        self.answers = answers;
        (self.waiting, self.restarts) = waiting?;
        self.outdated = outdated?;
        let drift = drift?;
        self.waiting.extend(lacking.unwrap_or_default());
        let whole = inventory.digest.is_some() && drift.missing.is_empty();
        let ready = whole && self.waiting.is_empty() && answered;
        self.phase = if ready { Phase::Ready } else { Phase::NotReady };
        self.spec = match inventory.digest.as_ref() == Some(&plan.digest) {
            true if ready && drift.is_none() && self.outdated.is_empty() => SpecState::Unchanged,
            true => SpecState::Drifted,
            false => SpecState::Changed,
        };
        self.missing = drift.missing.into_iter().collect();
        self.edited = drift.edited;
        self.system_namespace = Some(system);
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
    let state = host.state.sandbox(&name);
    let busy = state.busy();
    let site = Site::resolve(&name, Some(Location::wanted(&plan.spec)), host)?;
    let overview = site.overview().await?;
    let mut status = Status {
        name: name.clone(),
        rehearsal: site.is_rehearsal() && !matches!(overview.phase, site::Phase::Absent),
        phase: Phase::Broken,
        run: None,
        spec: SpecState::Unknown,
        system_namespace: None,
        expires: overview.expires.map(|at| format_rfc3339_seconds(at).to_string()),
        kept_data: overview.kept_data,
        waiting: Vec::new(),
        missing: Vec::new(),
        edited: Vec::new(),
        outdated: BTreeSet::new(),
        restarts: Vec::new(),
        answers: Vec::new(),
        endpoints: Vec::new(),
        sandboxes: overview.sandboxes,
    };
    match overview.phase {
        site::Phase::Absent => status.phase = Phase::Absent,
        site::Phase::Stopped => status.phase = Phase::Stopped,
        site::Phase::Frozen => status.phase = Phase::Frozen,
        site::Phase::Broken => status.phase = Phase::Broken,
        site::Phase::Running(running) => match *running {
            Ok(running) => Box::pin(status.see(running, overview.node_started, &site, plan)).await?,
            Err(failure) => {
                let mut reason = failure.to_string();
                // The node is well, and no `up` helps.
                if failure.reason == Reason::PortUnreachable {
                    status.phase = Phase::NotReady;
                    reason.extend(failure.hints.iter().map(|hint| format!("; {hint}")));
                }
                status.waiting.push(Waiting { object: format!("sandbox {name}"), reason });
            }
        },
    }
    // One that has ended by now was busy with what was seen.
    status.run = busy.or_else(|| state.busy());
    match status.phase {
        _ if status.run.is_none() => {}
        Phase::Ready => {}
        Phase::NotReady => status.phase = Phase::Changing,
        // Why the sandbox cannot be asked is that there is not all of it yet.
        _ => {
            status.phase = Phase::Changing;
            status.waiting.clear();
        }
    }
    Ok(status)
}
