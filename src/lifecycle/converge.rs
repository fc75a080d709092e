//! Objects to the API wave by wave, until all are ready.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use kube::Client;

use super::migration::{self, Settled};
use super::observed::seen_again;
use super::outdated::Outdated;
use super::restart::{Restart, restarts};
use super::retention::{self, Removal};
use super::{storage, task_resources};
use crate::failure::Failure;
use crate::flyte::names;
use crate::images::Arrivals;
use crate::kubernetes::{self, Inventory};
use crate::limits;
use crate::manifest::{Object, ObjectRef};
use crate::plan::{Plan, Wave, is_cluster_scoped};
use crate::report::{Change, Outcome, Stage};
use crate::rollout;
use crate::run::Run;
use crate::site::retire;
use crate::spec::Spec;

/// What a cluster has once all but its workloads is applied.
#[derive(Debug, Default)]
pub struct Prerequisites {
    /// What was applied before.
    pub before: Option<Inventory>,
    /// Workloads whose pods run an image that was built again since.
    pub outdated: BTreeSet<Outdated>,
    /// ConfigMaps and Secrets that somebody had edited, and ServiceAccounts that were gone, in this run or in one that did
    /// not end: the pods of these may run with the edit, or with a token that opens nothing.
    mended: BTreeSet<ObjectRef>,
}

/// Applies what is there from the first moment: namespaces, the FlyteWorkflow kind, permissions, configuration and
/// Services. Writes down first what is about to be there, so that a run that is killed loses track of nothing. Returns
/// what was there before.
///
/// # Errors
/// The API refuses an object, or does not answer.
pub async fn apply_prerequisites(client: &Client, plan: &Plan, run: &Run) -> Result<Prerequisites, Failure> {
    let waves: Vec<_> = plan.waves.iter().filter(|wave| wave.workloads().next().is_none()).collect();
    run.stage(Stage::Apply, async {
        let mut changes = Vec::new();
        let mut waves = waves.into_iter().peekable();
        // The inventory needs a namespace; on an attached cluster it exists.
        while let Some(first) = waves.next_if(|wave| wave.objects.iter().all(is_cluster_scoped)) {
            changes.extend(kubernetes::apply(client, &first.objects, run).await?);
        }
        let before = if plan.spec.scope().owns_cluster {
            kubernetes::find(client).await?
        } else {
            kubernetes::find_within(client, &plan.spec.system_namespace()).await?
        };
        let mut begun = Inventory {
            digest: None,
            spec: plan.spec.clone(),
            objects: intended(plan, before.as_ref()),
            tables: before.as_ref().map(|before| before.tables.clone()).unwrap_or_default(),
            proven: false,
            mended: before.as_ref().map(|before| before.mended.clone()).unwrap_or_default(),
        };
        let namespace = plan.spec.system_namespace();
        kubernetes::save(client, &namespace, &begun, run).await?;
        for wave in waves {
            changes.extend(kubernetes::apply(client, &wave.objects, run).await?);
        }
        let mended = before.as_ref().map(|before| mended(plan, before, &changes)).unwrap_or_default();
        // A run that ends before their readers have restarted leaves no other trace of the edit.
        if !mended.is_subset(&begun.mended) {
            begun.mended.extend(mended);
            kubernetes::save(client, &namespace, &begun, run).await?;
        }
        let mended = begun.mended;
        let changes: Vec<_> = changes.into_iter().map(|(_, change)| change).collect();
        Ok((Prerequisites { before, mended, outdated: BTreeSet::new() }, outcome(&changes), summary(&changes)))
    })
    .await
}

/// What pods read or run as and the apply changed, although the plan has it as it was applied before. Where the plan has it
/// otherwise, a checksum in the pod template has the pods replaced. The token of a ServiceAccount that was deleted opens
/// nothing, though there is one of its name again.
fn mended(plan: &Plan, before: &Inventory, changes: &[(ObjectRef, Change)]) -> BTreeSet<ObjectRef> {
    let wanted = plan.digests();
    let changed = changes.iter().filter(|(object, change)| {
        let matters = match object.kind.as_str() {
            "ConfigMap" | "Secret" => *change == Change::Changed,
            "ServiceAccount" => matches!(change, Change::Changed | Change::Created),
            _ => false,
        };
        matters && before.objects.get(object).is_some_and(|applied| applied.as_ref() == wanted.get(object))
    });
    changed.map(|(object, _)| object.clone()).collect()
}

/// What is there or is about to be; with a digest only where both are the same.
fn intended(plan: &Plan, before: Option<&Inventory>) -> BTreeMap<ObjectRef, Option<String>> {
    let before = before.map(|inventory| inventory.objects.clone()).unwrap_or_default();
    let mut all = applied(plan);
    for (object, digest) in &mut all {
        if before.get(object) != Some(digest) {
            *digest = None;
        }
    }
    let leaving = before.into_keys().filter(|object| !all.contains_key(object)).collect::<Vec<_>>();
    all.extend(leaving.into_iter().map(|object| (object, None)));
    all
}

/// All objects of the plan, as they are when it has been applied.
fn applied(plan: &Plan) -> BTreeMap<ObjectRef, Option<String>> {
    plan.digests().into_iter().map(|(object, digest)| (object, Some(digest))).collect()
}

/// What a new cluster gets while its workloads are applied.
#[derive(Debug)]
pub struct UnderWay<'a, N, F> {
    /// Images of the workloads; absent where the node has all.
    pub images: Option<&'a Arrivals>,
    /// Names that resolve.
    pub names: N,
    /// What the stores are to have before anything else starts.
    pub data: Option<F>,
}

type Done = std::future::Ready<Result<(), Failure>>;

impl UnderWay<'static, Done, Done> {
    /// Of a cluster that has all of it.
    #[must_use]
    pub fn nothing() -> Self {
        Self { images: None, names: std::future::ready(Ok(())), data: None }
    }
}

/// Applies the workloads, a wave when the one before it is ready and each once the node has its images, tells admin of the
/// projects, and removes what is rendered no longer; `removal` says what of the projects that admin alone still knows. Those
/// of the first wave look nobody up: they start while names do not resolve yet. Where they are not to be filled, and there
/// are no earlier pods that could be taken for the new ones, the second wave starts with the first: its pods wait for the
/// database themselves.
///
/// # Errors
/// A workload does not become ready, admin does not take a project, or something cannot be removed.
pub async fn roll_out(
    client: &Client,
    plan: &Plan,
    prerequisites: Prerequisites,
    removal: Removal<'_>,
    under_way: UnderWay<'_, impl Future<Output = Result<(), Failure>>, impl Future<Output = Result<(), Failure>>>,
    run: &Run,
) -> Result<(), Failure> {
    let UnderWay { images, names, data } = under_way;
    let Prerequisites { before, mended, outdated } = prerequisites;
    let restarts = restarts(plan, &mended, outdated);
    let waves: Vec<_> = plan.waves.iter().filter(|wave| wave.workloads().next().is_some()).collect();
    run.stage(Stage::Rollout, async {
        let mut changes = Vec::new();
        let at_once = if before.is_none() && data.is_none() { 2 } else { 1 };
        let (first, waves) = waves.split_at(at_once.min(waves.len()));
        let wave = Box::pin(apply_waves(client, first, &restarts, images, run));
        let (first, ()) = tokio::try_join!(wave, names)?;
        changes.extend(first);
        if let Some(data) = data {
            run.unless_cancelled(data).await?;
        }
        let rest = async {
            let mut changes = Vec::new();
            for wave in waves {
                changes.extend(apply_waves(client, &[wave], &restarts, images, run).await?);
            }
            Ok(changes)
        };
        // The stores are ready by now, and nothing runs yet that needs its keys.
        let (rest, admitted) = tokio::try_join!(rest, storage::admit(client, &plan.spec, before.as_ref(), run))?;
        changes.extend(rest);
        // What the sandbox had and the plan lacks was settled when the plan was made.
        let had = before.as_ref().map(|before| before.spec.projects.clone()).unwrap_or_default();
        let recorded = before.as_ref().map(|before| expected_tables(plan, before)).unwrap_or_default();
        let settled = Box::pin(migration::settle(client, &plan.spec, &recorded, None, &had, removal, run)).await?;
        let Settled { registered, tables } = settled;
        retention::warn_of_data_alone(&registered.leaving, run);
        let former = before.as_ref().map(|before| &before.spec);
        let resourced = task_resources::reconcile(client, &plan.spec, former, run).await?;
        if let Some(before) = before {
            changes.extend(prune(client, plan, &before, run).await?);
        }
        storage::dismiss(client, &plan.spec, &registered.archived, run).await?;
        save(client, plan, tables, false, run).await?;
        let ready = format!("{} workloads ready; {}", plan.workloads().count(), summary(&changes));
        Ok(((), if registered.changed || resourced || admitted { Outcome::Passed } else { outcome(&changes) }, ready))
    })
    .await
}

/// The tables that there are to be: those that were recorded, unless something else migrates now.
fn expected_tables(plan: &Plan, before: &Inventory) -> BTreeSet<String> {
    let wanted = plan.digests();
    let migrates = |object: &&ObjectRef| [names::ADMIN, names::DATACATALOG].contains(&object.name.as_str());
    let mut migrating = before.workloads().filter(migrates);
    let same = migrating.all(|object| before.objects[object].as_ref() == wanted.get(object));
    if same { before.tables.clone() } else { BTreeSet::new() }
}

/// Brings what is in no object to the spec, for a sandbox whose objects are as planned: admin's projects and tables, and
/// buckets and keys in the object store. Writes down which tables there are, where that has changed; `seen` are those where
/// somebody has just looked.
///
/// # Errors
/// Admin or the object store refuses, or does not answer.
pub(super) async fn reconcile_settings(
    client: &Client,
    spec: &Spec,
    before: &Inventory,
    seen: Option<BTreeSet<String>>,
    removal: Removal<'_>,
    run: &Run,
) -> Result<Reconciled, Failure> {
    let settled = Box::pin(migration::settle(client, spec, &before.tables, seen, &[], removal, run));
    let (settled, admitted) = tokio::try_join!(settled, storage::admit(client, spec, Some(before), run))?;
    let Settled { registered, tables } = settled;
    retention::warn_of_data_alone(&registered.leaving, run);
    let resourced = task_resources::reconcile(client, spec, Some(&before.spec), run).await?;
    let dismissed = storage::dismiss(client, spec, &registered.archived, run).await?;
    let inventory = Inventory { tables, ..before.clone() };
    // A table more is a user's own, and may go again.
    if before.tables.is_empty() != inventory.tables.is_empty() || !before.tables.is_subset(&inventory.tables) {
        kubernetes::save(client, &before.spec.system_namespace(), &inventory, run).await?;
    }
    Ok(Reconciled { changed: registered.changed || resourced || admitted || dismissed, tables: inventory.tables })
}

/// What is in no object, brought to the spec.
pub(super) struct Reconciled {
    /// Whether anything had to be done.
    pub(super) changed: bool,
    /// The tables that there are.
    pub(super) tables: BTreeSet<String>,
}

/// Removes what is rendered no longer, and sees that namespaces are gone.
async fn prune(client: &Client, plan: &Plan, before: &Inventory, run: &Run) -> Result<Vec<Change>, Failure> {
    let now: BTreeSet<_> = plan.objects().collect();
    let leaving = retire::leaving(before, &now, &plan.spec);
    retire::drain(client, &leaving, Stage::Rollout, run).await?;
    let pruned = kubernetes::prune(client, before, &now, run).await?;
    if plan.spec.scope().owns_cluster {
        retire::gone(client, &leaving, run).await?;
    } else {
        retire::let_go_all(client, &leaving, run).await?;
    }
    Ok(pruned.iter().map(|_| Change::Pruned).collect())
}

/// Waits until the workloads that a sandbox was brought up with are ready again, after its node's start.
///
/// # Errors
/// One does not become ready.
pub(super) async fn wait_for_workloads(
    client: &Client,
    inventory: &Inventory,
    node_started: Option<SystemTime>,
    run: &Run,
) -> Result<(), Failure> {
    let workloads: Vec<_> = inventory.workloads().cloned().collect();
    let namespace = inventory.spec.system_namespace();
    run.stage(Stage::Rollout, async {
        seen_again(client, &namespace, node_started, Stage::Rollout, run).await?;
        rollout::wait(client, &workloads, run, limits::WAVE).await?;
        Ok(((), Outcome::Passed, format!("{} workloads ready", workloads.len())))
    })
    .await
}

/// Applies waves, each object once the node has its images, replaces the pods of those that are to restart, and waits until all are ready.
async fn apply_waves(
    client: &Client,
    waves: &[&Wave],
    restarts: &BTreeMap<ObjectRef, Restart>,
    images: Option<&Arrivals>,
    run: &Run,
) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    let mut waiting: Vec<Object> = waves.iter().flat_map(|wave| &wave.objects).cloned().collect();
    while !waiting.is_empty() {
        let objects = match images {
            Some(images) => images.next(&mut waiting, Object::images).await,
            None => std::mem::take(&mut waiting),
        };
        changes.extend(kubernetes::apply(client, &objects, run).await?);
    }
    for (object, change) in &mut changes {
        let Some(why) = restarts.get(object) else { continue };
        // What was changed may be outside the pods' template, and the outdated pods would stay.
        let is_due = match change {
            Change::Unchanged => true,
            Change::Changed => matches!(why, Restart::Outdated(_)),
            _ => false,
        };
        if is_due {
            run.report.progress(Stage::Rollout, format!("{object}: restarted, since {why}"));
            Box::pin(kubernetes::restart(client, object, run)).await?;
            *change = Change::Changed;
        }
    }
    let targets: Vec<_> = waves.iter().flat_map(|wave| wave.workloads()).collect();
    rollout::wait(client, &targets, run, limits::WAVE).await?;
    Ok(changes.into_iter().map(|(_, change)| change).collect())
}

/// Writes down that all objects are as planned, and whether a workflow has run with them.
pub(super) async fn save(
    client: &Client,
    plan: &Plan,
    tables: BTreeSet<String>,
    proven: bool,
    run: &Run,
) -> Result<(), Failure> {
    let inventory = Inventory {
        digest: Some(plan.digest.clone()),
        spec: plan.spec.clone(),
        objects: applied(plan),
        tables,
        proven,
        mended: BTreeSet::new(),
    };
    kubernetes::save(client, &plan.spec.system_namespace(), &inventory, run).await
}

fn outcome(changes: &[Change]) -> Outcome {
    let unchanged = changes.iter().all(|change| *change == Change::Unchanged);
    if unchanged { Outcome::Unchanged } else { Outcome::Passed }
}

/// Such as `3 created, 88 unchanged`.
fn summary(changes: &[Change]) -> String {
    let kinds = [
        (Change::Created, "created"),
        (Change::Changed, "changed"),
        (Change::Unchanged, "unchanged"),
        (Change::Pruned, "removed"),
    ];
    let counted = kinds.map(|(kind, word)| (changes.iter().filter(|change| **change == kind).count(), word));
    let told = counted.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    let told: Vec<_> = told.collect();
    if told.is_empty() { "nothing to apply".to_owned() } else { told.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_happened_and_leaves_out_what_did_not() {
        assert_eq!(summary(&[Change::Created, Change::Unchanged, Change::Created]), "2 created, 1 unchanged");
        assert_eq!(summary(&[]), "nothing to apply");
        assert_eq!(outcome(&[Change::Unchanged]), Outcome::Unchanged);
        assert_eq!(outcome(&[Change::Unchanged, Change::Pruned]), Outcome::Passed);
    }
}
