//! What a run says while it works. The only interface between doing and showing.

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::Failure;
use crate::stage::Stage;

/// Raised on any change that could break a reader of the NDJSON stream.
pub const SCHEMA_VERSION: u32 = 1;

/// How a stage, a probe or a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Observed to be as it should.
    Passed,
    /// Not so.
    Failed,
    /// Nothing had to be done.
    Unchanged,
    /// Not done, or not wholly, and so nothing is said about it; the words say why.
    Skipped,
    /// Ended before its result was known, because the run was cancelled or another stage failed.
    Stopped,
}

/// What applying did to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was not there before.
    Created,
    /// It was there and is different now.
    Changed,
    /// It was there as it should be.
    Unchanged,
    /// It was there, is rendered no longer, and was removed.
    Pruned,
}

/// Something that preflight or doctor looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Will work, but the user should know.
    Warning,
    /// Nothing can start before this is mended.
    Blocker,
}

/// An object that is not ready, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Waiting {
    /// Such as `deployment/flyteadmin`.
    pub object: String,
    /// Such as `container run-migrations: CrashLoopBackOff, 3 restarts`.
    pub reason: String,
}

/// Where a ready sandbox can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Endpoint {
    /// Such as `console`.
    pub name: String,
    /// Such as `http://localhost:30081/console`.
    pub url: String,
    /// How to get what to log in with, if anything is needed; never a secret itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
}

/// One thing that happened. Serialised with `event` as tag, it is a line of the NDJSON stream.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
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
    /// What follows is played, and nothing of Flyte runs. Every later line says so, too.
    Rehearsal {
        /// The same in words.
        message: String,
    },
    /// A stage began. Stages may overlap.
    StageStarted {
        /// Which.
        stage: Stage,
    },
    /// What a stage is doing or waiting for now; replaces the stage's previous note on a live display.
    Progress {
        /// Which.
        stage: Stage,
        /// Such as `node Ready: waiting for the network plugin`.
        note: String,
    },
    /// A preflight check's result.
    Finding {
        /// Identifier of the check, such as `port-minio`.
        check: String,
        /// How bad.
        severity: Severity,
        /// What was seen.
        message: String,
        /// The ways out.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        hints: Vec<String>,
    },
    /// How long a wait may take; `sandbox doctor -v` has one for each.
    Limit {
        /// Such as `stage-grace`.
        name: String,
        /// The limit, in milliseconds.
        millis: u64,
        /// What is waited for.
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
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    /// An object was applied or pruned.
    Applied {
        /// Such as `deployment 103020-flytepoc-dev/flyteadmin`.
        object: String,
        /// What that did.
        change: Change,
    },
    /// How far the workloads are.
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
        /// What was seen.
        detail: String,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// Something the user should know that stops nothing.
    Warning {
        /// What.
        message: String,
    },
    /// A stage ended.
    StageFinished {
        /// Which.
        stage: Stage,
        /// How.
        outcome: Outcome,
        /// One line about the result, such as `6 images, all in the store`.
        summary: String,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// Where to go; near the end of a successful `up` or `status`.
    Ready {
        /// URLs, and how to get what to log in with.
        endpoints: Vec<Endpoint>,
        /// A command line that makes `kubectl` see the sandbox.
        kubectl: String,
    },
    /// The last event of every run.
    RunFinished {
        /// How.
        outcome: Outcome,
        /// One line for the user.
        summary: String,
        /// What the process exits with.
        exit_code: u8,
        /// Why it failed, if it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// How long it took, in milliseconds.
        millis: u64,
    },
}
