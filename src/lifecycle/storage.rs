//! What each project has in the object store, brought to what the spec says.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;

use crate::failure::Failure;
use crate::issuer;
use crate::kubernetes::Inventory;
use crate::kubernetes::{Forwarded, forward};
use crate::limits::PROJECT_STORAGE;
use crate::report::Stage;
use crate::run::{Deadline, Run};
use crate::spec::{Spec, StoreUser};
use crate::store::{BucketAdmin, Tenant, Usage};

/// Buckets that are emptied at once.
const AT_ONCE: usize = 4;

/// Gives every project its bucket and its keys, and makes the system's bucket again where it is gone. Whether anything had
/// to be done.
///
/// # Errors
/// [`Reason::ProjectStorage`](crate::failure::Reason::ProjectStorage) with the store's words.
pub(super) async fn admit(
    client: &Client,
    spec: &Spec,
    before: Option<&Inventory>,
    run: &Run,
) -> Result<bool, Failure> {
    let work = async {
        let (store, _way) = store(client, spec, run.deadline.min(PROJECT_STORAGE)).await?;
        let bucket = &spec.storage.bucket;
        let made = store.ensure_bucket(bucket).await?;
        let created = store.ensure_tenants(&tenants(spec, before)?).await?;
        if created > 0 {
            run.report.progress(Stage::Rollout, format!("object store: {created} users created, with their buckets"));
        }
        // Minio's own pod makes it when it starts.
        if made {
            run.report.warn(format!(
                "bucket {bucket} did not exist and is made again; what Flyte kept in it of workflows, inputs and cached outputs is gone"
            ));
        }
        Ok(created > 0 || made)
    };
    run.unless_cancelled(work).await
}

/// Takes bucket and keys from these projects, which are archived. Whether anything had to be done.
///
/// # Errors
/// As [`admit`].
pub(super) async fn dismiss(client: &Client, spec: &Spec, projects: &[String], run: &Run) -> Result<bool, Failure> {
    if projects.is_empty() {
        return Ok(false);
    }
    let work = async {
        let (store, _way) = store(client, spec, run.deadline.min(PROJECT_STORAGE)).await?;
        let buckets: Vec<_> = projects.iter().map(|project| spec.storage.bucket_of(project)).collect();
        Ok(store.deprovision(&buckets).await? > 0)
    };
    run.unless_cancelled(work).await
}

/// Empties the buckets that [`admit`] makes, and removes all others, with the keys of projects that the spec lacks. The
/// number of buckets that there were.
///
/// # Errors
/// As [`admit`].
pub(super) async fn empty(client: &Client, spec: &Spec, run: &Run) -> Result<usize, Failure> {
    let work = async {
        let (store, _way) = store(client, spec, run.deadline.min(PROJECT_STORAGE)).await?;
        let of_projects = spec.projects.iter().map(|project| spec.storage.bucket_of(project));
        let ours: BTreeSet<_> = of_projects.chain([spec.storage.bucket.clone()]).collect();
        let all = store.buckets().await?;
        let others: Vec<_> = all.iter().filter(|bucket| !ours.contains(*bucket)).cloned().collect();
        if !others.is_empty() {
            store.deprovision(&others).await?;
        }
        let emptied = all.iter().map(async |bucket| match ours.contains(bucket) {
            true => store.empty_bucket(bucket).await,
            false => store.delete_bucket(bucket).await.map(|_| ()),
        });
        stream::iter(emptied).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        Ok(all.len())
    };
    run.unless_cancelled(work).await
}

/// What is in a project's bucket.
///
/// # Errors
/// As [`admit`].
pub(super) async fn usage(client: &Client, spec: &Spec, project: &str, run: &Run) -> Result<Usage, Failure> {
    let work = async {
        let (store, _way) = store(client, spec, run.deadline.min(PROJECT_STORAGE)).await?;
        store.usage(&spec.storage.bucket_of(project)).await
    };
    run.unless_cancelled(work).await
}

/// The buckets that are not as [`admit`] makes them, or the store itself, each as a line. That the store does not answer is one, too.
pub(super) async fn due(client: &Client, spec: &Spec, limit: Duration) -> Vec<String> {
    let look = async {
        let (store, _way) = store(client, spec, Deadline::fixed(limit)).await?;
        let tenants = tenants(spec, None)?;
        let of_tenants = store.lacking(&tenants).await?.into_iter();
        let mut lacking: BTreeSet<_> = of_tenants.map(|tenant| tenant.bucket().to_owned()).collect();
        if !store.has_bucket(&spec.storage.bucket).await? {
            lacking.insert(spec.storage.bucket.clone());
        }
        let told = |bucket| format!("bucket {bucket} does not exist, or its keys do not open it");
        Ok(lacking.into_iter().map(told).collect())
    };
    look.await.unwrap_or_else(|failure: Failure| vec![failure.to_string()])
}

/// The object store, with a port-forward to it on an attached cluster; to be kept while requests are sent.
pub(super) async fn store(
    client: &Client,
    spec: &Spec,
    deadline: Deadline,
) -> Result<(BucketAdmin, Option<Forwarded>), Failure> {
    let way = if spec.scope().publishes_ports { None } else { Some(forward(client, spec).await?) };
    let port = way.as_ref().map_or(spec.ports, |way| way.ports).minio;
    Ok((BucketAdmin::new(port, spec.storage.root(), deadline)?, way))
}

fn tenants(spec: &Spec, before: Option<&Inventory>) -> Result<Vec<Tenant>, Failure> {
    let tenant = |StoreUser { name, project, keys, grants }: StoreUser| {
        let previous = project.as_ref().and_then(|project| before?.spec.storage.keys_of(project));
        Ok(Tenant {
            keys: keys.ok_or_else(|| issuer::unissued(project.as_ref().unwrap_or(&name)))?,
            name,
            grants,
            previous_access_key: previous.map(|keys| keys.access_key),
        })
    };
    spec.store_users().into_iter().map(tenant).collect()
}
