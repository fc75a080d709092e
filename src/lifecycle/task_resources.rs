//! What tasks get that name no resources, by project, as admin has it.

use kube::Client;
use serde_json::Value;

use super::admin;
use crate::failure::Failure;
use crate::flyte::admin::Request;
use crate::flyte::task_resources::{self, TaskResources};
use crate::limits::REGISTRATION;
use crate::report::Stage;
use crate::run::Run;
use crate::spec::Spec;

/// The requests that are due, each with the project. `before` is the spec that the sandbox had: what somebody else told admin
/// of a project that no spec says anything of stays.
fn due<'a>(spec: &'a Spec, before: Option<&Spec>, listed: &TaskResources) -> Vec<(&'a str, Request)> {
    let pairs = spec.projects.iter().flat_map(|project| spec.domains.iter().map(move |domain| (project, &domain.id)));
    let requests = pairs.filter_map(|(project, domain)| {
        let there = listed.of(project, domain);
        let request = match spec.tasks.projects.get(project) {
            Some(wanted) if there == Some(wanted) => return None,
            Some(wanted) => task_resources::set(project, domain, wanted),
            None => {
                // Of a project that comes back, what it had is not wanted either.
                let ours = before.is_some_and(|before| {
                    before.tasks.projects.contains_key(project) || !before.projects.contains(project)
                });
                there.filter(|_| ours)?;
                task_resources::forget(project, domain)
            }
        };
        Some((project.as_str(), request))
    });
    requests.collect()
}

/// Brings what admin has to the spec. Returns whether anything had to be done.
///
/// # Errors
/// [`Reason::Registration`](crate::failure::Reason::Registration) with admin's words.
pub(super) async fn reconcile(client: &Client, spec: &Spec, before: Option<&Spec>, run: &Run) -> Result<bool, Failure> {
    let says = |spec: &Spec| !spec.tasks.projects.is_empty();
    let comes = |before: &Spec| spec.projects.iter().any(|project| !before.projects.contains(project));
    if !says(spec) && !before.is_some_and(|before| says(before) || comes(before)) {
        return Ok(false);
    }
    let run = &Run { deadline: run.deadline.min(REGISTRATION), ..run.clone() };
    let work = async {
        let listed = admin::repeated::<TaskResources>(client, spec, &task_resources::list(), run).await;
        let due = due(spec, before, &listed.map_err(admin::failure)?);
        for (project, request) in &due {
            admin::repeated::<Value>(client, spec, request, run).await.map_err(admin::failure)?;
            run.report.progress(Stage::Rollout, format!("project {project}: resources of tasks set"));
        }
        Ok(!due.is_empty())
    };
    run.unless_cancelled(work).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::Resources;

    #[test]
    fn a_projects_resources_are_set_in_every_domain_and_forgotten_with_the_spec_alone() {
        let memory = |memory: &str| Resources { cpu: None, memory: Some(memory.to_owned()) };
        let plain = Spec::default();
        let mut own = Spec::default();
        own.tasks.projects.insert("x".to_owned(), memory("1Gi"));
        let listed = |memory: &str| -> TaskResources {
            let all = plain.domains.iter().map(|domain| {
                json!({"project": "x", "domain": domain.id,
                    "attributes": {"task_resource_attributes": {"defaults": {"memory": memory}}}})
            });
            let of_a_workflow = json!({"project": "x", "domain": "d-dev", "workflow": "w",
                "attributes": {"task_resource_attributes": {"limits": {}}}});
            let all: Vec<_> = [of_a_workflow].into_iter().chain(all).collect();
            serde_json::from_value(json!({ "configurations": all })).expect("an answer")
        };
        let due = |spec: &Spec, before: Option<&Spec>, listed: &TaskResources| {
            let due = due(spec, before, listed).into_iter();
            due.map(|(_, request)| format!("{} {}", request.method, request.path)).collect::<Vec<_>>()
        };
        let each = |method: &str| {
            let domains = plain.domains.iter().map(|domain| &domain.id);
            domains.map(|id| format!("{method} /api/v1/project_domain_attributes/x/{id}")).collect::<Vec<_>>()
        };
        let none = TaskResources::default();
        assert_eq!(due(&own, None, &none), each("PUT"));
        assert_eq!(due(&own, None, &listed("2Gi")), each("PUT"));
        assert_eq!(due(&own, Some(&own), &listed("1Gi")), Vec::<String>::new());
        assert_eq!(due(&plain, Some(&own), &listed("1Gi")), each("DELETE"));
        assert_eq!(due(&plain, Some(&own), &none), Vec::<String>::new());
        assert_eq!(due(&plain, Some(&plain), &listed("1Gi")), Vec::<String>::new(), "somebody else's");
        let without = Spec { projects: vec!["y".to_owned()], ..Spec::default() };
        assert_eq!(due(&plain, Some(&without), &listed("1Gi")), each("DELETE"), "it comes back");
    }
}
