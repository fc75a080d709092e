//! What a stand-in's node does wrong: a file in it, which is read whenever it has changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use flyte_sandbox::rehearsal::{self, Answer, PodFault, Request, Workflow};
use serde::{Deserialize, Serialize};

/// The variable that a node is born with.
pub(super) const VARIABLE: &str = "STANDIN_FAULTS";

/// What a node does wrong.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Faults {
    /// k3s ends as soon as it starts: the line that it logs last, and its exit code.
    pub(crate) ends: Option<(String, u8)>,
    /// What comes of requests.
    pub(crate) requests: Vec<Request>,
    /// What becomes of the pods of a Deployment, by its name.
    pub(crate) pods: BTreeMap<String, PodFault>,
    /// What becomes of every workflow.
    pub(crate) workflows: Option<Workflow>,
    /// What containerd says to every import, in place of doing it.
    pub(crate) import: Option<String>,
}

impl Faults {
    /// Where they are in the node.
    pub(crate) const FILE: &str = "/run/standin-faults.json";

    /// Every request that has `what` in it is answered so.
    pub(crate) fn answering(what: &str, answer: Answer) -> Self {
        Self::default().and(what, None, answer)
    }

    /// And of those that have `what` in them, so many are answered so.
    pub(crate) fn and(mut self, what: &str, times: Option<usize>, answer: Answer) -> Self {
        self.requests.push(Request { what: what.to_owned(), times, answer });
        self
    }

    /// The pod of this Deployment never becomes ready.
    pub(crate) fn pod(deployment: &str, fault: PodFault) -> Self {
        Self { pods: [(deployment.to_owned(), fault)].into(), ..Self::default() }
    }

    /// Writes them to a file.
    pub(crate) fn write(&self, file: &Path) {
        std::fs::write(file, serde_json::to_string(self).expect("JSON")).expect("a file");
    }

    /// Those that this node has now; at its first start those that it was born with.
    pub(super) fn now() -> Self {
        let file = Path::new(Self::FILE);
        let text = std::fs::read_to_string(file).or_else(|_| std::env::var(VARIABLE)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// When they were last told.
    pub(super) fn written() -> Option<SystemTime> {
        std::fs::metadata(Self::FILE).and_then(|file| file.modified()).ok()
    }

    /// What a rehearsal takes of them.
    pub(super) fn played(self) -> rehearsal::Faults {
        rehearsal::Faults { requests: self.requests, pods: self.pods, workflows: self.workflows }
    }
}
