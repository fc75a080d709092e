//! Configuration, lock and log of a rehearsal's process: files in the sandbox's state folder.
//!
//! | file | what |
//! |---|---|
//! | `rehearsal.json` | the configuration of the process |
//! | `rehearsal.lock` | held as long as the process lives; has its id and the API's port |
//! | `rehearsal.log` | the output of the process |

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use crate::limits::REHEARSAL_LOCK;
use crate::lock::{self, FileLock, LockError};
use crate::plan::Plan;

/// The banner of a rehearsal, on every surface.
pub const BANNER: &str = "REHEARSAL: Kubernetes and Flyte are simulated by this program; nothing of Flyte runs, and whether its programs take \
     their settings is not known";

/// The hidden subcommand of the process; the sandbox's state folder follows.
pub const COMMAND: &str = "rehearse";

const CONFIG: &str = "rehearsal.json";
const LOCK: &str = "rehearsal.lock";

/// The configuration of a rehearsal's process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RehearsalConfig {
    /// The node's name.
    pub node: String,
    /// The minor version of Kubernetes 1.
    pub minor: u32,
    /// Host ports by NodePort.
    pub ports: BTreeMap<u16, u16>,
    /// The API's port; a free one where absent.
    #[serde(default)]
    pub api: Option<u16>,
    /// Injected faults.
    #[serde(default)]
    pub faults: Faults,
}

impl RehearsalConfig {
    /// The configuration for a plan.
    #[must_use]
    pub fn of(plan: &Plan, faults: Faults) -> Self {
        Self {
            node: plan.cluster.node(),
            minor: plan.spec.kubernetes_minor().1,
            ports: plan.cluster.ports.iter().map(|port| (port.node, port.host)).collect(),
            api: plan.cluster.api_port,
            faults,
        }
    }

    /// The configuration in a sandbox's state folder.
    ///
    /// # Errors
    /// There is none, or another version of this program wrote it.
    pub fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(config_file(folder))?)?)
    }
}

/// The file that has the configuration.
#[must_use]
pub fn config_file(folder: &Path) -> PathBuf {
    folder.join(CONFIG)
}

/// The file that has the output of the process.
#[must_use]
pub fn log_file(folder: &Path) -> PathBuf {
    folder.join("rehearsal.log")
}

/// True if a sandbox's state folder is a rehearsal's, of any version of this program.
#[must_use]
pub fn is_recorded(folder: &Path) -> bool {
    config_file(folder).exists()
}

/// The lock that a rehearsal's process holds as long as it lives.
pub(super) struct RehearsalLock(FileLock);

impl RehearsalLock {
    pub(super) fn acquire(folder: &Path) -> io::Result<Self> {
        FileLock::acquire(&folder.join(LOCK), "", REHEARSAL_LOCK).map(Self).map_err(|error| match error {
            LockError::Held(_) => io::Error::other("another process rehearses this sandbox"),
            LockError::Io(error) => error,
        })
    }

    /// Publishes that all sockets are open.
    pub(super) fn publish(&self, api_port: u16) -> io::Result<()> {
        self.0.say(&api_port.to_string())
    }
}

/// A rehearsal's process that lives and has opened its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveProcess {
    /// Its process id.
    pub pid: u32,
    /// The port of its Kubernetes API on 127.0.0.1.
    pub api_port: u16,
}

impl LiveProcess {
    /// The one of this state folder; absent where none lives, or its sockets are not open yet.
    #[must_use]
    pub fn find(folder: &Path) -> Option<Self> {
        let holder = lock::holder(&folder.join(LOCK))?;
        Some(Self { pid: holder.pid, api_port: holder.purpose.parse().ok()? })
    }
}
