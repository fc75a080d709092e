//! Admin's list of projects, brought to what the spec says.
//!
//! It is asked through the Kubernetes API's proxy, so this needs nothing but admin itself. Admin cannot forget a project:
//! one that goes is archived, which takes it off every list and refuses new executions, and comes back as it was.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use kube::api::{GetParams, PostParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::{Failure, Reason};
use crate::kubernetes::persist;
use crate::report::Stage;
use crate::run::Run;
use crate::spec::Spec;

/// The label of what was registered here; admin takes no key with a slash or a dot. What others register stays theirs.
const OURS: (&str, &str) = ("managed-by", "sandbox");

/// For all requests; admin is ready when it is first asked.
const BUDGET: Duration = Duration::from_secs(60);
/// Admin's own refusals carry a code of gRPC's, and this is the last of them.
const LAST_CODE: u16 = 16;

/// A project as admin lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
    /// Absent where it is active.
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    labels: Labels,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Labels {
    #[serde(default)]
    values: BTreeMap<String, String>,
}

impl Listed {
    pub(super) fn is_active(&self) -> bool {
        self.state.as_deref().is_none_or(|state| state == "ACTIVE")
    }

    fn is_ours(&self) -> bool {
        self.labels.values.get(OURS.0).is_some_and(|value| value == OURS.1)
    }
}

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

fn steps<'a>(spec: &'a Spec, listed: &'a [Listed]) -> Vec<Step<'a>> {
    let wanted = spec.projects.iter().filter_map(|id| match listed.iter().find(|project| project.id == *id) {
        None => Some(Step::Register(id)),
        Some(project) if project.is_active() && project.is_ours() => None,
        Some(_) => Some(Step::TakeOver(id)),
    });
    let stale = |project: &&Listed| project.is_active() && project.is_ours() && !spec.projects.contains(&project.id);
    wanted.chain(listed.iter().filter(stale).map(|project| Step::Archive(&project.id))).collect()
}

/// Registers what is missing and archives what is ours and wanted no longer. Whether anything had to be done.
///
/// # Errors
/// [`Reason::Registration`] with admin's words.
pub(super) async fn reconcile(client: &Client, spec: &Spec, run: &Run) -> Result<bool, Failure> {
    let run = &Run { deadline: run.deadline.min(BUDGET), ..run.clone() };
    let work = async {
        persist(run, &"flyteadmin", Duration::ZERO, || async {
            let listed = list(client, spec).await.map_err(unless_admins)?;
            let steps = steps(spec, &listed);
            for step in &steps {
                take(client, spec, *step).await.map_err(unless_admins)?;
                run.report.progress(Stage::Rollout, told(*step));
            }
            Ok(!steps.is_empty())
        })
        .await
        .map_err(|refusal| failure(refusal.words))
    };
    run.unless_cancelled(work).await
}

/// Every project that admin has, archived ones too.
///
/// # Errors
/// [`Reason::Registration`] with admin's words.
pub(super) async fn listed(client: &Client, spec: &Spec) -> Result<Vec<Listed>, Failure> {
    list(client, spec).await.map_err(|error| failure(error.to_string()))
}

/// An error as one of the way to admin, unless it is admin's own: just after a node's start the way to a Service may lead
/// elsewhere, and whoever answers there knows nothing of projects.
fn unless_admins(error: kube::Error) -> kube::Error {
    match error {
        kube::Error::Api(status) if status.code > LAST_CODE => kube::Error::Service(status.message.clone().into()),
        kube::Error::SerdeError(error) => kube::Error::Service(error.into()),
        error => error,
    }
}

fn failure(words: String) -> Failure {
    Failure::new(Reason::Registration, "admin does not take the projects").on("deployment flyteadmin").because(words)
}

fn told(step: Step<'_>) -> String {
    match step {
        Step::Register(id) | Step::TakeOver(id) => format!("project {id}: registered"),
        Step::Archive(id) => format!("project {id}: archived"),
    }
}

async fn list(client: &Client, spec: &Spec) -> kube::Result<Vec<Listed>> {
    let mut request =
        Request::new(base(spec)).get("projects", &GetParams::default()).map_err(kube::Error::BuildRequest)?;
    // By itself admin lists the active ones. No project has a state 2: there are 0 and 1.
    let everything = format!("{}/projects?filters=ne(state,2)", base(spec));
    match everything.parse() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(error) => return Err(kube::Error::Service(Box::new(error))),
    }
    #[derive(Deserialize)]
    struct Projects {
        #[serde(default)]
        projects: Vec<Listed>,
    }
    Ok(client.request::<Projects>(request).await?.projects)
}

async fn take(client: &Client, spec: &Spec, step: Step<'_>) -> kube::Result<()> {
    let projects = Request::new(format!("{}/projects", base(spec)));
    let parameters = PostParams::default();
    let labels = json!({"values": {OURS.0: OURS.1}});
    let request = match step {
        Step::Register(id) => {
            let project = json!({"id": id, "name": id, "description": format!("{id} description"), "labels": labels});
            projects.create(&parameters, json!({"project": project}).to_string().into_bytes())
        }
        // Labels that are not sent are lost.
        Step::TakeOver(id) => {
            let body = json!({"id": id, "state": "ACTIVE", "labels": labels});
            projects.replace(id, &parameters, body.to_string().into_bytes())
        }
        Step::Archive(id) => {
            let body = json!({"id": id, "state": "ARCHIVED", "labels": labels});
            projects.replace(id, &parameters, body.to_string().into_bytes())
        }
    };
    client.request::<Value>(request.map_err(kube::Error::BuildRequest)?).await.map(|_| ())
}

/// Admin's HTTP API, by way of Kubernetes'.
fn base(spec: &Spec) -> String {
    format!("/api/v1/namespaces/{}/services/flyteadmin:http/proxy/api/v1", spec.system_namespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(json: &Value) -> Vec<Listed> {
        serde_json::from_value(json.clone()).expect("projects")
    }

    #[test]
    fn only_admins_own_refusals_are_final() {
        let answered = |code, words: &str| {
            let status = kube::core::Status::failure(words, "").with_code(code).boxed();
            matches!(unless_admins(kube::Error::Api(status)), kube::Error::Api(_))
        };
        assert!(answered(3, "invalid value for field id"));
        assert!(!answered(403, "a proxy's words"));
        assert!(!answered(503, "no endpoints available"));
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
            assert_eq!(steps(&spec, &listed(&given)), wanted, "{given}");
        }
    }
}
