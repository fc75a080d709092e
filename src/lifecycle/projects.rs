//! Projects that come and go while the sandbox runs.

use std::collections::BTreeSet;

use serde::Serialize;

use super::admin;
use super::change::SpecChange;
use super::outcome::Done;
use super::retention::Removal;
use crate::failure::{Failure, Reason};
use crate::flyte::names;
use crate::manifest::Bundle;
use crate::report::{Outcome, Waiting};
use crate::rollout;
use crate::run::Run;
use crate::site::{self, Host, Running};
use crate::smoke::Executions;
use crate::spec::{Origin, Problem, WorkflowNamespace};

/// A project of a sandbox, or one that only admin knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectState {
    /// Flyte project id.
    pub project: String,
    /// Where its workflows run, by domain; empty for one that somebody registered by hand, where nothing can run.
    pub namespaces: Vec<WorkflowNamespace>,
    /// Whether admin has it, and not in its archive.
    pub registered: bool,
    /// Whether `project add` added it: `up` keeps it.
    pub added: bool,
    /// Its propellers that are not ready.
    pub waiting: Vec<Waiting>,
}

/// Adds a project to the sandbox that runs: namespaces, permissions, propellers, registration. In the end a workflow has
/// run in each of its domains. That it is there already is a success.
///
/// # Errors
/// There is no such sandbox, the name breaks a rule, or the first stage's that fails. What was made stays: the same
/// command goes on from there.
pub async fn add_project(
    name: &str,
    project: &str,
    bundle: Option<Bundle>,
    host: &Host,
    run: &Run,
) -> Result<Done, Failure> {
    let command = "project add";
    let origin = Origin::Flag(command.to_owned());
    let change = SpecChange { name, command, bundle, removal: Removal::Empty, executions: Executions::LastProject };
    let edit = change.apply(host, run, async |spec| {
        spec.with_project(project, &origin).map(Some).map_err(|problems| refused(command, project, problems))
    });
    let changed = edit.await;
    let changed = changed.map_err(|failure| match failure.reason {
        Reason::Usage | Reason::NotFound | Reason::Locked | Reason::Manifests => failure,
        _ => failure.hint(format!("`sandbox project remove {project} --name {name}` takes it back")),
    });
    Ok(match changed? {
        Outcome::Unchanged => Done::unchanged(format!("sandbox {name} has project {project} already")),
        _ => Done::passed(format!("sandbox {name} has project {project}")),
    })
}

/// Removes a project from the sandbox that runs: what runs in it is aborted, its namespaces go with all that is in them,
/// and admin archives it. Its bucket and its keys go, admin's records stay. That there is no such project is a success.
///
/// # Errors
/// There is no such sandbox, it is the only project, or the first stage's that fails.
pub async fn remove_project(
    name: &str,
    project: &str,
    bundle: Option<Bundle>,
    host: &Host,
    run: &Run,
) -> Result<Done, Failure> {
    let command = "project remove";
    let origin = Origin::Flag(command.to_owned());
    let change = SpecChange { name, command, bundle, removal: Removal::Named(project), executions: Executions::None };
    let edit = change.apply(host, run, async |spec| {
        spec.without_project(project, &origin).map(Some).map_err(|problems| refused(command, project, problems))
    });
    Ok(match edit.await? {
        Outcome::Unchanged => Done::unchanged(format!("sandbox {name} has no project {project}")),
        _ => Done::passed(format!("sandbox {name} has no project {project} any more")),
    })
}

/// The projects of the sandbox that runs, in the spec's order; those that only admin knows last.
///
/// # Errors
/// There is no such sandbox, or its API or its admin does not answer.
pub async fn projects(name: &str, host: &Host) -> Result<Vec<ProjectState>, Failure> {
    let Running { client, inventory, .. } = site::running(name, host).await?;
    let spec = &inventory.spec;
    let listed = admin::listed(&client, spec).await?;
    let active: BTreeSet<&str> = listed.iter().filter(|one| one.is_active()).map(|one| one.id.as_str()).collect();
    let mut all = Vec::new();
    for project in &spec.projects {
        let own = spec.workflow_namespaces().into_iter().filter(|namespace| namespace.project == *project);
        let namespaces: Vec<_> = own.collect();
        let names: BTreeSet<_> = namespaces.iter().map(names::propeller).collect();
        let propellers = inventory.objects.keys().filter(|object| names.contains(&object.name));
        let propellers: Vec<_> = propellers.filter(|object| object.kind == "Deployment").cloned().collect();
        all.push(ProjectState {
            project: project.clone(),
            namespaces,
            registered: active.contains(project.as_str()),
            added: spec.added_projects.contains(project),
            waiting: rollout::ready_now(&client, &propellers).await?,
        });
    }
    let by_hand = active.into_iter().filter(|id| !spec.projects.iter().any(|project| project == id));
    all.extend(by_hand.map(|id| ProjectState {
        project: id.to_owned(),
        namespaces: Vec::new(),
        registered: true,
        added: false,
        waiting: Vec::new(),
    }));
    Ok(all)
}

/// The failure of a change that the spec's rules forbid.
fn refused(command: &str, project: &str, problems: Vec<Problem>) -> Failure {
    let mut problems = problems.into_iter();
    let mut failure =
        Failure::new(Reason::Usage, format!("`sandbox {command}` is refused")).on(format!("project {project}"));
    if let Some(first) = problems.next() {
        failure = failure.because(&first.message);
        failure.hints.extend(first.hint);
    }
    failure.evidence(problems.map(|problem| problem.message))
}
