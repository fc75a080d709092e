//! SIGINT, SIGTERM and SIGHUP: the first stops the run, which undoes what it made; the second leaves at once.

use std::io::Write;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `cancel` at the first signal; at the second leaves the process, saying how to clean up.
pub(super) async fn watch(cancel: CancellationToken, sandbox: String) {
    let watched = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = watched else {
        tracing::warn!("signals cannot be watched; an interrupt will leave the sandbox as it is");
        return;
    };
    for first in [true, false] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
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

/// Ends at the first SIGTERM.
pub(super) async fn terminated() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => drop(terminate.recv().await),
        Err(_) => std::future::pending().await,
    }
}
