//! SIGINT and SIGTERM: the first stops the run, which undoes what it made; the second leaves at once.

use std::io::Write;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `cancel` at the first signal; at the second leaves the process, saying how to clean up.
pub(super) async fn watch(cancel: CancellationToken, sandbox: String) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("signals cannot be watched; an interrupt will leave the sandbox as it is");
        return;
    };
    for first in [true, false] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if first {
            cancel.cancel();
        } else {
            leave(&sandbox);
        }
    }
}

#[expect(clippy::exit, reason = "the user asked twice: nothing may hold the process back")]
fn leave(sandbox: &str) {
    let _ = writeln!(std::io::stderr(), "\nleft at once; `sandbox down --name {sandbox}` removes what is there");
    std::process::exit(130);
}
