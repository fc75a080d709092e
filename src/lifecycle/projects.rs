//! Projects that come and go while the sandbox runs.
//!
//! The spec that a sandbox was brought up for is in its inventory. A project more or less is that spec changed, brought
//! about as `up` does it: what belongs to the others is rendered as it was, and stays as it is.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::compare::is_as_planned;
use super::proof::prove;
use super::{Done, Host, Running, converge, given, registration, storage};
use crate::failure::{Failure, Reason};
use crate::flyte::names;
use crate::issuer;
use crate::kubernetes::Inventory;
use crate::manifest::Bundle;
use crate::plan::{Difference, Plan};
use crate::render::render;
use crate::report::{Outcome, Stage, Waiting};
use crate::rollout;
use crate::run::Run;
use crate::smoke::{self, Executions};
use crate::spec::{Origin, Problem, Spec, WorkflowNamespace};
use crate::state::Lock;

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
    /// Its propellers that are not ready.
    pub waiting: Vec<Waiting>,
}

/// Adds a project to the sandbox that runs: namespaces, permissions, propellers, registration. In the end a workflow has
/// run in each of its domains. That it is there already is a success.
///
/// # Errors
/// There is no such sandbox, the name breaks a rule, or the first stage's that fails. What was made stays: the same
/// command goes on from there.
pub async fn add_project(name: &str, project: &str, bundle: Bundle, host: &Host, run: &Run) -> Result<Done, Failure> {
    let origin = Origin::Flag("project add".to_owned());
    let change = Change { project, bundle, command: "project add", executions: Executions::Newest };
    let changed = change.make(name, host, run, |spec| spec.with_project(project, &origin)).await;
    let changed = changed.map_err(|failure| match failure.reason {
        Reason::Usage | Reason::NotFound | Reason::Locked | Reason::Manifests => failure,
        _ => failure.hint(format!("`sandbox project remove {project} --name {name}` takes it back")),
    });
    Ok(match changed? {
        Outcome::Unchanged => done(Outcome::Unchanged, format!("sandbox {name} has project {project} already")),
        outcome => done(outcome, format!("sandbox {name} has project {project}")),
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
    bundle: Bundle,
    host: &Host,
    run: &Run,
) -> Result<Done, Failure> {
    let origin = Origin::Flag("project remove".to_owned());
    let change = Change { project, bundle, command: "project remove", executions: Executions::None };
    Ok(match change.make(name, host, run, |spec| spec.without_project(project, &origin)).await? {
        Outcome::Unchanged => done(Outcome::Unchanged, format!("sandbox {name} has no project {project}")),
        outcome => done(outcome, format!("sandbox {name} has no project {project} any more")),
    })
}

fn done(outcome: Outcome, summary: String) -> Done {
    Done { outcome, summary }
}

/// The projects of the sandbox that runs, in the spec's order; those that only admin knows last.
///
/// # Errors
/// There is no such sandbox, or its API or its admin does not answer.
pub async fn projects(name: &str, host: &Host) -> Result<Vec<ProjectState>, Failure> {
    let Running { client, inventory, .. } = Running::find(name, host).await?;
    let spec = &inventory.spec;
    let listed = registration::listed(&client, spec).await?;
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
            waiting: rollout::ready_now(&client, &propellers).await?,
        });
    }
    let by_hand = active.into_iter().filter(|id| !spec.projects.iter().any(|project| project == id));
    all.extend(by_hand.map(|id| ProjectState {
        project: id.to_owned(),
        namespaces: Vec::new(),
        registered: true,
        waiting: Vec::new(),
    }));
    Ok(all)
}

/// A change to the spec of a sandbox that runs: a project that comes or goes, or new keys for some.
pub(super) struct Change<'a> {
    pub(super) project: &'a str,
    pub(super) bundle: Bundle,
    pub(super) command: &'static str,
    pub(super) executions: Executions,
}

impl Change<'_> {
    pub(super) async fn make(
        self,
        name: &str,
        host: &Host,
        run: &Run,
        to: impl FnOnce(&Spec) -> Result<Spec, Vec<Problem>>,
    ) -> Result<Outcome, Failure> {
        let executions = self.executions;
        let (_lock, running) = hold(name, self.command, host).await?;
        let (plan, client, before) = run
            .stage(Stage::Plan, async {
                let Running { client, inventory, .. } = running;
                let mut spec = to(&inventory.spec).map_err(|problems| self.refused(problems))?;
                // A project that comes has no keys yet.
                let issued = issuer::issue(&spec, Duration::ZERO, &host.variables, run).await?;
                spec.storage.issued.extend(issued);
                let (plan, summary) = self.plan(&inventory, spec)?;
                Ok(((plan, client, inventory), Outcome::Passed, summary))
            })
            .await?;
        if is_as_planned(&client, Some(&before), &plan).await? {
            let registered = registration::reconcile(&client, &plan.spec, run).await?;
            let admitted = storage::admit(&client, &plan.spec, Some(&before), run).await?;
            let dismissed = storage::dismiss(&client, &plan.spec, run).await?;
            return Ok(if registered || admitted || dismissed { Outcome::Passed } else { Outcome::Unchanged });
        }
        if plan.spec.is_on_given_cluster() {
            run.stage(Stage::Preflight, given::ground(&plan, host, run)).await?;
        }
        let before = converge::foundation(&client, &plan, run).await?;
        converge::workloads(&client, &plan, before, async { Ok(()) }, run).await?;
        prove(&plan.spec, client, smoke::BUDGET, executions, run).await?;
        Ok(Outcome::Passed)
    }

    fn refused(&self, problems: Vec<Problem>) -> Failure {
        let Self { project, command, .. } = self;
        let mut problems = problems.into_iter();
        let mut failure = Failure::new(Reason::Usage, format!("cannot {command}")).on(format!("project {project}"));
        if let Some(first) = problems.next() {
            failure = failure.because(&first.message);
            failure.hints.extend(first.hint);
        }
        failure.evidence(problems.map(|problem| problem.message))
    }

    /// The plan for the changed spec. What runs must be what these manifests make of the spec as it was: only then is
    /// the project all that changes.
    fn plan(self, running: &Inventory, spec: Spec) -> Result<(Plan, String), Failure> {
        let bundle = self.bundle;
        let made = Plan::new(running.spec.clone(), render(&running.spec, bundle.clone())?)?;
        if !running.digest.is_empty() && running.digest != made.digest {
            let name = &spec.name;
            return Err(Failure::new(Reason::Manifests, "the sandbox runs something else than these manifests make")
                .on(format!("sandbox {name}"))
                .because("it was brought up with other manifests, or by another version of this program")
                .hint("`--manifests` names the ones that it was brought up with")
                .hint(format!(
                    "`sandbox up --name {name}` brings it to these, and `sandbox plan` shows what that changes"
                )));
        }
        let plan = Plan::new(spec.clone(), render(&spec, bundle)?)?;
        let difference = Difference::between(&running.spec, &running.objects, &plan);
        let Difference { created, changed, pruned, .. } = difference;
        let summary = format!("{} to create, {} to change, {} to remove", created.len(), changed.len(), pruned.len());
        Ok((plan, summary))
    }
}

/// The sandbox, and the right to change it.
async fn hold(name: &str, command: &str, host: &Host) -> Result<(Lock, Running), Failure> {
    let state = host.state.sandbox(name);
    let lock = state.lock(command)?;
    match Running::find(name, host).await {
        Ok(running) => Ok((lock, running)),
        Err(failure) => {
            // A lock without a sandbox is a leftover itself.
            if !state.path().exists() {
                state.remove(&lock)?;
            }
            Err(failure)
        }
    }
}
