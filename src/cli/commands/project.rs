//! `sandbox project`

use std::fmt::Write;

use serde::Serialize;

use crate::cli::args::{Output, Project, ProjectChange, ProjectList, SpecFlags};
use crate::cli::session::{Ended, Session, Telling};
use crate::failure::Failure;
use crate::lifecycle::{self, Done, ProjectState};
use crate::manifest::Bundle;
use crate::run::Run;
use crate::site::Host;
use crate::spec::{Origin, Resolved};

pub(in crate::cli) fn run(session: &Session, args: &Project) -> Result<(), Ended> {
    match args {
        Project::Add(args) => change(session, args, "project add", true, lifecycle::add_project),
        Project::Remove(args) => change(session, args, "project remove", false, lifecycle::remove_project),
        Project::List(args) => list(session, args),
    }
}

fn change(
    session: &Session,
    args: &ProjectChange,
    command: &'static str,
    wanted: bool,
    work: impl AsyncFnOnce(&str, &str, Bundle, &Host, &Run) -> Result<Done, Failure>,
) -> Result<(), Ended> {
    let (name, project) = (session.name()?, args.project.as_str());
    let bundle = session.bundle(&SpecFlags { manifests: args.manifests.clone(), ..SpecFlags::default() })?;
    let telling = Telling { command, sandbox: &name, timeout: args.timeout, junit: None, in_full: false };
    session.narrate(telling, async |run| {
        let done = work(&name, project, bundle, &session.host(), run).await?;
        // A spec that cannot be read is for `up` to refuse.
        if let Some(warning) = session.spec(&SpecFlags::default()).ok().and_then(|spec| apart(&spec, project, wanted)) {
            run.report.warn(warning);
        }
        Ok(done)
    })
}

/// What to do about a spec that says something else than was just done: the next `up` goes by the spec.
fn apart(Resolved { spec, provenance }: &Resolved, project: &str, wanted: bool) -> Option<String> {
    if spec.projects.iter().any(|known| known == project) == wanted {
        return None;
    }
    let mut projects = spec.projects.clone();
    if wanted {
        projects.push(project.to_owned());
    } else {
        projects.retain(|known| known != project);
    }
    let projects = projects.join(", ");
    let place = match provenance.get("projects") {
        Some(Origin::Default) | None => "no sandbox.yaml lists projects".to_owned(),
        Some(origin) => format!("{origin} has {}", if wanted { "others only" } else { "it still" }),
    };
    let would = if wanted { "remove it" } else { "bring it back" };
    Some(format!("{place}, so `sandbox up` would {would}: write `projects: [{projects}]` there to keep this"))
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

fn list(session: &Session, args: &ProjectList) -> Result<(), Ended> {
    let spec = session.spec(&args.spec)?.spec;
    let states = session.block_on(lifecycle::projects(&spec.name, &session.host()))?;
    let there: Vec<_> = states.iter().map(|state| state.project.clone()).collect();
    let row = |state: ProjectState| Row { in_spec: spec.projects.contains(&state.project), state };
    let rows: Vec<_> = states.into_iter().map(row).collect();
    let absent: Vec<_> = spec.projects.into_iter().filter(|project| !there.contains(project)).collect();
    let printed = match session.output() {
        Output::Json => session.print_json(&serde_json::json!({"projects": rows, "onlyInSpec": absent})),
        Output::Human => session.print(&shown(&rows, &absent)),
    };
    Ok(printed?)
}

fn shown(rows: &[Row], absent: &[String]) -> String {
    let mut text = String::new();
    for Row { in_spec, state } in rows {
        let by_hand = state.namespaces.is_empty();
        let note = match (by_hand, state.registered, in_spec) {
            (true, ..) => "only admin knows it: it has no namespaces, and nothing can run in it",
            (_, false, _) => "admin does not have it: `sandbox up` registers it",
            (_, true, false) => "the spec does not have it: `sandbox up` would remove it",
            (_, true, true) => "",
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
    use super::apart;
    use crate::spec::{MachineKey, parse, resolve};

    #[test]
    fn a_spec_that_says_something_else_is_told_with_what_to_write() {
        let key = MachineKey::default();
        let default = resolve([], &key).expect("valid");
        let file = resolve([parse("projects: [x, z]", "sandbox.yaml").expect("readable")], &key).expect("valid");
        let told = |spec, project, wanted| apart(spec, project, wanted).unwrap_or_default();
        assert_eq!(
            told(&default, "z", true),
            "no sandbox.yaml lists projects, so `sandbox up` would remove it: write `projects: [x, y, z]` there to keep this"
        );
        assert_eq!(
            told(&file, "y", true),
            "sandbox.yaml:1:12 has others only, so `sandbox up` would remove it: write `projects: [x, z, y]` there to keep this"
        );
        assert_eq!(
            told(&file, "z", false),
            "sandbox.yaml:1:12 has it still, so `sandbox up` would bring it back: write `projects: [x]` there to keep this"
        );
        assert_eq!((told(&file, "z", true), told(&file, "y", false)), (String::new(), String::new()));
    }
}
