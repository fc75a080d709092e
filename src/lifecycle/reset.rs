//! A sandbox as after its first proof: executions, registered code, objects and all that users put into it are gone, and its
//! components run on.
//!
//! What writes goes first: workflows and their pods, until their containers have ended. Then the databases and the buckets
//! are emptied, and the workflow namespaces are looked at once more: an execution that somebody began meanwhile is in one
//! and not in the other. What the spec wants is brought back as an `up` does, which also mends what a reset leaves that is
//! killed half way.

use futures::future::try_join_all;

use super::backup::postgres;
use super::converge;
use super::database::Database;
use super::halt::locked;
use super::outcome::Done;
use super::retention::Removal;
use super::storage;
use super::verify::verify_with_work;
use crate::failure::{Failure, Reason};
use crate::kubernetes::{Inventory, Sweep};
use crate::limits::{CHECKS_AFTER_UP, TABLES_EMPTIED};
use crate::report::{Outcome, Stage};
use crate::run::Run;
use crate::site::{self, Host, Running, Site};
use crate::smoke::{Executions, Target};

/// How often all is emptied, where somebody puts something in again meanwhile.
const ROUNDS: usize = 3;

/// Empties a sandbox that runs, and verifies it by its checks and workflows.
///
/// # Errors
/// There is no such sandbox, it does not run, it is a rehearsal, another run is busy with it, or the first stage's that
/// fails. What was emptied until then stays so; another reset or an `up` goes on from there.
pub async fn reset(name: &str, host: &Host, executions: Executions, run: &Run) -> Result<Done, Failure> {
    locked(name, "reset", host, begin_anew(name, host, executions, run)).await
}

async fn begin_anew(name: &str, host: &Host, executions: Executions, run: &Run) -> Result<Done, Failure> {
    let site = Site::resolve(name, None, host)?;
    if site.is_rehearsal() {
        return Err(Failure::new(Reason::Usage, "a rehearsal has no database to empty")
            .on(format!("sandbox {name}"))
            .hint(format!("`sandbox up --fresh --engine rehearsal --name {name}` begins it anew within a second")));
    }
    let Running { client, inventory, .. } = site.running().await?;
    run.stage(Stage::Reset, async {
        let summary = Box::pin(empty(&client, &inventory, run)).await?;
        Box::pin(converge::reconcile_settings(&client, &inventory.spec, &inventory, None, Removal::All, run)).await?;
        Ok(((), Outcome::Passed, summary))
    })
    .await?;
    let spec = &inventory.spec;
    verify_with_work(&Target { spec, client, budget: CHECKS_AFTER_UP, executions }, host, run).await?;
    run.report.emit(site::ready(spec, &host.state.sandbox(name)));
    Ok(Done::passed(format!("sandbox {name} is empty, and ready")))
}

/// Empties namespaces, databases and buckets, in this order.
async fn empty(client: &kube::Client, inventory: &Inventory, run: &Run) -> Result<String, Failure> {
    let spec = &inventory.spec;
    // Before anything is touched: on an existing cluster the user may lack the right to run commands in pods.
    let container = postgres(client, &spec.system_namespace()).await.map_err(unemptied)?;
    let database = Database(&container);
    let names = database.names().await.map_err(unemptied)?;
    let tables = async || {
        let all = try_join_all(names.iter().map(|name| database.empty(name)));
        let late = || Err(Failure::new(Reason::ResetFailed, "cannot empty the database").because("timed out"));
        let emptied = run.deadline.min(TABLES_EMPTIED).limit(run.unless_cancelled(all)).await;
        emptied.map_or_else(late, |emptied| emptied.map(|_| ()).map_err(unemptied))
    };
    let sweep = Sweep::of_workflow_namespaces(client, inventory).await?;
    let mut objects = sweep.run(run).await?;
    for _ in 0..ROUNDS {
        let ((), buckets) = tokio::try_join!(tables(), storage::empty(client, spec, run))?;
        let more = sweep.run(run).await?;
        objects += more;
        if more == 0 {
            return Ok(format!("{} databases and {buckets} buckets emptied, {objects} objects deleted", names.len()));
        }
    }
    Err(Failure::new(Reason::ResetFailed, "somebody puts something into the sandbox while it is emptied")
        .on(format!("sandbox {}", spec.name))
        .hint("end what starts executions or makes objects in it, and run `sandbox reset` again"))
}

fn unemptied(failure: Failure) -> Failure {
    match failure.reason {
        Reason::BackupFailed => Failure { reason: Reason::ResetFailed, ..failure },
        _ => failure,
    }
}
