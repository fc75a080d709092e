//! The views, on a thread of their own: a reader that stalls holds up nothing but what it reads.

use std::io;
use std::thread;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::limits::{PRINT_GRACE, READER_GRACE};
use crate::report::{self, Event, View};

/// What cannot be done where standard output takes nothing.
pub(super) const UNWRITABLE: &str = "cannot write to standard output";

/// Views under way.
#[derive(Debug)]
pub(super) struct Display(oneshot::Receiver<io::Result<()>>);

/// How showing a run's events ended.
#[derive(Debug)]
pub(super) enum Shown {
    /// All of them were shown, or whoever read them went away.
    Whole,
    /// A view could not be written.
    Failed(io::Error),
    /// A reader stalled until the run was cancelled or timed out.
    Stalled,
}

impl Display {
    /// Shows events until the last [`report::Reporter`] is gone.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(events: UnboundedReceiver<Event>, views: Vec<Box<dyn View>>) -> Result<Self, Failure> {
        let failed = |error| Failure::new(Reason::Internal, "cannot start the runtime").because(error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let (sender, shown) = oneshot::channel();
        let show = move || drop(sender.send(runtime.block_on(report::drive(events, views))));
        thread::Builder::new().name("views".to_owned()).spawn(show).map_err(failed)?;
        Ok(Self(shown))
    }

    /// Waits until everything is shown; where the run is asked to end, not for long.
    pub(super) async fn finish(self, cancel: &CancellationToken, deadline: Deadline) -> Shown {
        let asked_to_end = async {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = deadline.passed() => {}
            }
            tokio::time::sleep(READER_GRACE).await;
        };
        tokio::select! {
            biased;
            shown = self.0 => match shown {
                Ok(Ok(())) => Shown::Whole,
                Ok(Err(error)) => Shown::Failed(error),
                Err(_) => Shown::Failed(io::Error::other("a view ended too early")),
            },
            () = asked_to_end => Shown::Stalled,
        }
    }
}

/// Writes to standard output on a thread of its own, until `cancel`; whether anybody still reads it.
///
/// # Errors
/// What standard output says; a reader that went away is not an error. [`Reason::Interrupted`].
pub(super) async fn print(text: String, cancel: &CancellationToken) -> Result<bool, Failure> {
    let write = move || {
        use std::io::Write;
        let mut out = io::stdout().lock();
        let line_end = if text.ends_with('\n') { "" } else { "\n" };
        write!(out, "{text}{line_end}").and_then(|()| out.flush())
    };
    let written = tokio::select! {
        biased;
        written = crate::run::on_thread(write) => written?,
        () = stalled(cancel) => return Err(Failure::new(Reason::Interrupted, "stopped on request")),
    };
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(Reason::ReportUnwritable, UNWRITABLE).because(error)),
    }
}

async fn stalled(cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(PRINT_GRACE).await;
}
