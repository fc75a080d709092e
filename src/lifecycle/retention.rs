//! Projects and domains that a sandbox has and the spec lacks: kept with what users executed in them, or removed.
//!
//! What `project add` added is no layer's, and stays. What leaves the spec is removed where nothing was ever executed in
//! it; the smoke workflow does not count. A domain that stays is part of the plan, as if the spec had it.

use std::fmt;

use kube::Client;
use serde::Serialize;

use super::{admin, storage};
use crate::failure::{Failure, Reason};
use crate::flyte::admin::EXECUTIONS_COUNTED;
use crate::kubernetes::Inventory;
use crate::limits::{LEAVING_PROJECTS, PLAN_ADMIN};
use crate::release::Release;
use crate::run::Run;
use crate::site::{Host, Running, Site};
use crate::spec::{Domain, Spec};

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

/// What `up` removes although something was executed in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prune {
    /// Projects that the spec lacks.
    pub projects: bool,
    /// Domains that the spec lacks.
    pub domains: bool,
}

impl Prune {
    /// Which of the projects that the spec lacks are removed.
    pub(super) const fn removal(self) -> Removal<'static> {
        if self.projects { Removal::All } else { Removal::Empty }
    }
}

/// A project or a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// Flyte project id.
    Project(String),
    /// Flyte domain id.
    Domain(String),
}

impl Place {
    /// Whether it is this project.
    pub(super) fn is_project(&self, id: &str) -> bool {
        matches!(self, Self::Project(project) if project == id)
    }

    /// The option of `up` that removes it.
    #[must_use]
    pub const fn flag(&self) -> &'static str {
        match self {
            Self::Project(_) => "--prune-projects",
            Self::Domain(_) => "--prune-domains",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(id) => write!(f, "project {id}"),
            Self::Domain(id) => write!(f, "domain {id}"),
        }
    }
}

/// A project or a domain that a sandbox has and the spec lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaving {
    /// Which one.
    #[serde(flatten)]
    pub place: Place,
    /// Whether `up` keeps it.
    pub kept: bool,
    /// The executions that admin has of it, the smoke workflow's aside; counting ends at [`EXECUTIONS_COUNTED`] in each
    /// domain of a project. Absent where admin could not be asked.
    pub executions: Option<u64>,
    /// The objects in a project's bucket; absent where the object store was not asked or does not answer.
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

    /// The warning of one that stays.
    fn warning(&self, consequence: &str) -> String {
        let Self { place, .. } = self;
        let unknown = self.unknown.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
        let ways = match place {
            Place::Project(id) => {
                format!("`sandbox up --prune-projects` or `sandbox project remove {id}` removes it with all its data")
            }
            Place::Domain(_) => {
                "`sandbox up --prune-domains` removes its namespaces and aborts what runs in them".to_owned()
            }
        };
        format!("{place} is not in the spec and stays, because it has {}{unknown}{consequence}: {ways}", self.counted())
    }
}

/// Gives the spec what its sandbox has and no layer says, where that runs: keys that were issued, projects that were
/// added, and projects and domains that stay for their executions. Nobody is asked for new keys.
///
/// # Errors
/// What leaves cannot be judged.
pub async fn follow_running(spec: &mut Spec, prune: Prune, host: &Host, run: &Run) -> Result<Vec<Leaving>, Failure> {
    let Some(running) = running(spec, host).await else { return Ok(Vec::new()) };
    follow_within(spec, &running, prune, run).await
}

/// As [`follow_running`], for an `up`.
///
/// # Errors
/// As [`follow_running`]'s, and [`Reason::SandboxDiffers`]: it runs another Flyte release.
pub(super) async fn follow_same_release(
    spec: &mut Spec,
    prune: Prune,
    host: &Host,
    run: &Run,
) -> Result<Vec<Leaving>, Failure> {
    let Some(running) = running(spec, host).await else { return Ok(Vec::new()) };
    must_be_of_release(spec, &running.inventory.spec)?;
    follow_within(spec, &running, prune, run).await
}

async fn running(spec: &Spec, host: &Host) -> Option<Running> {
    Site::of(spec, host).ok()?.running().await.ok()
}

async fn follow_within(spec: &mut Spec, running: &Running, prune: Prune, run: &Run) -> Result<Vec<Leaving>, Failure> {
    let run = &Run { deadline: run.deadline.min(PLAN_ADMIN), ..run.clone() };
    follow(spec, &running.inventory, prune, &running.client, run).await
}

/// As [`follow_running`], for a sandbox that is known to run. Admin is asked only where something leaves.
pub(super) async fn follow(
    spec: &mut Spec,
    inventory: &Inventory,
    prune: Prune,
    client: &Client,
    run: &Run,
) -> Result<Vec<Leaving>, Failure> {
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
        let left = judge(client, before, &project, prune.removal(), run).await;
        if left.kept {
            spec.projects.push(project);
        }
        leaving.push(left);
    }
    let lacks = |domain: &&Domain| !spec.domains.iter().any(|other| other.id == domain.id);
    for domain in before.domains.iter().filter(lacks).cloned().collect::<Vec<_>>() {
        let left = judge_domain(client, before, &spec.projects, &domain.id, prune, run).await;
        if left.kept {
            spec.domains.push(domain);
        }
        leaving.push(left);
    }
    Ok(leaving)
}

/// A release takes over the data of an earlier one by backup and restore: executions under way are in no release's state
/// that another one reads.
pub(super) fn must_be_of_release(spec: &Spec, before: &Spec) -> Result<(), Failure> {
    let (wanted, there) = (spec.flyte, before.flyte);
    if wanted == there {
        return Ok(());
    }
    Err(Failure::new(Reason::SandboxDiffers, "the sandbox that is there runs another Flyte release")
        .on(format!("sandbox {}", spec.name))
        .because(format!("it runs {there}, and {wanted} is asked for"))
        .hint(if is_later(wanted, there) {
            format!("`sandbox backup FILE`, then `up --fresh --flyte {wanted} --restore FILE`, brings its data over")
        } else {
            format!("`up --fresh --flyte {wanted}` makes it anew, without its data, which no earlier release reads")
        })
        .hint(format!("`--flyte {there}` keeps it as it is; `--name` chooses another name, so that both can be there")))
}

fn is_later(one: Release, other: Release) -> bool {
    let place = |release| Release::all().position(|each| each == release);
    place(one) > place(other)
}

/// Whether a project that leaves stays. One whose executions cannot be counted does.
pub(super) async fn judge(client: &Client, spec: &Spec, project: &str, removal: Removal<'_>, run: &Run) -> Leaving {
    let asked_for = removal == Removal::All || removal == Removal::Named(project);
    let within = spec.domains.iter().map(|domain| (project, domain.id.as_str()));
    judged(Place::Project(project.to_owned()), within, asked_for, client, spec, run).await
}

/// Whether a domain that leaves stays, as [`judge`]. What was executed in projects that go with their data holds nothing.
async fn judge_domain(
    client: &Client,
    spec: &Spec,
    staying: &[String],
    domain: &str,
    prune: Prune,
    run: &Run,
) -> Leaving {
    let within = spec.projects.iter().filter(|project| staying.contains(project));
    let within = within.map(|project| (project.as_str(), domain));
    judged(Place::Domain(domain.to_owned()), within, prune.domains, client, spec, run).await
}

async fn judged(
    place: Place,
    within: impl Iterator<Item = (&str, &str)>,
    asked_for: bool,
    client: &Client,
    spec: &Spec,
    run: &Run,
) -> Leaving {
    let counted = admin::executions(client, spec, within, run).await.map_err(|failure| failure.on(place.to_string()));
    Leaving {
        place,
        kept: !asked_for && !matches!(counted, Ok(0)),
        executions: counted.as_ref().ok().copied(),
        objects: None,
        bytes: None,
        unknown: counted.err().map(|failure| failure.to_string()),
    }
}

/// Warns of each project and domain that stays with its namespaces.
pub(super) fn warn_of_kept(leaving: &[Leaving], run: &Run) {
    leaving.iter().filter(|one| one.kept).for_each(|one| run.report.warn(one.warning("")));
}

/// Warns of each project that only admin and the object store have.
pub(super) fn warn_of_data_alone(leaving: &[Leaving], run: &Run) {
    for one in leaving.iter().filter(|one| one.kept) {
        let Place::Project(project) = &one.place else { continue };
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
        let Place::Project(project) = &one.place else { continue };
        match storage::usage(client, spec, project, run).await {
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
    fn what_stays_is_told_with_how_much_it_has_and_how_to_remove_it() {
        let leaving = |place, executions, unknown: Option<&str>| Leaving {
            place,
            kept: true,
            executions,
            objects: None,
            bytes: None,
            unknown: unknown.map(str::to_owned),
        };
        let project = || Place::Project("z".to_owned());
        let domain = Place::Domain("d".to_owned());
        let silent = Some("admin does not answer");
        let table = [
            (leaving(project(), Some(1), None), "project z", "1 execution"),
            (leaving(project(), Some(7), None), "project z", "7 executions"),
            (leaving(domain, Some(100), None), "domain d", "100 or more executions"),
            (leaving(project(), None, silent), "project z", "an unknown number of executions (admin does not answer)"),
        ];
        for (leaving, place, has) in table {
            let ways = match leaving.place {
                Place::Project(_) => {
                    "`sandbox up --prune-projects` or `sandbox project remove z` removes it with all its data"
                }
                Place::Domain(_) => "`sandbox up --prune-domains` removes its namespaces and aborts what runs in them",
            };
            let wanted = format!("{place} is not in the spec and stays, because it has {has}: {ways}");
            assert_eq!(leaving.warning(""), wanted);
        }
    }
}
