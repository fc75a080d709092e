//! The events of a run: the only interface between the stages and the views.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::stage::Stage;

/// The version of the NDJSON stream, raised on any change that could break a reader.
pub const SCHEMA_VERSION: u32 = 1;

/// The outcome of a stage, a probe or a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Observed to be as it should.
    Passed,
    /// Not so.
    Failed,
    /// Nothing had to be done.
    Unchanged,
    /// Skipped, wholly or in part; the summary says why.
    Skipped,
    /// Ended before its result was known, because the run was cancelled or another stage failed.
    Stopped,
}

/// The change of an applied object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It did not exist.
    Created,
    /// It existed and is different now.
    Changed,
    /// It existed as it should be.
    Unchanged,
    /// It existed, is not rendered any more, and was deleted.
    Pruned,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Will work, but the user should know.
    Warning,
    /// Nothing can start before this is fixed.
    Blocker,
}

/// An object that is not ready, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// Such as `deployment/flyteadmin`.
    pub object: String,
    /// Such as `container run-migrations: CrashLoopBackOff, 3 restarts`.
    pub reason: String,
}

/// An endpoint of a ready sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Such as `console`.
    pub name: String,
    /// Such as `http://127.0.0.1:30081/console`.
    pub url: String,
    /// The way to get the credentials for a login, if needed; never a secret itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
}

/// What facts are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// The machine of the run.
    Host,
    /// Versions and images of all that has a part in the run.
    Versions,
    /// The spec, each key with its origin.
    Spec,
}

/// Something that does not change during a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// Such as `ports.console`.
    pub name: String,
    /// Such as `30081`.
    pub value: String,
    /// Where the value comes from, such as `sandbox.yaml:3:5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

impl Fact {
    /// A fact without an origin.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl ToString) -> Self {
        Self { name: name.into(), value: value.to_string(), origin: None }
    }
}

/// One thing that happened. Serialised with `event` as tag, it is a line of the NDJSON stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Event {
    /// The first event of every run.
    RunStarted {
        /// [`SCHEMA_VERSION`].
        schema_version: u32,
        /// The subcommand.
        command: String,
        /// The sandbox's name.
        sandbox: String,
        /// This program's version.
        version: String,
    },
    /// The run is a rehearsal: nothing of Flyte runs. Every later line is marked as well.
    Rehearsal {
        /// The same in words.
        message: String,
    },
    /// Facts that help to read the run elsewhere.
    Facts {
        /// What they are about.
        about: About,
        /// The facts.
        facts: Vec<Fact>,
    },
    /// A stage began. Stages may overlap.
    StageStarted {
        /// The stage.
        stage: Stage,
    },
    /// The note of a running stage; replaces its previous note on a live display.
    Progress {
        /// The stage.
        stage: Stage,
        /// Such as `node Ready: waiting for the network plugin`.
        note: String,
    },
    /// A preflight check's result.
    Finding {
        /// Identifier of the check, such as `port-minio`.
        check: String,
        /// The severity.
        severity: Severity,
        /// The result.
        message: String,
        /// Next steps.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hints: Vec<String>,
    },
    /// The limit of a wait; `sandbox doctor -v` has one for each.
    Limit {
        /// Such as `stage-grace`.
        name: String,
        /// The limit, in milliseconds.
        millis: u64,
        /// The wait.
        wait: String,
    },
    /// Bytes of an image (or of a set of them) on their way.
    ImageProgress {
        /// The image, or what the set is for.
        image: String,
        /// `pull`, `import`, `save`, `pack`, `check` or `load`.
        step: String,
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    /// An object was applied or pruned.
    Applied {
        /// Such as `deployment 103020-flytepoc-dev/flyteadmin`.
        object: String,
        /// The change.
        change: Change,
    },
    /// The progress of the rollout.
    RolloutProgress {
        /// Ready ones.
        ready: usize,
        /// All.
        total: usize,
        /// The others, and why.
        waiting: Vec<Waiting>,
    },
    /// A smoke check's result.
    Probe {
        /// Identifier, such as `A2`.
        id: String,
        /// Such as `admin lists the projects`.
        title: String,
        /// Passed or failed.
        outcome: Outcome,
        /// The result.
        detail: String,
        /// The duration, in milliseconds.
        millis: u64,
    },
    /// A smoke check that has not passed yet, such as a workflow that runs.
    CheckWaiting {
        /// Identifier of the check, or the place of a workflow, such as `x/d-dev`.
        check: String,
        /// Such as `RUNNING, its pod is done`.
        note: String,
    },
    /// The end of a log, or of a list, that may explain the failure.
    Log {
        /// Whose it is, such as `container minio of pod 103020-flytepoc-dev/minio-0`.
        object: String,
        /// The lines, the newest last.
        lines: Vec<String>,
    },
    /// Something the user should know that stops nothing.
    Warning {
        /// The message.
        message: String,
    },
    /// A stage ended.
    StageFinished {
        /// The stage.
        stage: Stage,
        /// The outcome.
        outcome: Outcome,
        /// One line about the result, such as `6 images, all in the store`.
        summary: String,
        /// The duration, in milliseconds.
        millis: u64,
    },
    /// The endpoints; near the end of a successful `up` or `status`.
    Ready {
        /// URLs, and how to get what to log in with.
        endpoints: Vec<Endpoint>,
        /// A command line that makes `kubectl` see the sandbox.
        kubectl: String,
    },
    /// The last event of every run.
    RunFinished {
        /// The outcome.
        outcome: Outcome,
        /// One line for the user.
        summary: String,
        /// The exit code of the process.
        exit_code: u8,
        /// The failure, if it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// The duration, in milliseconds.
        millis: u64,
    },
}
