//! What every effect of a run shares: a voice, a deadline and a way to stop.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Reason};
use crate::report::{Outcome, Reporter, Stage};

/// The point in time after which a wait gives up.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `budget` from now.
    #[must_use]
    pub fn after(budget: Duration) -> Self {
        Self(Instant::now() + budget)
    }

    /// The time left, zero when it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The earlier of this deadline and `budget` from now.
    #[must_use]
    pub fn at_most(self, budget: Duration) -> Self {
        Self(self.0.min(Instant::now() + budget))
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
    /// The work's own failure, or [`Reason::Interrupted`].
    pub async fn unless_cancelled<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Failure::new(Reason::Interrupted, "stopped on request")),
            done = work => done,
        }
    }

    /// Does a stage's work, and says how it began and ended. The work returns its value and one line about it.
    ///
    /// # Errors
    /// The work's own failure, or [`Reason::Interrupted`].
    pub async fn stage<T>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<(T, Outcome, String), Failure>>,
    ) -> Result<T, Failure> {
        let timer = self.report.stage(stage);
        // On the heap: all stages within one another are more than some stacks have.
        match self.unless_cancelled(Box::pin(work)).await {
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
