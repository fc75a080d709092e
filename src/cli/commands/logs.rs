//! `sandbox logs`

use clap::Args;

use crate::cli::session::{CommandError, Session};
use crate::kubernetes;
use crate::site;

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Such as flyteadmin, or flytepropeller-x-d-dev; without it, a list of what there is
    component: Option<String>,
    /// How many lines from the end
    #[arg(long, default_value_t = 100, value_name = "LINES")]
    tail: i64,
}

pub(in crate::cli) async fn run(session: &Session, args: &LogsArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let text = session
        .query(async {
            let running = site::running(&name, &session.host()).await?;
            let namespace = running.inventory.spec.system_namespace();
            match &args.component {
                Some(component) => kubernetes::logs(&running.client, &namespace, component, args.tail).await,
                None => {
                    let names = kubernetes::workloads(&running.client, &namespace).await?;
                    Ok(names.into_iter().collect::<Vec<_>>().join("\n"))
                }
            }
        })
        .await?;
    Ok(session.print(&text).await?)
}
