//! An execution of a launch plan: requests to flyteadmin about it, and what is new in the answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::admin::{Execution, Request};

/// The most nodes that are listed.
const NODES: u64 = 100;

/// A launch plan, and the execution of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The project of both.
    pub project: String,
    /// The domain of both.
    pub domain: String,
    /// The launch plan's name.
    pub plan: String,
    /// The launch plan's version.
    pub version: String,
    /// The execution's name.
    pub execution: String,
}

impl Launch {
    /// The launch plan, with the inputs that it expects.
    #[must_use]
    pub fn read_plan(&self) -> Request {
        let Self { project, domain, plan, version, .. } = self;
        Request::get(format!("/api/v1/launch_plans/{project}/{domain}/{plan}/{version}"))
    }

    /// Starts the execution, with these literals.
    #[must_use]
    pub fn create(&self, inputs: &Value) -> Request {
        let Self { project, domain, plan, version, execution } = self;
        let id = json!({"resource_type": "LAUNCH_PLAN", "project": project, "domain": domain, "name": plan, "version": version});
        let spec = json!({"launch_plan": id, "metadata": {"mode": "MANUAL"}});
        let body = json!({"project": project, "domain": domain, "name": execution, "spec": spec, "inputs": inputs});
        Request::post("/api/v1/executions", body)
    }

    /// The execution.
    #[must_use]
    pub fn read(&self) -> Request {
        Request::get(format!("/api/v1/executions/{}", self.id()))
    }

    /// Its nodes.
    #[must_use]
    pub fn read_nodes(&self) -> Request {
        Request::get(format!("/api/v1/node_executions/{}?limit={NODES}", self.id()))
    }

    /// Its inputs and outputs.
    #[must_use]
    pub fn read_data(&self) -> Request {
        Request::get(format!("/api/v1/data/executions/{}", self.id()))
    }

    /// Its page in the console, from `/console` on.
    #[must_use]
    pub fn page(&self) -> String {
        let Self { project, domain, execution, .. } = self;
        format!("/projects/{project}/domains/{domain}/executions/{execution}")
    }

    fn id(&self) -> String {
        [self.project.as_str(), &self.domain, &self.execution].join("/")
    }
}

/// The answer to a list of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeList {
    #[serde(default)]
    node_executions: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Node {
    id: NodeId,
    #[serde(default)]
    closure: NodeClosure,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct NodeId {
    node_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
struct NodeClosure {
    #[serde(default)]
    phase: Option<String>,
}

/// The phases of an execution and its nodes that have been told.
#[derive(Debug, Default)]
pub struct Progress(BTreeMap<String, String>);

impl Progress {
    /// Phases that are new: of the execution and of each node, by `NAME` and `NAME/NODE`. Nodes that only mark begin and end
    /// are left out.
    pub fn news(&mut self, name: &str, execution: &Execution, nodes: &NodeList) -> Vec<(String, String)> {
        let own = execution.phase().map(|phase| (name.to_owned(), phase.to_owned()));
        let nodes = nodes.node_executions.iter().filter(|node| !node.id.node_id.ends_with("-node"));
        let nodes = nodes.filter_map(|Node { id, closure }| {
            let phase = closure.phase.clone().filter(|phase| phase != "UNDEFINED")?;
            Some((format!("{name}/{}", id.node_id), phase))
        });
        let mut seen: Vec<_> = nodes.collect();
        seen.sort();
        // Before its nodes where it begins, and after them where it ends.
        match execution.outcome() {
            None => seen.splice(..0, own),
            Some(_) => seen.splice(seen.len().., own),
        }
        .for_each(drop);
        seen.retain(|(name, phase)| self.0.insert(name.clone(), phase.clone()).as_ref() != Some(phase));
        seen
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Launch, NodeList, Progress};
    use crate::flyte::admin::Execution;

    #[test]
    fn requests_are_of_the_plan_and_of_its_execution() {
        let launch = Launch {
            project: "x".to_owned(),
            domain: "d-dev".to_owned(),
            plan: "hello.wf".to_owned(),
            version: "v1".to_owned(),
            execution: "r1".to_owned(),
        };
        let create = launch.create(&json!({"literals": {}}));
        let paths = [launch.read_plan(), launch.read(), launch.read_nodes(), launch.read_data()].map(|read| read.path);
        insta::assert_snapshot!(
            "requests",
            format!("{}\n{}\n{:#}", paths.join("\n"), create.path, create.body.expect("one"))
        );
    }

    #[test]
    fn a_phase_is_told_once_and_the_executions_end_comes_last() {
        let mut progress = Progress::default();
        let mut news = |phase: Option<&str>, nodes: &[(&str, &str)]| {
            let execution: Execution = serde_json::from_value(json!({"closure": {"phase": phase}})).expect("one");
            let nodes = nodes.iter().map(|(id, phase)| json!({"id": {"node_id": id}, "closure": {"phase": phase}}));
            let nodes: Vec<Value> = nodes.collect();
            let nodes: NodeList = serde_json::from_value(json!({ "node_executions": nodes })).expect("a list");
            let told = progress.news("r1", &execution, &nodes);
            told.iter().map(|(name, phase)| format!("{name} {phase}")).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(news(None, &[]), "");
        assert_eq!(news(Some("RUNNING"), &[("start-node", "SUCCEEDED"), ("n0", "QUEUED")]), "r1 RUNNING, r1/n0 QUEUED");
        assert_eq!(news(Some("RUNNING"), &[("n1", "QUEUED"), ("n0", "SUCCEEDED")]), "r1/n0 SUCCEEDED, r1/n1 QUEUED");
        assert_eq!(news(Some("RUNNING"), &[("n1", "QUEUED")]), "");
        assert_eq!(news(Some("FAILED"), &[("n1", "FAILED")]), "r1/n1 FAILED, r1 FAILED");
    }
}
