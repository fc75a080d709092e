//! What can be asked about a sandbox for its evidence.

use std::time::SystemTime;

use kube::Client;

use super::running::Running;
use crate::docker::Docker;
use crate::evidence::{AttachedCluster, EvidenceRequest};
use crate::failure::Failure;
use crate::limits::EVIDENCE_ANSWER;
use crate::plan::Plan;
use crate::run::Deadline;

/// What can be asked about a sandbox for its evidence.
pub struct EvidenceSources {
    /// The state of the sandbox, in words.
    pub why: String,
    /// The daemon that it is on.
    pub docker: Result<Docker, Failure>,
    /// The API of an attached cluster, and the namespaces that may be asked about.
    pub namespaces: Option<(Client, Vec<String>)>,
    /// Access to its API, where Docker does not have it.
    pub kubeconfig: Option<String>,
    /// The engine that made its cluster, with its version.
    pub engine: Result<String, Failure>,
    /// Its secrets, besides those of the plan.
    pub secrets: Vec<String>,
}

impl EvidenceSources {
    /// The request for evidence about this sandbox. `failure` is why its run failed, if one did; `since` bounds events.
    #[must_use]
    pub fn subject<'a>(
        &'a self,
        name: &'a str,
        failure: Option<&'a Failure>,
        plan: Result<&'a Plan, &'a Failure>,
        since: SystemTime,
    ) -> EvidenceRequest<'a> {
        EvidenceRequest {
            name,
            why: failure.map_or(Ok(&self.why), Err),
            plan,
            docker: self.docker.as_ref(),
            attached: self
                .namespaces
                .as_ref()
                .map(|(client, namespaces)| AttachedCluster { client, namespaces: namespaces.clone() }),
            kubeconfig: self.kubeconfig.clone(),
            engine: self.engine.as_ref().cloned(),
            secrets: self.secrets.clone(),
            since,
            last_run: None,
        }
    }
}

/// The answer of `work`; absent where it takes too long for evidence to wait for.
pub(super) async fn within_a_moment<T>(work: impl Future<Output = T>) -> Option<T> {
    Deadline::fixed(EVIDENCE_ANSWER).limit(work).await
}

/// The secrets of the sandbox as it runs: the spec may have others by now.
pub(super) async fn secrets(running: impl Future<Output = Result<Running, Failure>>) -> Vec<String> {
    match within_a_moment(running).await {
        Some(Ok(running)) => running.inventory.spec.secrets().map(|secret| secret.expose().to_owned()).collect(),
        _ => Vec::new(),
    }
}
