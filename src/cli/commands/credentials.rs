//! `sandbox credentials`

use serde_json::json;

use crate::cli::args::{Credentials, Output};
use crate::cli::session::{Ended, Session};
use crate::lifecycle::Running;

/// The only place that shows a secret: who asks for it by this command wants to see it.
pub(in crate::cli) fn run(session: &Session, _: &Credentials) -> Result<(), Ended> {
    let name = session.name()?;
    let storage = session.block_on(async { Running::find(&name, &session.host()).await })?.inventory.spec.storage;
    let (access, secret) = (storage.access_key.as_str(), storage.secret_key.expose());
    match session.output() {
        Output::Json => session.print_json(&json!({"minio": {"accessKey": access, "secretKey": secret}}))?,
        Output::Human => session.print(&format!("minio access key  {access}\nminio secret key  {secret}"))?,
    }
    Ok(())
}
