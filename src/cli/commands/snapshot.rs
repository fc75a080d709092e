//! `sandbox snapshot`

use std::time::SystemTime;

use clap::{Args, Subcommand};
use humantime::parse_rfc3339;

use crate::cli::args::{Output, TimeoutArg, query_deadline};
use crate::cli::completion;
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::cli::table::table;
use crate::deadline::Deadline;
use crate::lifecycle::{self, SavedSnapshot};
use crate::limits;
use crate::report::{bytes, span};

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Save the data of the running sandbox under a name; it stands still for as long
    Save(SaveArgs),
    /// Print all snapshots
    List,
    /// Print what a snapshot is of
    Show(SnapshotArgs),
    /// Remove a snapshot; sandboxes that began with it stay
    Remove(SnapshotArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// The snapshot's name
    snapshot: String,
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::SNAPSHOT.as_secs() }>,
}

#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    /// The snapshot's name
    #[arg(add = completion::snapshots())]
    snapshot: String,
}

impl SnapshotCommand {
    /// When it gives up, counted from now.
    pub(in crate::cli) fn deadline(&self) -> Deadline {
        match self {
            Self::Save(args) => args.timeout.deadline(),
            Self::List | Self::Show(_) | Self::Remove(_) => query_deadline(),
        }
    }
}

pub(in crate::cli) async fn run(session: &Session, command: &SnapshotCommand) -> Result<(), CommandError> {
    let host = session.host();
    match command {
        SnapshotCommand::Save(SaveArgs { snapshot, .. }) => {
            let name = session.name().await?;
            let settings = RunSettings::new("snapshot save", &name);
            let save = async |run: &_| lifecycle::save_snapshot(&name, snapshot, &host, run).await;
            session.run_reported(settings, save).await
        }
        SnapshotCommand::Remove(SnapshotArgs { snapshot }) => {
            let name = session.name().await?;
            let settings = RunSettings::new("snapshot remove", &name);
            let remove = async |run: &_| lifecycle::remove_snapshot(snapshot, &host, run).await;
            session.run_reported(settings, remove).await
        }
        SnapshotCommand::List => {
            let all = session.query(lifecycle::snapshots(&host)).await?;
            match session.output() {
                Output::Json => session.print_json(&all).await?,
                Output::Human => session.print(&listed(&all, SystemTime::now())).await?,
            }
            Ok(())
        }
        SnapshotCommand::Show(SnapshotArgs { snapshot }) => {
            let one = session.query(lifecycle::snapshot(snapshot, &host)).await?;
            match session.output() {
                Output::Json => session.print_json(&one).await?,
                Output::Human => session.print(&shown(&one)).await?,
            }
            Ok(())
        }
    }
}

fn listed(all: &[SavedSnapshot], now: SystemTime) -> String {
    if all.is_empty() {
        return "there is no snapshot; `sandbox snapshot save NAME` makes one\n".to_owned();
    }
    let row = |one: &SavedSnapshot| {
        let of = one.of.as_ref();
        let age = of.and_then(|of| parse_rfc3339(&of.created).ok()).and_then(|at| now.duration_since(at).ok());
        [
            Some(one.name.clone()),
            of.map(|of| of.sandbox.clone()),
            age.map(span),
            Some(bytes(one.bytes)),
            of.map(|of| of.projects.join(", ")),
        ]
    };
    table(["NAME", "SANDBOX", "AGE", "SIZE", "PROJECTS"], all.iter().map(row))
}

fn shown(one: &SavedSnapshot) -> String {
    let name = &one.name;
    let Some(of) = &one.of else {
        return format!("snapshot {name}, {}: another version of this program saved it\n", bytes(one.bytes));
    };
    let images: String = of.images.iter().map(|(component, image)| format!("  {component:12} {image}\n")).collect();
    format!(
        "snapshot {name}, {}\n  sandbox      {}\n  saved        {} by version {}\n  projects     {}\n  domains      {}\n  \
         bucket       {}\n  Kubernetes   {}\n{images}`sandbox up --from {name} --name NAME` makes a sandbox that begins with it\n",
        bytes(one.bytes),
        of.sandbox,
        of.created,
        of.version,
        of.projects.join(", "),
        of.domains.join(", "),
        of.bucket,
        of.kubernetes,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_snapshot_is_a_line_and_what_is_not_known_is_a_dash() {
        let of = serde_json::json!({"format": 1, "version": "0.1.0", "created": "2026-11-27T10:00:00Z",
            "sandbox": "flyte", "projects": ["x", "y"], "domains": ["d-dev"], "bucket": "my-s3-bucket", "images": {},
            "kubernetes": "v1.21.2+k3s1", "postgres": 10, "databases": [], "unfinished": 0});
        let of = serde_json::from_value(of).expect("a manifest");
        let all = [
            SavedSnapshot { name: "base".to_owned(), bytes: 50_000_000, of: Some(of) },
            SavedSnapshot { name: "old".to_owned(), bytes: 1_000, of: None },
        ];
        let now = parse_rfc3339("2026-11-27T12:00:00Z").expect("a time");
        let wanted =
            "NAME  SANDBOX  AGE  SIZE   PROJECTS\nbase  flyte    2h   50 MB  x, y\nold   -        -    1 kB   -\n";
        assert_eq!(listed(&all, now), wanted);
    }
}
