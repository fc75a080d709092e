//! SIGINT, SIGTERM and SIGHUP, on a thread that nothing else can hold up: the first signal cancels the run, the second
//! ends the process at once.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::deadline::{self, Deadline};
use crate::failure::Reason;
use crate::limits::{BLOCKED_GRACE, LAST_LINE};

/// How often both threads say that they run.
const TICK: Duration = Duration::from_millis(200);

/// The thread that watches signals and the deadline.
#[derive(Debug)]
pub(super) struct Watch {
    cancel: CancellationToken,
    deadline: Deadline,
    sandbox: OnceLock<String>,
    /// How often the command has been polled.
    polls: AtomicU64,
}

/// Why a command should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Signal,
    Deadline,
}

/// A command that has not noticed yet that it should end.
#[derive(Debug, Clone, Copy)]
struct Unnoticed {
    cause: Cause,
    polls: u64,
    since: Duration,
}

impl Watch {
    /// Starts the thread: `cancel` is what the first signal cancels.
    pub(super) fn start(cancel: CancellationToken, deadline: Deadline) -> Arc<Self> {
        let watch = Arc::new(Self { cancel, deadline, sandbox: OnceLock::new(), polls: AtomicU64::new(0) });
        let watcher = Arc::clone(&watch);
        let started = thread::Builder::new().name("signals".to_owned()).spawn(move || {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(watcher.watch()),
                Err(error) => tracing::warn!(%error, "signals cannot be watched"),
            }
        });
        if let Err(error) = started {
            tracing::warn!(%error, "signals cannot be watched");
        }
        watch
    }

    /// Says which sandbox the last line is about, should the process end at once.
    pub(super) fn works_on(&self, sandbox: &str) {
        let _ = self.sandbox.set(sandbox.to_owned());
    }

    /// Does the command's work, such that the thread sees whether something blocks it.
    pub(super) async fn supervise<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut beat = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = beat.tick() => self.polls.fetch_add(1, Ordering::Relaxed),
            };
        }
    }

    async fn watch(&self) {
        let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else {
            tracing::warn!("signals cannot be watched; an interrupt will leave the sandbox as it is");
            return;
        };
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_late = false;
        let mut unnoticed = None;
        loop {
            tokio::select! {
                biased;
                _ = interrupt.recv() => unnoticed = self.asked(unnoticed),
                _ = terminate.recv() => unnoticed = self.asked(unnoticed),
                _ = hangup.recv() => unnoticed = self.asked(unnoticed),
                _ = ticks.tick() => {
                    deadline::tick();
                    if !is_late && self.deadline.has_passed() {
                        is_late = true;
                        unnoticed = unnoticed.or_else(|| Some(self.unnoticed(Cause::Deadline)));
                    }
                    unnoticed = unnoticed.and_then(|unnoticed| self.look(unnoticed));
                }
            }
        }
    }

    /// The first signal cancels; the second ends the process.
    fn asked(&self, unnoticed: Option<Unnoticed>) -> Option<Unnoticed> {
        if self.cancel.is_cancelled() {
            self.leave(Cause::Signal);
        }
        self.cancel.cancel();
        unnoticed.or_else(|| Some(self.unnoticed(Cause::Signal)))
    }

    fn unnoticed(&self, cause: Cause) -> Unnoticed {
        Unnoticed { cause, polls: self.polls.load(Ordering::Relaxed), since: Duration::ZERO }
    }

    /// A command that something blocks is not waited for.
    fn look(&self, unnoticed: Unnoticed) -> Option<Unnoticed> {
        if self.polls.load(Ordering::Relaxed) != unnoticed.polls {
            return None;
        }
        let since = unnoticed.since + TICK;
        if since > BLOCKED_GRACE {
            self.leave(unnoticed.cause);
        }
        Some(Unnoticed { since, ..unnoticed })
    }

    /// Ends the process: the user asked twice, or something blocks the command.
    fn leave(&self, cause: Cause) -> ! {
        let (why, reason) = match cause {
            Cause::Signal => ("stopped at once".to_owned(), Reason::Interrupted),
            Cause::Deadline => (format!("stopped at once: {}", self.deadline.expired_message()), Reason::TimedOut),
        };
        let down = self.sandbox.get().map(|name| format!("; `sandbox down --name {name}` removes what is there"));
        let line = format!("\n{why}{}", down.unwrap_or_default());
        let (sender, written) = mpsc::channel();
        // A standard error that nobody reads must not hold the process back either.
        let _ = thread::Builder::new().spawn(move || {
            let _ = writeln!(std::io::stderr(), "{line}");
            let _ = sender.send(());
        });
        let _ = written.recv_timeout(LAST_LINE);
        std::process::exit(i32::from(reason.exit_code()))
    }
}
