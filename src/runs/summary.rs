//! A recorded run in one line.

use humantime::format_rfc3339_seconds;
use serde::Serialize;

use super::recorded::Recorded;
use crate::report::{Event, Outcome};

/// A recorded run in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The id of the recording.
    pub id: String,
    /// When it began, RFC 3339.
    pub began: String,
    /// The subcommand.
    pub command: Option<String>,
    /// The sandbox that it was about.
    pub sandbox: Option<String>,
    /// How it ended; absent where it did not, or has not yet.
    pub outcome: Option<Outcome>,
    /// Its exit code.
    pub exit_code: Option<u8>,
    /// How long it took.
    pub millis: Option<u64>,
}

impl Summary {
    /// How it ended, in words.
    #[must_use]
    pub fn ended(&self) -> String {
        match (self.outcome, self.exit_code) {
            (Some(Outcome::Failed), Some(code)) => format!("failed, exit code {code}"),
            (Some(Outcome::Unchanged), _) => "nothing to do".to_owned(),
            (Some(_), _) => "done".to_owned(),
            (None, _) => "did not end".to_owned(),
        }
    }
}

impl Recorded {
    /// The run in one line, under the id of its recording.
    #[must_use]
    pub fn summary(&self, id: String) -> Summary {
        let began = format_rfc3339_seconds(self.began).to_string();
        let (command, sandbox, outcome, exit_code, millis) = (None, None, None, None, None);
        let mut summary = Summary { id, began, command, sandbox, outcome, exit_code, millis };
        for (_, event) in &self.events {
            match event {
                Event::RunStarted { command, sandbox, .. } => {
                    summary.command = Some(command.clone());
                    summary.sandbox = Some(sandbox.clone());
                }
                Event::RunFinished { outcome, exit_code, millis, .. } => {
                    summary.outcome = Some(*outcome);
                    summary.exit_code = Some(*exit_code);
                    summary.millis = Some(*millis);
                }
                _ => {}
            }
        }
        summary
    }
}
