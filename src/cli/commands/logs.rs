//! `sandbox logs`

use crate::cli::args::Logs;
use crate::cli::session::{Ended, Session};
use crate::kubernetes;
use crate::site;

pub(in crate::cli) fn run(session: &Session, args: &Logs) -> Result<(), Ended> {
    let name = session.name()?;
    let text = session.block_on(async {
        let running = site::running(&name, &session.host()).await?;
        let namespace = running.inventory.spec.system_namespace();
        match &args.component {
            Some(component) => kubernetes::logs(&running.client, &namespace, component, args.tail).await,
            None => {
                let names = kubernetes::workloads(&running.client, &namespace).await?;
                Ok(names.into_iter().collect::<Vec<_>>().join("\n"))
            }
        }
    })?;
    Ok(session.print(&text)?)
}
