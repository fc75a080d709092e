//! `sandbox project`

use std::fmt::Write;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::args::{ManifestsArg, Output, TimeoutArg, query_deadline};
use crate::cli::completion;
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::cli::spec_flags::SpecFlags;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::lifecycle::{self, Done, ProjectState};
use crate::limits;
use crate::manifest::Bundle;
use crate::run::Run;
use crate::site::Host;
use crate::spec::{Origin, Resolved};

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Add a project to the running sandbox; the others do not notice
    Add(ProjectChangeArgs),
    /// Print the projects of the running sandbox, and how they differ from the spec's
    List(Box<ProjectListArgs>),
    /// Remove a project from the running sandbox, with what runs in it
    Remove(ProjectChangeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ProjectChangeArgs {
    /// Flyte project id
    #[arg(add = completion::projects())]
    project: String,
    #[command(flatten)]
    manifests: ManifestsArg,
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::CHANGE.as_secs() }>,
}

#[derive(Debug, Args)]
pub(crate) struct ProjectListArgs {
    #[command(flatten)]
    spec: SpecFlags,
}

impl ProjectCommand {
    /// When it gives up, counted from now.
    pub(in crate::cli) fn deadline(&self) -> Deadline {
        match self {
            Self::Add(args) | Self::Remove(args) => args.timeout.deadline(),
            Self::List(_) => query_deadline(),
        }
    }
}

pub(in crate::cli) async fn run(session: &Session, args: &ProjectCommand) -> Result<(), CommandError> {
    match args {
        ProjectCommand::Add(args) => change(session, args, "project add", true, lifecycle::add_project).await,
        ProjectCommand::Remove(args) => change(session, args, "project remove", false, lifecycle::remove_project).await,
        ProjectCommand::List(args) => list(session, args).await,
    }
}

async fn change(
    session: &Session,
    args: &ProjectChangeArgs,
    command: &'static str,
    wanted: bool,
    work: impl AsyncFnOnce(&str, &str, Option<Bundle>, &Host, &Run) -> Result<Done, Failure>,
) -> Result<(), CommandError> {
    let (name, project) = (session.name().await?, args.project.as_str());
    let bundle = session.given_bundle(args.manifests.manifests.as_ref()).await?;
    session
        .run_reported(RunSettings::new(command, &name), async |run| {
            let done = work(&name, project, bundle, &session.host(), run).await?;
            // A spec that cannot be read is for `up` to refuse.
            let spec = if wanted { None } else { session.spec(&SpecFlags::default()).await.ok() };
            if let Some(warning) = spec.and_then(|spec| still_there(&spec, project)) {
                run.report.warn(warning);
            }
            Ok(done)
        })
        .await
}

/// What to do about a spec that still has the project that was removed: the next `up` goes by the spec.
fn still_there(Resolved { spec, provenance }: &Resolved, project: &str) -> Option<String> {
    if !spec.projects.iter().any(|known| known == project) {
        return None;
    }
    let projects: Vec<_> = spec.projects.iter().filter(|known| *known != project).map(String::as_str).collect();
    let projects = projects.join(", ");
    let place = match provenance.get("projects") {
        Some(Origin::Default) | None => "no sandbox.yaml lists projects".to_owned(),
        Some(origin) => format!("{origin} has it still"),
    };
    Some(format!("{place}, so `sandbox up` would bring it back: write `projects: [{projects}]` there to keep this"))
}

/// A row of the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// Whether the spec has it.
    in_spec: bool,
    #[serde(flatten)]
    state: ProjectState,
}

async fn list(session: &Session, args: &ProjectListArgs) -> Result<(), CommandError> {
    let spec = session.spec(&args.spec).await?.spec;
    let states = session.query(lifecycle::projects(&spec.name, &session.host())).await?;
    let there: Vec<_> = states.iter().map(|state| state.project.clone()).collect();
    let row = |state: ProjectState| Row { in_spec: spec.projects.contains(&state.project), state };
    let rows: Vec<_> = states.into_iter().map(row).collect();
    let absent: Vec<_> = spec.projects.into_iter().filter(|project| !there.contains(project)).collect();
    match session.output() {
        Output::Json => session.print_json(&serde_json::json!({"projects": rows, "onlyInSpec": absent})).await?,
        Output::Human => session.print(&shown(&rows, &absent)).await?,
    }
    Ok(())
}

fn shown(rows: &[Row], absent: &[String]) -> String {
    let mut text = String::new();
    for Row { in_spec, state } in rows {
        let by_hand = state.namespaces.is_empty();
        let note = match (by_hand, state.registered, in_spec, state.added) {
            (true, ..) => "only admin knows it: it has no namespaces, and nothing can run in it",
            (_, false, ..) => "admin does not have it: `sandbox up` registers it",
            (_, true, false, true) => "`sandbox project add` added it, and `sandbox up` keeps it",
            (_, true, false, false) => "the spec does not have it: `sandbox up` removes it unless it has executions",
            (_, true, true, _) => "",
        };
        let _ = writeln!(text, "{}", format!("{:12}  {note}", state.project).trim_end());
        for namespace in &state.namespaces {
            let _ = writeln!(text, "  {:10}  {}", namespace.domain, namespace.name);
        }
        for waiting in &state.waiting {
            let _ = writeln!(text, "  not ready: {}: {}", waiting.object, waiting.reason);
        }
    }
    for project in absent {
        let _ = writeln!(text, "{project:12}  only the spec has it: `sandbox up` adds it");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::still_there;
    use crate::spec::{MachineKey, parse, resolve};

    #[test]
    fn a_spec_that_still_has_what_was_removed_is_told_with_what_to_write() {
        let key = MachineKey::default();
        let default = resolve([], &key).expect("valid");
        let file = resolve([parse("projects: [x, z]", "sandbox.yaml").expect("readable")], &key).expect("valid");
        let told = |spec, project| still_there(spec, project).unwrap_or_default();
        assert_eq!(
            told(&default, "y"),
            "no sandbox.yaml lists projects, so `sandbox up` would bring it back: write `projects: [x]` there to keep this"
        );
        assert_eq!(
            told(&file, "z"),
            "sandbox.yaml:1:12 has it still, so `sandbox up` would bring it back: write `projects: [x]` there to keep this"
        );
        assert_eq!(told(&file, "y"), "");
    }
}
