//! Executions that had not ended when their node was removed, or when their backup was made: no FlyteWorkflow of theirs is
//! there any more, and admin would wait for their propeller's events for ever.

use std::time::SystemTime;

use kube::Client;
use serde_json::Value;

use super::admin::repeated;
use super::backup::postgres;
use super::database::Database;
use crate::failure::{Failure, Reason};
use crate::flyte::admin::Request;
use crate::report::Stage;
use crate::run::Run;
use crate::spec::Spec;

const CAUSE: &str = "it had not ended when its node was removed, and its workflow went with that";

/// Ends the executions that admin has as running, in a cluster in which no workflow can run yet, and warns of them; also
/// where the database cannot be asked for them.
///
/// # Errors
/// Admin does not answer, or refuses.
pub(super) async fn abort(client: &Client, spec: &Spec, run: &Run) -> Result<(), Failure> {
    let work = async {
        let mut aborted = 0;
        loop {
            let unfinished = match unfinished(client, spec).await {
                Ok(unfinished) => unfinished,
                Err(failure) => {
                    run.report.warn(format!("executions that nothing runs are not looked for: {failure}"));
                    break;
                }
            };
            if unfinished.is_empty() {
                break;
            }
            // One after another: admin v0.6.13 does not survive two first calls of a kind.
            for execution in unfinished {
                end(client, spec, &execution, run).await?;
                aborted += 1;
                run.report.progress(Stage::Rollout, format!("execution {execution}: aborted"));
            }
        }
        Ok::<u64, Failure>(aborted)
    };
    let aborted = run.unless_cancelled(work).await?;
    if aborted > 0 {
        run.report.warn(format!("{aborted} executions are aborted: they had not ended when their node was removed"));
    }
    Ok(())
}

/// Some of the executions that have not ended; none where all have.
async fn unfinished(client: &Client, spec: &Spec) -> Result<Vec<String>, Failure> {
    let container = postgres(client, &spec.system_namespace()).await?;
    let database = Database(&container);
    for name in database.names().await? {
        let some = database.some_unfinished(&name).await?;
        if !some.is_empty() {
            return Ok(some);
        }
    }
    Ok(Vec::new())
}

async fn end(client: &Client, spec: &Spec, execution: &str, run: &Run) -> Result<(), Failure> {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    for request in [Request::abort(execution, CAUSE), Request::aborted(execution, CAUSE, &now)] {
        repeated::<Value>(client, spec, &request, run).await.map_err(|error| {
            Failure::new(Reason::Registration, "cannot abort an execution that nothing runs")
                .on(format!("execution {execution}"))
                .because(error)
        })?;
    }
    Ok(())
}
