//! The state of a sandbox's cluster, from outside.

use std::time::SystemTime;

use kube::Client;

use super::running::Running;
use crate::failure::Failure;
use crate::report::Outcome;

/// A sandbox from outside.
pub struct Overview {
    /// The state of its cluster.
    pub phase: Phase,
    /// When its node was started; absent where it has none of its own.
    pub node_started: Option<SystemTime>,
    /// When `sandbox gc` removes it; absent where it has no time limit.
    pub expires: Option<SystemTime>,
    /// Since when there is data of an earlier sandbox of the name, RFC 3339; absent where there is none, or a node.
    pub kept_data: Option<String>,
    /// All sandboxes of this kind that are known, this one among them if it is there.
    pub sandboxes: Vec<String>,
}

/// The state of a sandbox's cluster.
pub enum Phase {
    /// There is none.
    Absent,
    /// It was stopped.
    Stopped,
    /// It is frozen.
    Frozen,
    /// It does not stay up, or was never made whole.
    Broken,
    /// It runs; with why the sandbox cannot be asked, where it cannot.
    Running(Box<Result<Running, Failure>>),
}

/// How a node is halted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// Its processes end; memory and processors are free.
    Stop,
    /// Its processes stand still; processors are free.
    Freeze,
}

/// What came of halting a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It ran, and is halted now.
    Now,
    /// It was halted before.
    Before(Halt),
}

/// A cluster whose API answers.
pub struct Standing {
    /// A client for it.
    pub client: Client,
    /// Whether it was there before.
    pub outcome: Outcome,
    /// One line about it.
    pub summary: String,
}

/// A sandbox that was let run again.
pub struct Resumed {
    /// Access to it, and its inventory.
    pub running: Running,
    /// How it had been halted; absent where it ran.
    pub was: Option<Halt>,
    /// When its node was started; absent where it has none of its own.
    pub node_started: Option<SystemTime>,
}
