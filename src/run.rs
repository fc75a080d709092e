//! What every effect of a run shares: a voice, a deadline and a way to stop.

use std::future::Future;
use std::pin::Pin;

use futures::future::{Either, select};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::limits::STAGE_GRACE;
use crate::report::{Outcome, Reporter, Stage};

/// Does work that blocks, such as reading a file that may be a FIFO, on a thread that nobody has to wait for: the future
/// may be dropped, and the process may end.
///
/// # Errors
/// The thread cannot be started, or panicked.
pub async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let (sender, done) = oneshot::channel();
    let failed = |error: &dyn std::fmt::Display| Failure::new(Reason::Internal, "a thread failed").because(error);
    std::thread::Builder::new().spawn(move || drop(sender.send(work()))).map_err(|error| failed(&error))?;
    done.await.map_err(|error| failed(&error))
}

/// Does `more` beside `first`, and gives it up where `first` says that it is of no use.
pub async fn beside<A, B>(first: impl Future<Output = (A, bool)>, more: impl Future<Output = B>) -> (A, Option<B>) {
    let (first, more) = (std::pin::pin!(first), std::pin::pin!(more));
    match select(first, more).await {
        Either::Left(((found, true), more)) => (found, Some(more.await)),
        Either::Left(((found, false), _)) => (found, None),
        Either::Right((more, first)) => {
            let (found, is_useful) = first.await;
            (found, is_useful.then_some(more))
        }
    }
}

/// The user's interrupt, which ended some work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped on request")]
pub struct Interrupted;

impl From<Interrupted> for Failure {
    fn from(interrupted: Interrupted) -> Self {
        Self::new(Reason::Interrupted, interrupted.to_string())
    }
}

/// Handed to every effect.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where events go.
    pub report: Reporter,
    /// When the whole run gives up.
    pub deadline: Deadline,
    /// Cancelled by the user's interrupt.
    pub cancel: CancellationToken,
}

impl Run {
    /// Awaits `work`, unless the user interrupts it.
    ///
    /// # Errors
    /// The work's own, or [`Interrupted`].
    pub async fn unless_cancelled<T, E: From<Interrupted>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Interrupted.into()),
            done = work => done,
        }
    }

    /// Does a stage's work until the run's deadline, and reports how it began and ended. The work returns its value and
    /// a line about it.
    ///
    /// # Errors
    /// The work's own failure, [`Reason::Interrupted`], or [`Reason::TimedOut`].
    pub async fn stage<T>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<(T, Outcome, String), Failure>>,
    ) -> Result<T, Failure> {
        // On the heap: all stages within one another are more than some stacks have.
        self.stage_within(stage, self.deadline, Box::pin(work)).await
    }

    /// A stage with a deadline of its own.
    ///
    /// # Errors
    /// As [`Run::stage`].
    pub async fn stage_within<T>(
        &self,
        stage: Stage,
        deadline: Deadline,
        work: Pin<Box<impl Future<Output = Result<(T, Outcome, String), Failure>>>>,
    ) -> Result<T, Failure> {
        let timer = self.report.stage(stage);
        // The work's own waits end at the deadline, and know more than this one does.
        let last = deadline.extended_by(STAGE_GRACE);
        let done = last.limit(self.unless_cancelled(work)).await;
        let done = done.unwrap_or_else(|| {
            Err(Failure::new(Reason::TimedOut, format!("stage {} timed out", stage.title()))
                .because(deadline.expired_message()))
        });
        match done {
            Ok((value, outcome, summary)) => {
                timer.finish(outcome, summary);
                Ok(value)
            }
            Err(failure) => {
                timer.finish(Outcome::Failed, failure.what.clone());
                Err(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn run(budget: Duration) -> Run {
        let (report, _) = Reporter::channel();
        Run { report, deadline: Deadline::after(budget), cancel: CancellationToken::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stage_that_awaits_what_never_answers_ends_with_the_run() {
        let run = run(Duration::from_secs(60));
        let silent = run.stage(Stage::Smoke, std::future::pending::<Result<((), Outcome, String), Failure>>());
        let failure = silent.await.expect_err("no answer");
        assert_eq!(
            (failure.reason, failure.what.as_str(), failure.causes),
            (Reason::TimedOut, "stage smoke timed out", vec!["timed out after 1m (`--timeout`)".to_owned()])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_of_no_use_is_not_waited_for_and_counts_for_nothing() {
        let after = async |millis, value: (char, bool)| {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            value
        };
        for (first, more) in [(1, 2), (2, 1)] {
            let began = tokio::time::Instant::now();
            assert_eq!(beside(after(first, ('a', true)), after(more, ('b', true))).await, ('a', Some(('b', true))));
            assert_eq!(began.elapsed(), Duration::from_millis(2), "at once");
            assert_eq!(beside(after(first, ('a', false)), after(more, ('b', true))).await, ('a', None));
        }
        assert_eq!(beside(after(1, ('a', false)), std::future::pending::<()>()).await, ('a', None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_within_the_stage_explains_first() {
        let run = run(Duration::from_secs(60));
        let own = async {
            run.deadline.passed().await;
            Err::<((), Outcome, String), _>(Failure::new(Reason::RolloutTimeout, "not ready"))
        };
        assert_eq!(run.stage(Stage::Rollout, own).await.expect_err("late").reason, Reason::RolloutTimeout);
    }
}
