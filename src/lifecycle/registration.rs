//! Admin's list of projects, brought to what the spec says.
//!
//! Admin cannot forget a project: one that goes is archived, which takes it off every list and refuses new executions,
//! and comes back as it was.

use std::time::Duration;

use kube::Client;
use serde_json::Value;

use super::admin;
use super::retention::{Leaving, Removal, judge};
use crate::failure::{Failure, Reason};
use crate::flyte::admin::{Project, ProjectList, ProjectState, Request};
use crate::limits::REGISTRATION;
use crate::report::Stage;
use crate::run::{Deadline, Run};
use crate::spec::Spec;

/// A request that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    /// Admin has never heard of it.
    Register(&'a str),
    /// It is archived, or somebody else registered it.
    TakeOver(&'a str),
    /// It was ours, and the spec has it no longer.
    Archive(&'a str),
}

impl Step<'_> {
    fn request(self) -> Request {
        match self {
            Step::Register(id) => Request::register_project(id),
            Step::TakeOver(id) => Request::set_project_state(id, ProjectState::Active),
            Step::Archive(id) => Request::set_project_state(id, ProjectState::Archived),
        }
    }
}

/// Where `kept` are projects that the spec lacks and that stay.
fn steps<'a>(spec: &'a Spec, listed: &'a [Project], kept: &[Leaving]) -> Vec<Step<'a>> {
    let wanted = spec.projects.iter().filter_map(|id| match listed.iter().find(|project| project.id == *id) {
        None => Some(Step::Register(id)),
        Some(project) if project.is_active() && project.is_ours() => None,
        Some(_) => Some(Step::TakeOver(id)),
    });
    let stays = |project: &Project| kept.iter().any(|one| one.kept && one.place.is_project(&project.id));
    let stale = leaving(spec, listed).filter(|project| !stays(project));
    wanted.chain(stale.map(|project| Step::Archive(&project.id))).collect()
}

/// Active projects of ours that the spec lacks.
fn leaving<'a>(spec: &'a Spec, listed: &'a [Project]) -> impl Iterator<Item = &'a Project> {
    let ours = listed.iter().filter(|project| project.is_active() && project.is_ours());
    ours.filter(|project| !spec.projects.contains(&project.id))
}

/// Admin's projects, brought to what the spec says.
pub(super) struct Registered {
    /// Whether anything had to be done.
    pub(super) changed: bool,
    /// Projects of ours that the spec lacks and admin has archived: nothing of theirs is needed.
    pub(super) archived: Vec<String>,
    /// Active projects of ours that the spec lacks, with whether they stay.
    pub(super) leaving: Vec<Leaving>,
}

/// Registers what is missing and archives what is ours and wanted no longer: what is `settled` to leave, and what
/// `removal` says of others.
///
/// # Errors
/// [`Reason::Registration`] with admin's words.
pub(super) async fn reconcile(
    client: &Client,
    spec: &Spec,
    settled: &[String],
    removal: Removal<'_>,
    run: &Run,
) -> Result<Registered, Failure> {
    let run = &Run { deadline: run.deadline.min(REGISTRATION), ..run.clone() };
    let work = async {
        if let Some(request) = Request::any_execution(spec) {
            admin::repeated::<Value>(client, spec, &request, run).await.map_err(admin::failure)?;
        }
        let listed = admin::repeated::<ProjectList>(client, spec, &Request::all_projects(), run).await;
        let listed = listed.map_err(admin::failure)?.projects;
        let mut judged = Vec::new();
        for project in leaving(spec, &listed).filter(|project| !settled.contains(&project.id)) {
            judged.push(judge(client, spec, &project.id, removal, run).await);
        }
        let steps = steps(spec, &listed, &judged);
        for step in &steps {
            admin::repeated::<Value>(client, spec, &step.request(), run).await.map_err(admin::failure)?;
            run.report.progress(Stage::Rollout, told(*step));
        }
        let archived = listed.iter().filter(|project| project.is_ours() && !spec.projects.contains(&project.id));
        let archived =
            archived.filter(|project| !judged.iter().any(|one| one.kept && one.place.is_project(&project.id)));
        Ok(Registered {
            changed: !steps.is_empty(),
            archived: archived.map(|project| project.id.clone()).collect(),
            leaving: judged,
        })
    };
    run.unless_cancelled(work).await
}

/// What is to be registered, each as a line. That admin cannot read is one, too.
pub(super) async fn due(client: &Client, spec: &Spec, limit: Duration) -> Vec<String> {
    let look = async {
        admin::find_tables(client, spec).await?;
        admin::listed(client, spec).await
    };
    let silent = || Err(Failure::new(Reason::Registration, "admin does not answer"));
    match Deadline::fixed(limit).limit(look).await.unwrap_or_else(silent) {
        Ok(listed) => {
            let due = steps(spec, &listed, &[]).into_iter().filter_map(|step| match step {
                Step::Register(id) | Step::TakeOver(id) => Some(format!("project {id} is not registered")),
                // It may be one that stays.
                Step::Archive(_) => None,
            });
            due.collect()
        }
        Err(failure) => vec![failure.causes.last().unwrap_or(&failure.what).clone()],
    }
}

fn told(step: Step<'_>) -> String {
    match step {
        Step::Register(id) | Step::TakeOver(id) => format!("project {id}: registered"),
        Step::Archive(id) => format!("project {id}: archived"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lifecycle::Place;

    fn listed(json: &Value) -> Vec<Project> {
        serde_json::from_value(json.clone()).expect("projects")
    }

    #[test]
    fn what_stays_is_not_archived() {
        let ours = json!({"values": {"managed-by": "sandbox"}});
        let given = ["x", "y", "z", "empty"].map(|id| json!({"id": id, "labels": ours}));
        let stays = |project: &str, kept| Leaving {
            place: Place::Project(project.to_owned()),
            kept,
            executions: Some(u64::from(kept)),
            objects: None,
            bytes: None,
            unknown: None,
        };
        let listed = listed(&json!(given));
        let judged = [stays("z", true), stays("empty", false)];
        assert_eq!(steps(&Spec::default(), &listed, &judged), [Step::Archive("empty")]);
    }

    #[test]
    fn what_is_missing_is_registered_and_what_was_ours_is_archived() {
        let ours = json!({"values": {"managed-by": "sandbox"}});
        let spec = Spec::default();
        let table = [
            (json!([]), vec![Step::Register("x"), Step::Register("y")]),
            (json!([{"id": "x", "labels": ours}, {"id": "y", "labels": ours}]), vec![]),
            (
                json!([{"id": "x", "labels": ours, "state": "ARCHIVED"}, {"id": "y"}]),
                vec![Step::TakeOver("x"), Step::TakeOver("y")],
            ),
            (
                json!([{"id": "x", "labels": ours}, {"id": "y", "labels": ours}, {"id": "z", "labels": ours}]),
                vec![Step::Archive("z")],
            ),
            (
                json!([{"id": "x", "labels": ours}, {"id": "y", "labels": ours}, {"id": "by-hand"},
                    {"id": "gone", "labels": ours, "state": "ARCHIVED"}]),
                vec![],
            ),
        ];
        for (given, wanted) in table {
            assert_eq!(steps(&spec, &listed(&given), &[]), wanted, "{given}");
        }
    }
}
