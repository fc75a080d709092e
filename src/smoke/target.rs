//! What is checked, and the two ways to reach it.

use std::time::Duration;

use crate::spec::{Ports, Spec, WorkflowNamespace};

use super::apiserver::ApiServer;
use super::http::Http;

/// What is checked.
#[derive(Clone)]
pub struct Target<'a> {
    /// Names, ports, projects, domains and storage as they should be.
    pub spec: &'a Spec,
    /// The cluster's API, as its administrator.
    pub client: kube::Client,
    /// How long to keep asking: `CHECKS_AFTER_UP` or `CHECKS_WHEN_READY`. An attempt that is under way when it ends is
    /// given a moment more.
    pub budget: Duration,
    /// Where a workflow is to run after the checks.
    pub executions: Executions,
}

/// In which pairs of project and domain a workflow is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Executions {
    /// Nowhere.
    #[default]
    None,
    /// In the first domain of the first project.
    First,
    /// In every domain of the project that came last.
    Newest,
    /// In every domain of every project.
    All,
}

impl Executions {
    pub(super) fn among(self, spec: &Spec) -> Vec<WorkflowNamespace> {
        let namespaces = spec.workflow_namespaces().into_iter();
        let newest = spec.projects.last();
        match self {
            Self::None => Vec::new(),
            Self::First => namespaces.take(1).collect(),
            Self::Newest => namespaces.filter(|namespace| Some(&namespace.project) == newest).collect(),
            Self::All => namespaces.collect(),
        }
    }
}

/// What every check is handed.
pub(super) struct Context<'a> {
    pub(super) spec: &'a Spec,
    /// Where console, dashboard and Minio are reached on 127.0.0.1.
    pub(super) ports: Ports,
    pub(super) http: Http,
    pub(super) api: ApiServer,
}

impl Context<'_> {
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

fn loopback(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}
