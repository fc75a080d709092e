//! `sandbox open`

use crate::cli::session::{CommandError, Session};
use crate::process;
use crate::site;

/// What opens a URL: of macOS; of Windows, from a Linux in WSL; of the desktops of Linux.
const OPENERS: &[&str] = if cfg!(target_os = "macos") { &["open"] } else { &["wslview", "xdg-open", "open"] };

pub(in crate::cli) async fn run(session: &Session) -> Result<(), CommandError> {
    let name = session.name().await?;
    let host = session.host();
    let spec = session.query(async { site::running(&name, &host).await }).await?.inventory.spec;
    let console = site::endpoints(&spec).into_iter().find(|endpoint| endpoint.name == "console");
    let url = console.map(|console| console.url).unwrap_or_default();
    session.print(&url).await?;
    // On an attached cluster it says how the console is reached.
    let is_url = !url.contains(' ');
    let opener = OPENERS.iter().find_map(|opener| process::find(opener, &host.variables)).filter(|_| is_url);
    let Some(opener) = opener else { return Ok(()) };
    let opened = session.query(async { process::foreground(&opener, &[url], &[]).await }).await?;
    if opened != 0 {
        session.warn([format!("`{}` cannot open a browser (exit code {opened})", opener.display())]);
    }
    Ok(())
}
