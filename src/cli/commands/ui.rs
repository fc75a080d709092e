//! `sandbox ui`

use serde_json::json;

use crate::cli::args::Output;
use crate::cli::session::{CommandError, Session};
use crate::ui::Ui;

pub(in crate::cli) async fn run(session: &Session) -> Result<(), CommandError> {
    let ui = Ui::bind(session.host()).await?;
    match session.output() {
        Output::Json => session.print_json(&json!({"url": ui.url()})).await?,
        Output::Human => {
            session.print(&format!("{}\nit shows, and changes nothing; Ctrl-C ends it\n", ui.url())).await?
        }
    }
    serve(session, ui).await
}

/// Serves the page until Ctrl-C, which is how it ends well.
pub(super) async fn serve(session: &Session, ui: Ui) -> Result<(), CommandError> {
    tokio::select! {
        () = session.cancelled() => Ok(()),
        served = Box::pin(ui.serve()) => served.map_err(CommandError::from),
    }
}
