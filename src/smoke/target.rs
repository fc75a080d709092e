//! The sandbox under test, and how checks reach it.

use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::spec::{Ports, Spec, WorkflowNamespace};

use super::apiserver::ApiServer;
use super::http::Http;

/// The sandbox under test.
#[derive(Clone)]
pub struct Target<'a> {
    /// Names, ports, projects, domains and storage as they should be.
    pub spec: &'a Spec,
    /// The cluster's API, as its administrator.
    pub client: kube::Client,
    /// The time for retries: `CHECKS_AFTER_UP` or `CHECKS_WHEN_READY`. A running attempt gets a moment more.
    pub budget: Duration,
    /// The projects and domains to run a workflow in after the checks.
    pub executions: Executions,
}

/// The projects and domains to run a workflow in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Executions {
    /// None.
    #[default]
    None,
    /// The first domain of the first project.
    First,
    /// Every domain of the project that was added last.
    LastProject,
    /// Every domain of every project.
    All,
}

impl Executions {
    pub(super) fn among(self, spec: &Spec) -> Vec<WorkflowNamespace> {
        let namespaces = spec.workflow_namespaces().into_iter();
        let newest = spec.projects.last();
        match self {
            Self::None => Vec::new(),
            Self::First => namespaces.take(1).collect(),
            Self::LastProject => namespaces.filter(|namespace| Some(&namespace.project) == newest).collect(),
            Self::All => namespaces.collect(),
        }
    }
}

/// The spec and the clients of a check.
pub(super) struct CheckContext<'a> {
    pub(super) spec: &'a Spec,
    /// The ports of console, dashboard and Minio on 127.0.0.1.
    pub(super) ports: Ports,
    pub(super) http: Http,
    pub(super) api: ApiServer,
    /// Held while admin is asked for its projects: a flyteadmin of v0.6.13 that has just started does not survive two such
    /// requests at the same moment (`execution/first_calls.rs`).
    pub(super) projects: Mutex<()>,
    /// What a user must know though the checks pass.
    warnings: StdMutex<Vec<String>>,
}

impl<'a> CheckContext<'a> {
    pub(super) fn new(spec: &'a Spec, ports: Ports, http: Http, client: kube::Client) -> Self {
        Self {
            spec,
            ports,
            http,
            api: ApiServer::new(client),
            projects: Mutex::default(),
            warnings: StdMutex::default(),
        }
    }

    /// Keeps a warning, which is told once, however often a check is tried.
    pub(super) fn warn(&self, warning: String) {
        let mut warnings = self.warnings();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// The warnings so far.
    pub(super) fn warnings(&self) -> MutexGuard<'_, Vec<String>> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn console(&self, path: &str) -> String {
        loopback(self.ports.console, path)
    }

    pub(super) fn dashboard(&self, path: &str) -> String {
        loopback(self.ports.dashboard, path)
    }

    pub(super) fn minio(&self, path: &str) -> String {
        loopback(self.ports.minio, path)
    }
}

pub(super) fn loopback(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}
