//! Taking a sandbox out of namespaces that stay: by its inventory, object by object, and looking whether it is gone.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::api::{DeleteParams, ListParams};
use kube::{Client, ResourceExt};
use tokio::time::sleep;

use super::retire;
use crate::failure::{Failure, Reason};
use crate::flyte::{labels, names};
use crate::kubernetes::{self, Inventory, Locks, resolve, retry};
use crate::limits::OBJECTS_GONE;
use crate::manifest::Collection;
use crate::report::Stage;
use crate::run::Run;
use crate::spec::Spec;

const POLL: Duration = Duration::from_millis(250);

/// Removes all that the sandbox's inventory in this namespace names, and what its propellers made: workflows with their
/// pods, and locks. Returns how many objects were removed; none where there is no inventory of this sandbox.
///
/// # Errors
/// The API refuses a removal, or [`Reason::Leftovers`] names what is still there at the end.
pub(super) async fn all(client: &Client, namespace: &str, name: &str, run: &Run) -> Result<usize, Failure> {
    let found = kubernetes::find_within(client, namespace).await?;
    let Some(inventory) = found.filter(|inventory| inventory.spec.name == name) else { return Ok(0) };
    let spec = &inventory.spec;
    let workflows: Vec<_> = spec.workflow_namespaces().into_iter().map(|workflow| workflow.name).collect();
    retire::drain(client, &workflows, Stage::Down, run).await?;
    let pruned = kubernetes::withdraw(client, &inventory, run).await?;
    retire::let_go_all(client, &workflows, run).await?;
    locks(client, spec, run).await?;
    gone(client, &inventory, run).await?;
    kubernetes::forget(client, namespace, run).await?;
    Ok(pruned.len() + 1)
}

/// What the propellers lead by; they make it themselves, without a label.
async fn locks(client: &Client, spec: &Spec, run: &Run) -> Result<(), Failure> {
    let locks = Locks::new(client, &spec.system_namespace(), spec.flyte.facts().election);
    for workflow in spec.workflow_namespaces() {
        let lock = names::propeller_lock(&workflow);
        let at = locks.words(&lock);
        let parameters = DeleteParams::default();
        run.unless_cancelled(async {
            match retry(run, &at, Duration::ZERO, || locks.api().delete(&lock, &parameters)).await {
                Err(error) if !error.is_missing() => Err(error.failure("cannot delete the lock", &at)),
                _ => Ok(()),
            }
        })
        .await?;
    }
    Ok(())
}

/// Waits until nothing is listed any more that carries the sandbox's label, nor a pod of an execution.
async fn gone(client: &Client, inventory: &Inventory, run: &Run) -> Result<(), Failure> {
    let spec = &inventory.spec;
    let ours = format!("{}={}", labels::SANDBOX_NAME, spec.name);
    let namespaced = inventory.objects.keys().filter(|object| object.namespace.is_some());
    let mut collections: BTreeSet<(Collection, &str)> =
        namespaced.map(|object| (object.collection(), ours.as_str())).collect();
    let pods = |namespace: String| Collection {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: Some(namespace),
    };
    collections.insert((pods(spec.system_namespace()), &ours));
    collections
        .extend(spec.workflow_namespaces().into_iter().map(|workflow| (pods(workflow.name), labels::EXECUTION_ID)));
    let mut left = Vec::new();
    let until_gone = async {
        loop {
            let mut seen = Vec::new();
            for (collection, label) in &collections {
                seen.extend(listed(client, collection, label, run).await?);
            }
            left = seen;
            let Some(first) = left.first() else { return Ok(()) };
            let others = if left.len() > 1 { format!(" (+{})", left.len() - 1) } else { String::new() };
            run.report.progress(Stage::Down, format!("{first}{others}: is being deleted"));
            sleep(POLL).await;
        }
    };
    let deadline = run.deadline.min(OBJECTS_GONE);
    deadline.limit(run.unless_cancelled(until_gone)).await.unwrap_or_else(|| {
        let failure = match left.first() {
            Some(first) => Failure::new(Reason::Leftovers, "something of the sandbox does not go").on(first),
            None => Failure::new(Reason::ApiUnavailable, "cannot see whether the sandbox is gone"),
        };
        Err(Failure { leftovers: left, ..failure.because(deadline.expired_message()) })
    })
}

async fn listed(client: &Client, collection: &Collection, label: &str, run: &Run) -> Result<Vec<String>, Failure> {
    let list = || async {
        let api = resolve(client, collection).await?.endpoint(client, collection.namespace.as_deref());
        api.list_metadata(&ListParams::default().labels(label)).await
    };
    let found = match retry(run, collection, Duration::ZERO, list).await {
        Ok(found) => found.items,
        Err(error) if error.is_missing() => Vec::new(),
        Err(error) => return Err(error.failure("cannot see whether the sandbox is gone", collection)),
    };
    Ok(found.iter().map(|object| collection.object(object.name_any()).to_string()).collect())
}
