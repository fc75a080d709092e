//! What every effect of a run shares: a voice, a deadline and a way to stop.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Reason};
use crate::report::{Outcome, Reporter, Stage};

/// The point in time after which a wait gives up, and what set it.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    set_by: Limit,
}

/// What sets a deadline.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// The whole run's time.
    Total(Duration),
    /// That of one wait in it.
    Own(Duration),
}

impl Deadline {
    /// The deadline of a whole run, `budget` from now.
    #[must_use]
    pub fn after(budget: Duration) -> Self {
        Self { at: Instant::now() + budget, set_by: Limit::Total(budget) }
    }

    /// The time left, zero when it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// The earlier of this deadline and `budget` from now.
    #[must_use]
    pub fn at_most(self, budget: Duration) -> Self {
        let own = Instant::now() + budget;
        if own < self.at { Self { at: own, set_by: Limit::Own(budget) } } else { self }
    }

    /// This deadline and `more`, for a wait that must not be the first to end where another one knows why.
    #[must_use]
    pub fn and(self, more: Duration) -> Self {
        Self { at: self.at + more, ..self }
    }

    /// Which time was over when it passed: the run's or the wait's own. Such as `the 5m for this are over`.
    #[must_use]
    pub fn over(self) -> String {
        match self.set_by {
            Limit::Total(budget) => format!("the run's {} are over (`--timeout`)", humantime::format_duration(budget)),
            Limit::Own(budget) => format!("the {} for this are over", humantime::format_duration(budget)),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_tells_whose_time_was_over() {
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        let short = Deadline::after(minute);
        for (deadline, over) in [
            (short, "the run's 1m are over (`--timeout`)"),
            (short.at_most(hour), "the run's 1m are over (`--timeout`)"),
            (Deadline::after(hour).at_most(minute), "the 1m for this are over"),
            (Deadline::after(hour).at_most(hour).at_most(minute), "the 1m for this are over"),
        ] {
            assert_eq!((deadline.remaining(), deadline.over().as_str()), (minute, over));
        }
        tokio::time::advance(hour).await;
        assert_eq!(short.remaining(), Duration::ZERO);
    }
}
