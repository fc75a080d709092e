//! Admin's and datacatalog's database, migrated again where it lacks what they expect.
//!
//! Their pods migrate it when they start, and only then. A database that was dropped or emptied beneath them is found when
//! admin reads: then their pods are replaced, once. A table that was dropped while the list of migrations says that it was
//! made is not made again by that; then there is no way but a fresh sandbox.

use kube::Client;

use super::registration::{self, Registered};
use super::retention::Removal;
use crate::failure::{Failure, Reason};
use crate::flyte::names;
use crate::kubernetes;
use crate::limits;
use crate::manifest::ObjectRef;
use crate::report::Stage;
use crate::rollout;
use crate::run::Run;
use crate::spec::Spec;

/// Brings admin's projects to what the spec says, as [`registration::reconcile`] does, in a database that has what admin
/// reads.
///
/// # Errors
/// [`Reason::DatabaseIncomplete`] where starting again did not help, and as [`registration::reconcile`].
pub(super) async fn settle(
    client: &Client,
    spec: &Spec,
    settled: &[String],
    removal: Removal<'_>,
    run: &Run,
) -> Result<Registered, Failure> {
    let lacking = match registration::reconcile(client, spec, settled, removal, run).await {
        Err(failure) if is_lacking(&failure) => failure,
        done => return done,
    };
    let said = lacking.causes.last().cloned().unwrap_or_default();
    run.report.warn(format!("the database lacks what admin expects ({said}): admin and datacatalog migrate it again"));
    migrate(client, spec, run).await?;
    match registration::reconcile(client, spec, settled, removal, run).await {
        Err(failure) if is_lacking(&failure) => Err(incomplete(failure)),
        done => done.map(|registered| Registered { changed: true, ..registered }),
    }
}

/// Whether it is the database that lacks something: as Postgres says it, through admin.
fn is_lacking(failure: &Failure) -> bool {
    let words = ["relation \"", "database \"", "column \""];
    failure.causes.iter().any(|cause| cause.contains("does not exist") && words.iter().any(|word| cause.contains(word)))
}

/// Replaces the pods that migrate when they start and then the propellers, which are connected to them, and waits for
/// both.
async fn migrate(client: &Client, spec: &Spec, run: &Run) -> Result<(), Failure> {
    let migrating = [names::ADMIN, names::DATACATALOG].map(str::to_owned);
    let propellers = spec.workflow_namespaces().iter().map(names::propeller).collect::<Vec<_>>();
    for deployments in [migrating.as_slice(), &propellers] {
        let deployments: Vec<_> = deployments.iter().map(|name| deployment(spec, name)).collect();
        for deployment in &deployments {
            run.report.progress(Stage::Rollout, format!("{deployment}: restarted"));
            kubernetes::restart(client, deployment, run).await?;
        }
        rollout::wait(client, &deployments, run, limits::WAVE).await?;
    }
    Ok(())
}

fn deployment(spec: &Spec, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some(spec.system_namespace()),
        name: name.to_owned(),
    }
}

fn incomplete(mut failure: Failure) -> Failure {
    failure.reason = Reason::DatabaseIncomplete;
    failure.what = "the database lacks tables, and migrating it again did not make them".to_owned();
    failure.because("a table was dropped; the list of migrations (table `migrations`) says that it was made")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_postgres_has_not_is_lacking() {
        for (said, lacking) in [
            // As flyteadmin v0.6 answers, with a table or the database dropped beneath it.
            ("cannot query with specified table attributes: relation \"projects\" does not exist", true),
            ("failed database operation with database \"flyte_development\" does not exist", true),
            ("project [x] does not exist", false),
            ("dial tcp 10.43.0.1:5432: connect: connection refused", false),
        ] {
            let failure = Failure::new(Reason::Registration, "no").because(said);
            assert_eq!(is_lacking(&failure), lacking, "{said}");
        }
    }
}
