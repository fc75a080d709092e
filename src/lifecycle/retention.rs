//! Projects that a sandbox has and the spec lacks: kept with what users executed in them, or removed.
//!
//! What `project add` added is no layer's, and stays. What leaves the spec is removed where nothing was ever executed in
//! it; the smoke workflow does not count.

use kube::Client;
use serde::Serialize;

use super::{admin, storage};
use crate::failure::Failure;
use crate::flyte::admin::EXECUTIONS_COUNTED;
use crate::kubernetes::Inventory;
use crate::limits::{LEAVING_PROJECTS, PLAN_ADMIN};
use crate::run::Run;
use crate::site::{Host, Site};
use crate::spec::Spec;

/// Which of the projects that the spec lacks are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal<'a> {
    /// Those without executions.
    Empty,
    /// Those without executions, and this one.
    Named(&'a str),
    /// All of them.
    All,
}

/// A project that a sandbox has and the spec lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaving {
    /// Flyte project id.
    pub project: String,
    /// Whether `up` keeps it.
    pub kept: bool,
    /// The executions that admin has of it, the smoke workflow's aside; counting ends at [`EXECUTIONS_COUNTED`] in each
    /// domain. Absent where admin could not be asked.
    pub executions: Option<u64>,
    /// The objects in its bucket; absent where the object store was not asked or does not answer.
    pub objects: Option<u64>,
    /// Their size in bytes.
    pub bytes: Option<u64>,
    /// Why something could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

impl Leaving {
    /// Such as `3 executions`.
    #[must_use]
    pub fn counted(&self) -> String {
        match self.executions {
            None => "an unknown number of executions".to_owned(),
            Some(1) => "1 execution".to_owned(),
            Some(more) if more >= EXECUTIONS_COUNTED => format!("{more} or more executions"),
            Some(number) => format!("{number} executions"),
        }
    }

    /// The warning of a project that stays.
    fn warning(&self, consequence: &str) -> String {
        let Self { project, .. } = self;
        let unknown = self.unknown.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
        format!(
            "project {project} is not in the spec and stays, because it has {}{unknown}{consequence}: \
             `sandbox up --prune-projects` or `sandbox project remove {project}` removes it with all its data",
            self.counted()
        )
    }
}

/// Gives the spec what its sandbox has and no layer says, where that runs: keys that were issued, projects that were
/// added, and projects that stay for their executions. Nobody is asked for new keys.
pub async fn follow_running(spec: &mut Spec, removal: Removal<'_>, host: &Host, run: &Run) -> Vec<Leaving> {
    let Ok(site) = Site::of(spec, host) else { return Vec::new() };
    let Ok(running) = site.running().await else { return Vec::new() };
    let run = &Run { deadline: run.deadline.min(PLAN_ADMIN), ..run.clone() };
    follow(spec, &running.inventory, removal, &running.client, run).await
}

/// As [`follow_running`], for a sandbox that is known to run. Admin is asked only where a project leaves.
pub(super) async fn follow(
    spec: &mut Spec,
    inventory: &Inventory,
    removal: Removal<'_>,
    client: &Client,
    run: &Run,
) -> Vec<Leaving> {
    let before = &inventory.spec;
    if spec.storage.credentials.is_some() {
        spec.storage.issued.clone_from(&before.storage.issued);
    }
    let lacking: Vec<_> = before.projects.iter().filter(|project| !spec.projects.contains(project)).cloned().collect();
    let mut leaving = Vec::new();
    for project in lacking {
        if before.added_projects.contains(&project) {
            spec.added_projects.push(project.clone());
            spec.projects.push(project);
            continue;
        }
        let left = judge(client, before, &project, removal, run).await;
        if left.kept {
            spec.projects.push(project);
        }
        leaving.push(left);
    }
    leaving
}

/// Whether a project that leaves stays. One whose executions cannot be counted does.
pub(super) async fn judge(client: &Client, spec: &Spec, project: &str, removal: Removal<'_>, run: &Run) -> Leaving {
    let counted = admin::executions(client, spec, project, run).await;
    let asked_for = removal == Removal::All || removal == Removal::Named(project);
    Leaving {
        project: project.to_owned(),
        kept: !asked_for && !matches!(counted, Ok(0)),
        executions: counted.as_ref().ok().copied(),
        objects: None,
        bytes: None,
        unknown: counted.err().map(|failure| failure.to_string()),
    }
}

/// Warns of each project that stays with its namespaces.
pub(super) fn warn_of_kept(leaving: &[Leaving], run: &Run) {
    leaving.iter().filter(|one| one.kept).for_each(|one| run.report.warn(one.warning("")));
}

/// Warns of each project that only admin and the object store have.
pub(super) fn warn_of_data_alone(leaving: &[Leaving], run: &Run) {
    for one in leaving.iter().filter(|one| one.kept) {
        let Leaving { project, .. } = one;
        run.report.warn(one.warning(&format!("; nothing can run in it until `sandbox project add {project}`")));
    }
}

/// Counts what is in the buckets of projects that leave.
pub(super) async fn measure(leaving: &mut [Leaving], client: &Client, spec: &Spec, run: &Run) {
    if leaving.is_empty() {
        return;
    }
    let run = &Run { deadline: run.deadline.min(LEAVING_PROJECTS), ..run.clone() };
    for one in leaving {
        match storage::usage(client, spec, &one.project, run).await {
            Ok(usage) => (one.objects, one.bytes) = (Some(usage.objects), Some(usage.bytes)),
            Err(failure) => one.unknown = Some(told(one.unknown.take(), &failure)),
        }
    }
}

fn told(before: Option<String>, failure: &Failure) -> String {
    before.into_iter().chain([failure.to_string()]).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_that_stays_is_told_with_how_much_it_has_and_how_to_remove_it() {
        let leaving = |executions, unknown: Option<&str>| Leaving {
            project: "z".to_owned(),
            kept: true,
            executions,
            objects: None,
            bytes: None,
            unknown: unknown.map(str::to_owned),
        };
        let table = [
            (leaving(Some(1), None), "1 execution"),
            (leaving(Some(7), None), "7 executions"),
            (leaving(Some(100), None), "100 or more executions"),
            (leaving(None, Some("admin does not answer")), "an unknown number of executions (admin does not answer)"),
        ];
        for (leaving, has) in table {
            let ways = "`sandbox up --prune-projects` or `sandbox project remove z` removes it with all its data";
            let wanted = format!("project z is not in the spec and stays, because it has {has}: {ways}");
            assert_eq!(leaving.warning(""), wanted);
        }
    }
}
