//! The process that plays a sandbox: started, found and stopped. Its folder is the sandbox's own in the state folder:
//!
//! | file | what |
//! |---|---|
//! | `rehearsal.json` | what is to be played |
//! | `rehearsal.lock` | held as long as it is played; has the process' id and the API's port |
//! | `rehearsal.log` | what the process had to say |

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::faults::Faults;
use crate::failure::{Failure, Reason};
use crate::plan::Plan;
use crate::process;
use crate::run::{Deadline, Run};
use crate::state::StateDir;

/// What is said of a rehearsal wherever it could be taken for the real thing.
pub const BANNER: &str = "REHEARSAL: Kubernetes and Flyte are played by this program; nothing of Flyte runs";

/// The hidden subcommand that plays; the folder follows.
const COMMAND: &str = "rehearse";

const ORDER: &str = "rehearsal.json";
const LOCK: &str = "rehearsal.lock";
const LOG: &str = "rehearsal.log";
const LOOK: Duration = Duration::from_millis(10);
/// Times that the lock may be found held by those who only look.
const LOOKERS: usize = 100;
/// To bind four ports.
const START: Duration = Duration::from_secs(10);
/// To end after SIGTERM, and then after SIGKILL.
const END: Duration = Duration::from_secs(3);
/// Lines of the log that a failure shows.
const TAIL: usize = 10;

/// What is to be played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Order {
    /// The node's name.
    pub(super) node: String,
    /// Kubernetes `1.minor`.
    pub(super) minor: u32,
    /// Host ports by NodePort.
    pub(super) ports: BTreeMap<u16, u16>,
    /// The API's port; a free one where absent.
    pub(super) api: Option<u16>,
    /// What goes wrong.
    pub(super) faults: Faults,
}

impl Order {
    fn of(plan: &Plan, faults: Faults) -> Self {
        Self {
            node: plan.cluster.node(),
            minor: plan.spec.kubernetes_minor().1,
            ports: plan.cluster.ports.iter().map(|port| (port.node, port.host)).collect(),
            api: plan.cluster.api_port,
            faults,
        }
    }

    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(folder.join(ORDER))?)?)
    }
}

/// Held by the process that plays.
pub(super) struct Stage(File);

impl Stage {
    pub(super) fn enter(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(LOCK))?;
        // Whoever looks whether it is played holds it for a moment, too.
        for _ in 0..LOOKERS {
            match file.try_lock() {
                Ok(()) => {
                    file.set_len(0)?;
                    return Ok(Self(file));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other("another process plays this sandbox"))
    }

    /// Says that all sockets are open.
    pub(super) fn open(&self, api_port: u16) -> io::Result<()> {
        (&self.0).write_all(format!("{} {api_port}\n", std::process::id()).as_bytes())
    }
}

/// A process that plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Player {
    pid: u32,
    api_port: u16,
}

impl Player {
    /// The one that plays in this folder now, once its sockets are open.
    fn find(folder: &Path) -> Option<Self> {
        let mut file = File::open(folder.join(LOCK)).ok()?;
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let (pid, api_port) = text.strip_suffix('\n')?.split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, api_port: api_port.parse().ok()? })
    }
}

/// A sandbox that is played, or was until its process ended.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    folder: PathBuf,
    order: Order,
    player: Option<Player>,
}

impl Rehearsal {
    /// The one of this sandbox.
    #[must_use]
    pub fn find(state: &StateDir) -> Option<Self> {
        let folder = state.path().to_owned();
        let order = Order::read(&folder).ok()?;
        let player = Player::find(&folder);
        Some(Self { folder, order, player })
    }

    /// Starts what the plan says, in a process of its own that outlives this one: `program` with its hidden subcommand.
    ///
    /// # Errors
    /// [`Reason::PortTaken`]; [`Reason::NodeCrash`] with what the process said; [`Reason::StateUnwritable`].
    pub async fn start(
        plan: &Plan,
        faults: Faults,
        state: &StateDir,
        program: &Path,
        run: &Run,
    ) -> Result<Self, Failure> {
        let folder = state.path().to_owned();
        let order = Order::of(plan, faults);
        state.write(&folder.join(ORDER), &json!(order).to_string())?;
        let log = folder.join(LOG);
        let failed = |error: &io::Error| {
            Failure::new(Reason::NodeCrash, "cannot start the rehearsal").on(program.display()).because(error)
        };
        let mut child =
            process::detach(program, &[COMMAND.as_ref(), folder.as_os_str()], &log).map_err(|error| failed(&error))?;
        let deadline = run.deadline.min(START);
        loop {
            if let Some(player) = Player::find(&folder) {
                return Ok(Self { folder, order, player: Some(player) });
            }
            if let Some(status) = child.ended().map_err(|error| failed(&error))? {
                return Err(ended(&log, &status));
            }
            if deadline.remaining().is_zero() {
                child.kill();
                return Err(
                    Failure::new(Reason::NodeCrash, "the rehearsal does not start").because(deadline.expired_message())
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether its process lives.
    #[must_use]
    pub const fn runs(&self) -> bool {
        self.player.is_some()
    }

    /// Whether what is played is what the plan and these faults say.
    #[must_use]
    pub fn is_of(&self, plan: &Plan, faults: &Faults) -> bool {
        self.order == Order::of(plan, faults.clone())
    }

    /// The process that plays.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.player.map(|player| player.pid)
    }

    /// Access to its API; none where its process has ended.
    #[must_use]
    pub fn kubeconfig(&self) -> Option<String> {
        let player = self.player?;
        let address = format!("127.0.0.1:{}", player.api_port);
        Some(super::ApiServer::at(&address, self.order.minor).kubeconfig())
    }

    /// Ends only when the process has ended, with the failure to report.
    pub async fn watch(&self) -> Failure {
        while Player::find(&self.folder) == self.player {
            tokio::time::sleep(10 * LOOK).await;
        }
        Failure::new(Reason::NodeRemoved, "the rehearsal's process has ended").on(self.subject()).evidence(self.log())
    }

    /// What the process had to say, the end of it.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        tail(&self.folder.join(LOG))
    }

    /// Ends the process. That it has ended already is a success. The folder stays.
    ///
    /// # Errors
    /// [`Reason::Leftovers`]: it does not end.
    pub async fn stop(&self) -> Result<(), Failure> {
        for kill in [process::end, process::kill] {
            // Looked for each time: a process of the same id may be somebody else's by then.
            let Some(player) = Player::find(&self.folder) else { return Ok(()) };
            kill(player.pid);
            let deadline = Deadline::after(END);
            while !deadline.remaining().is_zero() {
                if Player::find(&self.folder).is_none() {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        let mut failure = Failure::new(Reason::Leftovers, "the rehearsal's process does not end").on(self.subject());
        failure.leftovers = vec![self.subject()];
        Err(failure)
    }

    fn subject(&self) -> String {
        self.player.map_or_else(|| self.folder.display().to_string(), |player| format!("process {}", player.pid))
    }
}

fn tail(log: &Path) -> Vec<String> {
    let text = fs::read(log).unwrap_or_default();
    let lines: Vec<_> = String::from_utf8_lossy(&text).lines().map(process::plain).collect();
    lines[lines.len().saturating_sub(TAIL)..].to_vec()
}

/// Why a process that had yet to open its sockets has ended.
fn ended(log: &Path, status: &str) -> Failure {
    let said = tail(log);
    // Its own failure, told as ever: the first cause last.
    let last = said.last().map(|line| line.trim().trim_start_matches("because ").to_owned()).unwrap_or_default();
    let taken = last.starts_with("port ");
    let reason = if taken { Reason::PortTaken } else { Reason::NodeCrash };
    let failure = Failure::new(reason, "the rehearsal does not start").because(status).evidence(said);
    if last.is_empty() { failure } else { failure.because(last) }
}
