//! The end of workflow namespaces.
//!
//! A FlyteWorkflow is held by a finalizer that only its propeller takes off. Where propeller and namespace are deleted
//! side by side, the namespace stays half deleted for ever: so workflows end first, while their propeller runs, and the
//! namespace is seen to be gone.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, Error, ResourceExt};
use serde_json::json;
use tokio::time::sleep;

use crate::failure::{Failure, Reason};
use crate::flyte::workflow;
use crate::kubernetes::{self, Inventory, persist};
use crate::manifest::ObjectRef;
use crate::report::Stage;
use crate::run::Run;
use crate::spec::Spec;

/// For a propeller to abort what runs and to tell admin; it takes well below a second.
const ABORTED_WITHIN: Duration = Duration::from_secs(20);
/// For Kubernetes to delete what is in a namespace; a pod has 30 s to end by itself.
const GONE_WITHIN: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(250);

/// The namespaces that were applied and are not wanted any more. Given ones are not applied: of them it is those in which
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

/// Ends the workflows of the namespaces: their propellers abort them, and admin learns of it. What no propeller ends in
/// time is let go without one. Told as progress of `stage`.
pub(crate) async fn drain(client: &Client, namespaces: &[String], stage: Stage, run: &Run) -> Result<(), Failure> {
    let ended = async {
        let deadline = run.deadline.min(ABORTED_WITHIN);
        for namespace in namespaces {
            loop {
                let left = workflows(client, namespace, run).await?;
                for workflow in left.iter().filter(|workflow| workflow.metadata.deletion_timestamp.is_none()) {
                    delete(client, namespace, workflow, run).await?;
                }
                if left.is_empty() {
                    break;
                }
                if deadline.remaining().is_zero() {
                    let names: Vec<_> = left.iter().map(ResourceExt::name_any).collect();
                    run.report
                        .warn(format!("no propeller ends {} of {namespace}; let go without it", names.join(", ")));
                    break;
                }
                run.report.progress(stage, format!("namespace {namespace}: {} workflows end", left.len()));
                sleep(LOOK).await;
            }
        }
        Ok(())
    };
    run.unless_cancelled(ended).await
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
    let gone = async {
        let deadline = run.deadline.min(GONE_WITHIN);
        for namespace in namespaces {
            let shown = format!("namespace {namespace}");
            let failed = || Failure::new(Reason::Apply, "the namespace does not go").on(&shown);
            loop {
                let found = persist(run, &shown, Duration::ZERO, || all.get_opt(namespace)).await;
                let Some(found) = found.map_err(|refusal| failed().because(refusal.words))? else { break };
                // One that is not being deleted is not ours to delete: pruning has said so.
                if found.metadata.deletion_timestamp.is_none() {
                    break;
                }
                for workflow in workflows(client, namespace, run).await? {
                    let_go(client, namespace, &workflow, run).await?;
                }
                if deadline.remaining().is_zero() {
                    return Err(failed().because("something in it holds it").evidence(conditions(&found)));
                }
                run.report.progress(Stage::Rollout, format!("{shown}: is being deleted"));
                sleep(LOOK).await;
            }
        }
        Ok(())
    };
    run.unless_cancelled(gone).await
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
    let list = || async {
        match api(client, namespace).list(&ListParams::default()).await {
            // Where the kind is not there, there is none.
            Err(Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            listed => Ok(listed?.items),
        }
    };
    let at = format!("flyteworkflow {namespace}/*");
    persist(run, &at, Duration::ZERO, list).await.map_err(|refusal| refusal.failure("cannot see what runs", at))
}

async fn delete(client: &Client, namespace: &str, workflow: &DynamicObject, run: &Run) -> Result<(), Failure> {
    let (name, parameters) = (workflow.name_any(), DeleteParams::default());
    let at = format!("flyteworkflow {namespace}/{name}");
    let delete = || async { unless_gone(api(client, namespace).delete(&name, &parameters).await.map(|_| ())) };
    persist(run, &at, Duration::ZERO, delete).await.map_err(|refusal| refusal.failure("cannot end the workflow", at))
}

async fn let_go(client: &Client, namespace: &str, workflow: &DynamicObject, run: &Run) -> Result<(), Failure> {
    let name = workflow.name_any();
    let at = format!("flyteworkflow {namespace}/{name}");
    let nothing = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let parameters = PatchParams::default();
    let free = || async { unless_gone(api(client, namespace).patch(&name, &parameters, &nothing).await.map(|_| ())) };
    persist(run, &at, Duration::ZERO, free).await.map_err(|refusal| refusal.failure("cannot let the workflow go", at))
}

fn unless_gone(done: kube::Result<()>) -> kube::Result<()> {
    match done {
        Err(Error::Api(status)) if status.code == 404 => Ok(()),
        done => done,
    }
}
