//! The process that simulates a cluster: started, found and stopped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::{Failure, Reason};
use crate::limits::{REHEARSAL_END, REHEARSAL_START};
use crate::plan::{API_PORT, Plan};
use crate::process;
use crate::rehearsal::{ApiServer, COMMAND, Faults, LiveProcess, RehearsalConfig, config_file, is_recorded, log_file};
use crate::run::{Deadline, Run};
use crate::state::StateDir;
use crate::text::plain;

const POLL: Duration = Duration::from_millis(10);
/// Lines of the log that a failure shows.
const TAIL: usize = 10;

/// The process of a rehearsal, which may have ended.
#[derive(Debug, Clone)]
pub(super) struct RehearsalProcess {
    folder: PathBuf,
    /// Absent where another version of this program wrote it.
    config: Option<RehearsalConfig>,
    live: Option<LiveProcess>,
}

impl RehearsalProcess {
    /// The one of this sandbox.
    pub(super) fn find(state: &StateDir) -> Option<Self> {
        let folder = state.path().to_owned();
        if !is_recorded(&folder) {
            return None;
        }
        let (config, live) = (RehearsalConfig::read(&folder).ok(), LiveProcess::find(&folder));
        Some(Self { folder, config, live })
    }

    /// Starts the simulation of a plan's cluster in a process that outlives this one: `program` with its hidden
    /// subcommand.
    ///
    /// # Errors
    /// [`Reason::PortTaken`]; [`Reason::NodeCrash`] with the process' last words; [`Reason::StateUnwritable`].
    pub(super) async fn start(
        plan: &Plan,
        faults: Faults,
        state: &StateDir,
        program: &Path,
        run: &Run,
    ) -> Result<Self, Failure> {
        let folder = state.path().to_owned();
        let config = RehearsalConfig::of(plan, faults);
        state.write(&config_file(&folder), &json!(config).to_string())?;
        let log = log_file(&folder);
        let failed = |error: &io::Error| {
            Failure::new(Reason::NodeCrash, "cannot start the rehearsal").on(program.display()).because(error)
        };
        let mut child = process::detach(
            program,
            &[COMMAND.as_ref(), folder.as_os_str(), "--output".as_ref(), "json".as_ref()],
            &log,
        )
        .map_err(|error| failed(&error))?;
        let deadline = run.deadline.min(REHEARSAL_START);
        loop {
            if let Some(live) = LiveProcess::find(&folder) {
                return Ok(Self { folder, config: Some(config), live: Some(live) });
            }
            if let Some(status) = child.ended().map_err(|error| failed(&error))? {
                return Err(ended(&log, &status));
            }
            if deadline.has_passed() {
                child.kill();
                return Err(
                    Failure::new(Reason::NodeCrash, "the rehearsal does not start").because(deadline.expired_message())
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub(super) const fn is_alive(&self) -> bool {
        self.live.is_some()
    }

    /// Whether its configuration is that of the plan with these faults.
    pub(super) fn is_of(&self, plan: &Plan, faults: &Faults) -> bool {
        self.config == Some(RehearsalConfig::of(plan, faults.clone()))
    }

    /// Its host ports by NodePort, and that of its API.
    pub(super) fn ports(&self) -> Vec<(u16, u16)> {
        let published = self.config.iter().flat_map(|config| config.ports.clone());
        published.chain(self.live.map(|live| (API_PORT, live.api_port))).collect()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.live.map(|live| live.pid)
    }

    /// Access to its API; absent where the process has ended.
    pub(super) fn kubeconfig(&self) -> Option<String> {
        let live = self.live?;
        let minor = self.config.as_ref().map_or(0, |config| config.minor);
        let sandbox = self.folder.file_name().unwrap_or_default().to_string_lossy();
        let api = ApiServer::at(&format!("127.0.0.1:{}", live.api_port), minor);
        Some(api.kubeconfig_for(&format!("rehearsal-{sandbox}")))
    }

    /// Ends only when the process has ended, with the failure to report.
    pub(super) async fn watch(&self) -> Failure {
        while LiveProcess::find(&self.folder) == self.live {
            tokio::time::sleep(10 * POLL).await;
        }
        Failure::new(Reason::NodeRemoved, "the rehearsal's process has ended")
            .on(self.subject())
            .evidence(tail(&log_file(&self.folder)))
    }

    /// Ends the process. That it has ended already is a success. The state folder stays.
    ///
    /// # Errors
    /// [`Reason::Leftovers`]: it does not end.
    pub(super) async fn stop(&self) -> Result<(), Failure> {
        for kill in [process::end, process::kill] {
            // Looked for each time: a process of the same id may be somebody else's by then.
            let Some(live) = LiveProcess::find(&self.folder) else { return Ok(()) };
            kill(live.pid);
            let deadline = Deadline::fixed(REHEARSAL_END);
            while !deadline.has_passed() {
                if LiveProcess::find(&self.folder).is_none() {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        }
        let mut failure = Failure::new(Reason::Leftovers, "the rehearsal's process does not end").on(self.subject());
        failure.leftovers = vec![self.subject()];
        Err(failure)
    }

    fn subject(&self) -> String {
        self.live.map_or_else(|| self.folder.display().to_string(), |live| format!("process {}", live.pid))
    }
}

fn tail(log: &Path) -> Vec<String> {
    let text = fs::read(log).unwrap_or_default();
    let lines: Vec<_> = String::from_utf8_lossy(&text).lines().map(plain).collect();
    lines[lines.len().saturating_sub(TAIL)..].to_vec()
}

/// Why a process that had yet to open its sockets has ended: by its own report, where it wrote one.
fn ended(log: &Path, status: &str) -> Failure {
    let lines = tail(log);
    let report = lines.iter().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let reported = report.as_ref().and_then(|report| report.get("failure"));
    let taken = reported.is_some_and(|failure| failure["reason"] == json!(Reason::PortTaken));
    let reason = if taken { Reason::PortTaken } else { Reason::NodeCrash };
    let failure = Failure::new(reason, "the rehearsal does not start").because(status);
    let causes = reported.and_then(|failure| failure["causes"].as_array()).into_iter().flatten();
    let causes: Vec<_> = causes.filter_map(Value::as_str).collect();
    if causes.is_empty() {
        return failure.evidence(lines);
    }
    causes.into_iter().fold(failure, Failure::because)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_did_not_start_is_told_by_its_own_report() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let report = r#"{"at_ms":1,"event":"run-finished","exit_code":3,"failure":{"reason":"port-taken","what":"cannot play a sandbox","causes":["port 30081 (console): in use"]}}"#;
        for (text, reason, causes, evidence) in [
            (report, Reason::PortTaken, vec!["exit status: 3", "port 30081 (console): in use"], 0),
            ("port 30081 is in no report\n", Reason::NodeCrash, vec!["exit status: 3"], 1),
            ("", Reason::NodeCrash, vec!["exit status: 3"], 0),
        ] {
            fs::write(&log, text).expect("written");
            let failure = ended(&log, "exit status: 3");
            let causes: Vec<_> = causes.into_iter().map(str::to_owned).collect();
            assert_eq!((failure.reason, failure.causes, failure.evidence.len()), (reason, causes, evidence), "{text}");
        }
    }
}
