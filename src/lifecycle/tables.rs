//! The tables of Flyte's databases: what there was after the last `up`, what is gone of it, and that made again.
//!
//! Which tables admin and datacatalog expect, only their own migrations know. So an `up` that ends well records what is
//! there, and later ones and `status` compare. Admin runs no migration twice: one that is written down as done does not
//! make its table again. So the migrations run once more in a schema of their own, which has no such list, and what it gets
//! there and Flyte's schema lacks moves over. What the other tables have stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::Client;

use super::database::Database;
use crate::failure::{Failure, Reason};
use crate::flyte::names;
use crate::kubernetes::{self, Container};
use crate::limits::MIGRATION;
use crate::render::Component;
use crate::run::{Deadline, Run};
use crate::spec::Spec;

/// A word of the command that migrates a database.
const MIGRATE: &str = "migrate";
/// Where the migrations run once more. Postgres' client library reads it from the environment; that of later releases
/// does not, and migrates Flyte's own schema then.
const ELSEWHERE: &str = "PGOPTIONS=-csearch_path=sandbox_migrated";

/// What is in the system namespace to ask and to migrate by.
struct Pods {
    postgres: Container,
    others: BTreeMap<String, Container>,
}

impl Pods {
    async fn find(client: &Client, spec: &Spec) -> Result<Self, Failure> {
        let found = kubernetes::containers(client, &spec.system_namespace()).await;
        let mut others = found.map_err(|error| unseen().caused_by(error))?;
        let postgres = others.remove(Component::Postgres.id());
        Ok(Self { postgres: postgres.ok_or_else(|| unseen().because("no pod of Postgres is ready"))?, others })
    }
}

fn unseen() -> Failure {
    Failure::new(Reason::Registration, "cannot see which tables the database has")
}

/// The tables that there are, such as `flyte_development.projects`.
///
/// # Errors
/// Postgres is not ready, or the API lets nobody run commands in its pod.
pub(super) async fn present(client: &Client, spec: &Spec, limit: Duration) -> Result<BTreeSet<String>, Failure> {
    let look = async { Database(&Pods::find(client, spec).await?.postgres).table_names().await };
    let late = || Err(unseen().because("timed out"));
    Deadline::fixed(limit).limit(look).await.unwrap_or_else(late)
}

/// What is gone of the tables that were `recorded`, as a line. That they cannot be seen is one, too.
pub(super) async fn due(client: &Client, spec: &Spec, recorded: &BTreeSet<String>, limit: Duration) -> Vec<String> {
    if recorded.is_empty() {
        return Vec::new();
    }
    match present(client, spec, limit).await {
        Ok(found) => lost(recorded, &found).iter().map(|table| format!("table {table} is gone")).collect(),
        Err(failure) => vec![failure.to_string()],
    }
}

/// The tables that were recorded and are not there.
pub(super) fn lost(recorded: &BTreeSet<String>, found: &BTreeSet<String>) -> BTreeSet<String> {
    recorded.difference(found).cloned().collect()
}

/// Runs the migrations of admin and datacatalog again, and makes tables that are gone as they make them; in their databases
/// too, where these are gone. Whether that has made all that migrations make: what is gone even so is not Flyte's.
///
/// # Errors
/// A database or a migration refuses, or the API lets nobody run commands in the pods.
pub(super) async fn make_again(
    client: &Client,
    spec: &Spec,
    lost: &BTreeSet<String>,
    run: &Run,
) -> Result<bool, Failure> {
    let work = async {
        let pods = Pods::find(client, spec).await?;
        let database = Database(&pods.postgres);
        let there: BTreeSet<_> = database.names().await?.into_iter().collect();
        let of_lost = lost.iter().filter_map(|table| Some(table.rsplit_once('.')?.0.to_owned())).collect();
        let all = &there | &of_lost;
        for name in &all {
            if !there.contains(name) {
                database.create(name).await?;
            }
            database.begin_migrated(name).await?;
        }
        for component in [names::ADMIN, names::DATACATALOG] {
            migrate(&pods, component).await?;
        }
        let mut made = 0;
        for name in &all {
            made += database.take_over_migrated(name).await?;
        }
        Ok(made > 0)
    };
    let late = || Err(Failure::new(Reason::Registration, "cannot migrate the database again").because("timed out"));
    run.unless_cancelled(async { run.deadline.min(MIGRATION).limit(work).await.unwrap_or_else(late) }).await
}

/// Runs what a component's pod runs before it starts, in the pod that is up.
async fn migrate(pods: &Pods, component: &str) -> Result<(), Failure> {
    let failed = || Failure::new(Reason::Registration, "cannot migrate the database again").on(component);
    let container = pods.others.get(component).ok_or_else(|| failed().because("its pod is not ready"))?;
    let command = container.init_commands().find(|command| command.iter().any(|word| word == MIGRATE));
    let command = command.ok_or_else(|| failed().because("its pod migrates nothing"))?;
    let words: Vec<_> = ["env", ELSEWHERE].into_iter().chain(command.iter().map(String::as_str)).collect();
    container.run(&words, |_| Ok(())).await.map_err(|error| failed().caused_by(error))
}
