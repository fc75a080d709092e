//! Admin's and datacatalog's database, migrated again where it lacks what they expect.
//!
//! Their pods migrate it when they start, and only then. What was dropped or emptied beneath them is found by a look at the
//! tables, or when admin reads. Then the migrations run again; where nobody may run commands in pods, by pods that are
//! replaced, which does not bring back a table that is written down as made.

use std::collections::BTreeSet;

use kube::Client;

use super::registration::{self, Registered};
use super::retention::Removal;
use super::tables;
use crate::failure::{Failure, Reason};
use crate::flyte::names;
use crate::kubernetes;
use crate::limits;
use crate::manifest::ObjectRef;
use crate::report::Stage;
use crate::rollout;
use crate::run::Run;
use crate::spec::Spec;

/// Admin's projects as the spec has them, in a database that has what admin and datacatalog read.
pub(super) struct Settled {
    pub(super) registered: Registered,
    /// The tables that there are; as recorded where nobody may look.
    pub(super) tables: BTreeSet<String>,
}

/// Why they are not.
enum Unsettled {
    Failed(Failure),
    /// Tables are gone, or admin says so.
    Lacking {
        said: String,
        lost: BTreeSet<String>,
    },
}

/// Brings admin's projects to what the spec says, as [`registration::reconcile`] does, in a database that has what admin and
/// datacatalog read: the `recorded` tables. `seen` are the tables that there are, where somebody has just looked.
///
/// # Errors
/// [`Reason::DatabaseIncomplete`] where migrating again did not help, and as [`registration::reconcile`].
pub(super) async fn settle(
    client: &Client,
    spec: &Spec,
    recorded: &BTreeSet<String>,
    seen: Option<BTreeSet<String>>,
    settled: &[String],
    removal: Removal<'_>,
    run: &Run,
) -> Result<Settled, Failure> {
    let attempt = async |recorded: &BTreeSet<String>, seen: Option<BTreeSet<String>>| {
        let all = async {
            let found = match seen {
                Some(seen) => seen,
                None => {
                    let found = tables::present(client, spec, limits::API_ANSWER).await;
                    found.unwrap_or_else(|_| recorded.clone())
                }
            };
            let lost = tables::lost(recorded, &found);
            if lost.is_empty() { Ok(found) } else { Err(Unsettled::Lacking { said: named(&lost), lost }) }
        };
        let registered = async {
            let registered = registration::reconcile(client, spec, settled, removal, run).await;
            registered.map(Ok).or_else(|failure| said(&failure).map(Err).ok_or(Unsettled::Failed(failure)))
        };
        // Where admin says that it lacks something, the look at the tables goes on: it knows what, and all of it.
        let (tables, registered) = tokio::try_join!(all, registered)?;
        let registered = registered.map_err(|said| Unsettled::Lacking { said, lost: BTreeSet::new() })?;
        Ok(Settled { registered, tables })
    };
    let mended =
        |Settled { registered, tables }| Settled { registered: Registered { changed: true, ..registered }, tables };
    let (said, lost) = match attempt(recorded, seen).await {
        Ok(settled) => return Ok(settled),
        Err(Unsettled::Failed(failure)) => return Err(failure),
        Err(Unsettled::Lacking { said, lost }) => (said, lost),
    };
    run.report.warn(format!("the database lacks what admin and datacatalog expect ({said}): it is migrated again, and what was in there is gone"));
    let again = match tables::make_again(client, spec, &lost, run).await {
        // What no migration makes was somebody's own.
        Ok(true) => attempt(&BTreeSet::new(), None).await,
        Ok(false) => attempt(recorded, None).await,
        Err(failure) if failure.reason == Reason::Interrupted => return Err(failure),
        Err(failure) => {
            run.report.progress(Stage::Rollout, format!("{failure}: admin and datacatalog restart, and migrate it"));
            restart(client, spec, run).await?;
            attempt(recorded, None).await
        }
    };
    match again {
        Ok(settled) => Ok(mended(settled)),
        Err(Unsettled::Failed(failure)) => Err(failure),
        Err(Unsettled::Lacking { said, .. }) => Err(incomplete(said)),
    }
}

fn named(tables: &BTreeSet<String>) -> String {
    let all: Vec<_> = tables.iter().map(String::as_str).collect();
    match all.as_slice() {
        [one] => format!("table {one} is gone"),
        all => format!("tables {} are gone", all.join(", ")),
    }
}

/// What it is that the database lacks, if it is that: as Postgres says it, through admin.
fn said(failure: &Failure) -> Option<String> {
    let words = ["relation \"", "database \"", "column \""];
    let lacking = |cause: &&String| cause.contains("does not exist") && words.iter().any(|word| cause.contains(word));
    failure.causes.iter().rfind(lacking).cloned()
}

/// Replaces the pods that migrate when they start and then the propellers, which are connected to them, and waits for
/// both.
async fn restart(client: &Client, spec: &Spec, run: &Run) -> Result<(), Failure> {
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

fn incomplete(said: String) -> Failure {
    Failure::new(Reason::DatabaseIncomplete, "the database lacks tables, and migrating it again did not make them")
        .because(said)
        .because("a table was dropped; the list of migrations (table `migrations`) says that it was made")
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
            assert_eq!(super::said(&failure).is_some(), lacking, "{said}");
        }
    }
}
