//! The end of workflow namespaces.
//!
//! A FlyteWorkflow is held by a finalizer that only its propeller takes off. Where propeller and namespace are deleted
//! side by side, the namespace stays half deleted for ever: so workflows end first, while their propeller runs, and the
//! namespace is seen to be gone.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::time::sleep;

use crate::failure::{Failure, Reason};
use crate::flyte::workflow;
use crate::kubernetes::{self, ApiError, Inventory, retry};
use crate::limits::{NAMESPACES_GONE, WORKFLOWS_ABORTED};
use crate::manifest::ObjectRef;
use crate::report::Stage;
use crate::run::Run;
use crate::spec::Spec;

const POLL: Duration = Duration::from_millis(250);

/// The namespaces that were applied and are not wanted any more. On an attached cluster none is applied: of them it is those in which
/// no workflow runs any more.
pub(crate) fn leaving(before: &Inventory, now: &BTreeSet<ObjectRef>, spec: &Spec) -> Vec<String> {
    if !spec.scope().owns_cluster {
        let (before, now) = (before.spec.workflow_namespaces(), spec.workflow_namespaces());
        return before
            .into_iter()
            .filter(|namespace| !now.contains(namespace))
            .map(|namespace| namespace.name)
            .collect();
    }
    let namespaces = before.objects.keys().filter(|object| object.kind == "Namespace" && !now.contains(object));
    namespaces.map(|object| object.name.clone()).collect()
}

/// Ends the workflows of the namespaces, all at once: their propellers abort them, and admin learns of it. What no
/// propeller ends in time is let go without one. Told as progress of `stage`.
pub(crate) async fn drain(client: &Client, namespaces: &[String], stage: Stage, run: &Run) -> Result<(), Failure> {
    let mut left = Vec::new();
    let ended = async {
        loop {
            let mut seen = Vec::new();
            for namespace in namespaces {
                let running = workflows(client, namespace, run).await?;
                for workflow in running.iter().filter(|workflow| workflow.metadata.deletion_timestamp.is_none()) {
                    delete(client, namespace, workflow, run).await?;
                }
                if !running.is_empty() {
                    seen.push((namespace, running));
                }
            }
            left = seen;
            let Some((first, running)) = left.first() else { return Ok(()) };
            let others = if left.len() > 1 { format!(" (+{} namespaces)", left.len() - 1) } else { String::new() };
            run.report.progress(stage, format!("namespace {first}: {} workflows end{others}", running.len()));
            sleep(POLL).await;
        }
    };
    let deadline = run.deadline.min(WORKFLOWS_ABORTED);
    match deadline.limit(run.unless_cancelled(ended)).await {
        Some(ended) => ended,
        None => {
            for (namespace, running) in &left {
                let names: Vec<_> = running.iter().map(ResourceExt::name_any).collect();
                run.report.warn(format!("no propeller ends {} of {namespace}; let go without it", names.join(", ")));
            }
            Ok(())
        }
    }
}

/// Lets go what is left of the workflows of namespaces that stay, when their propellers are gone.
pub(crate) async fn let_go_all(client: &Client, namespaces: &[String], run: &Run) -> Result<(), Failure> {
    let all = async {
        for namespace in namespaces {
            for workflow in workflows(client, namespace, run).await? {
                let_go(client, namespace, &workflow, run).await?;
            }
        }
        Ok(())
    };
    run.unless_cancelled(all).await
}

/// Waits until the namespaces, which are being deleted, are gone.
pub(crate) async fn gone(client: &Client, namespaces: &[String], run: &Run) -> Result<(), Failure> {
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &kubernetes::api_resource("v1", "Namespace"));
    let failed = |namespace: &String| {
        Failure::new(Reason::Apply, "the namespace does not go").on(format!("namespace {namespace}"))
    };
    let mut held = None;
    let gone = async {
        for namespace in namespaces {
            let shown = format!("namespace {namespace}");
            loop {
                let found = retry(run, &shown, Duration::ZERO, || all.get_opt(namespace)).await;
                let found = found.map_err(|error| failed(namespace).because(error))?;
                // One that is not being deleted is not ours to delete: pruning has said so.
                let Some(found) = found.filter(|found| found.metadata.deletion_timestamp.is_some()) else { break };
                for workflow in workflows(client, namespace, run).await? {
                    let_go(client, namespace, &workflow, run).await?;
                }
                held = Some((namespace, conditions(&found)));
                run.report.progress(Stage::Rollout, format!("{shown}: is being deleted"));
                sleep(POLL).await;
            }
            held = None;
        }
        Ok(())
    };
    let deadline = run.deadline.min(NAMESPACES_GONE);
    deadline.limit(run.unless_cancelled(gone)).await.unwrap_or_else(|| {
        Err(match held {
            Some((namespace, conditions)) => failed(namespace).because("something in it holds it").evidence(conditions),
            None => Failure::new(Reason::ApiUnavailable, "cannot see whether the namespaces are gone")
                .because(deadline.expired_message()),
        })
    })
}

/// What Kubernetes says about a namespace that it cannot delete yet.
fn conditions(namespace: &DynamicObject) -> Vec<String> {
    let conditions = namespace.data.pointer("/status/conditions").and_then(serde_json::Value::as_array);
    let bad = conditions.into_iter().flatten().filter(|condition| condition["status"] == "True");
    bad.filter_map(|condition| condition["message"].as_str().map(str::to_owned)).collect()
}

fn api(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kubernetes::api_resource(workflow::API_VERSION, workflow::KIND))
}

async fn workflows(client: &Client, namespace: &str, run: &Run) -> Result<Vec<DynamicObject>, Failure> {
    let (at, api) = (format!("flyteworkflow {namespace}/*"), api(client, namespace));
    let everything = ListParams::default();
    match retry(run, &at, Duration::ZERO, || api.list(&everything)).await {
        Ok(listed) => Ok(listed.items),
        // Where the kind is not there, there is none.
        Err(error) if error.is_missing() => Ok(Vec::new()),
        Err(error) => Err(error.failure("cannot see what runs", at)),
    }
}

async fn delete(client: &Client, namespace: &str, workflow: &DynamicObject, run: &Run) -> Result<(), Failure> {
    let (name, parameters) = (workflow.name_any(), DeleteParams::default());
    let (at, api) = (format!("flyteworkflow {namespace}/{name}"), api(client, namespace));
    let deleted = retry(run, &at, Duration::ZERO, || api.delete(&name, &parameters)).await;
    unless_gone(deleted).map_err(|error| error.failure("cannot end the workflow", at))
}

async fn let_go(client: &Client, namespace: &str, workflow: &DynamicObject, run: &Run) -> Result<(), Failure> {
    let (name, parameters) = (workflow.name_any(), PatchParams::default());
    let (at, api) = (format!("flyteworkflow {namespace}/{name}"), api(client, namespace));
    let nothing = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let freed = retry(run, &at, Duration::ZERO, || api.patch(&name, &parameters, &nothing)).await;
    unless_gone(freed).map_err(|error| error.failure("cannot let the workflow go", at))
}

fn unless_gone<T>(done: Result<T, ApiError>) -> Result<(), ApiError> {
    match done {
        Err(error) if error.is_missing() => Ok(()),
        done => done.map(|_| ()),
    }
}
