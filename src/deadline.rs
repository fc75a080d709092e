//! Deadlines, on a clock that stands still while the process is stopped (Ctrl-Z, SIGSTOP).

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// The longest time between two ticks that counts in full; the process cannot have been running for the rest of it.
const LONGEST_TICK: Duration = Duration::from_secs(2);

/// Stands for a time that is too far away to be written down.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

static CLOCK: Mutex<Option<Clock>> = Mutex::new(None);

/// How long the process has been stopped, told by ticks that did not come.
#[derive(Debug, Clone, Copy)]
struct Clock {
    last_tick: Instant,
    stopped: Duration,
}

impl Clock {
    /// The time of `now`, less what the process spent stopped.
    fn at(self, now: Instant) -> Instant {
        let since_tick = now.saturating_duration_since(self.last_tick);
        let stopped = self.stopped + since_tick.saturating_sub(LONGEST_TICK);
        now.checked_sub(stopped).unwrap_or(now)
    }

    fn tick(self, now: Instant) -> Self {
        let since_tick = now.saturating_duration_since(self.last_tick);
        Self { last_tick: now, stopped: self.stopped + since_tick.saturating_sub(LONGEST_TICK) }
    }
}

/// Says that the process is running. Whoever calls it must do so several times a second from then on: time without a
/// tick is taken for time that the process was stopped.
pub fn tick() {
    let now = Instant::now();
    let mut clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    *clock = Some(clock.map_or(Clock { last_tick: now, stopped: Duration::ZERO }, |clock| clock.tick(now)));
}

/// The present time, less what the process spent stopped; where nobody ticks, that is not known.
fn now() -> Instant {
    let now = Instant::now();
    CLOCK.lock().unwrap_or_else(PoisonError::into_inner).map_or(now, |clock| clock.at(now))
}

/// When a wait gives up, and what set that.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    set_by: Origin,
}

/// What sets a deadline.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// `--timeout`, the time of the whole run.
    Flag(Duration),
    /// The limit of one wait.
    Limit(Duration),
}

impl Deadline {
    /// The deadline that `--timeout` sets for a whole run, `budget` from now.
    #[must_use]
    pub fn after(budget: Duration) -> Self {
        Self { at: from_now(budget), set_by: Origin::Flag(budget) }
    }

    /// A deadline that no flag sets, `limit` from now.
    #[must_use]
    pub fn fixed(limit: Duration) -> Self {
        Self { at: from_now(limit), set_by: Origin::Limit(limit) }
    }

    /// The time left; zero once the deadline has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(now())
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of this deadline and `limit` from now.
    #[must_use]
    pub fn min(self, limit: Duration) -> Self {
        let own = Self::fixed(limit);
        if own.at < self.at { own } else { self }
    }

    /// This deadline, `more` later: for a wait that must not end before another one that knows the cause.
    #[must_use]
    pub fn extended_by(self, more: Duration) -> Self {
        Self { at: self.at.checked_add(more).unwrap_or(self.at), ..self }
    }

    /// Ends when the deadline has passed.
    pub async fn passed(self) {
        // A timer does not know that the process was stopped, so it may ring too early.
        while !self.has_passed() {
            sleep(self.remaining()).await;
        }
    }

    /// Awaits `work`; nothing where the deadline passes first.
    pub async fn limit<T>(self, work: impl Future<Output = T>) -> Option<T> {
        // On the heap: limits within one another would be more than some stacks have.
        let mut work = Box::pin(work);
        loop {
            match timeout(self.remaining(), &mut work).await {
                Ok(done) => return Some(done),
                Err(_) if self.has_passed() => return None,
                Err(_) => {}
            }
        }
    }

    /// What a wait says that this deadline ended, such as `timed out after 5m, the limit of this wait`.
    #[must_use]
    pub fn expired_message(self) -> String {
        match self.set_by {
            Origin::Flag(budget) => format!("timed out after {} (`--timeout`)", humantime::format_duration(budget)),
            Origin::Limit(limit) => {
                format!("timed out after {}, the limit of this wait", humantime::format_duration(limit))
            }
        }
    }
}

fn from_now(time: Duration) -> Instant {
    let now = now();
    now.checked_add(time).unwrap_or_else(|| now + FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_deadline_says_which_limit_it_was() {
        let short = Deadline::after(MINUTE);
        for (deadline, message) in [
            (short, "timed out after 1m (`--timeout`)"),
            (short.min(HOUR), "timed out after 1m (`--timeout`)"),
            (Deadline::after(HOUR).min(MINUTE), "timed out after 1m, the limit of this wait"),
            (Deadline::after(HOUR).min(HOUR).min(MINUTE), "timed out after 1m, the limit of this wait"),
            (Deadline::fixed(MINUTE), "timed out after 1m, the limit of this wait"),
        ] {
            assert_eq!((deadline.remaining(), deadline.expired_message().as_str()), (MINUTE, message));
        }
        tokio::time::advance(HOUR).await;
        assert_eq!(short.remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_never_comes_is_only_far_away() {
        for never in [Duration::MAX, Duration::from_secs(u64::MAX)] {
            let deadline = Deadline::after(never).extended_by(never).min(never);
            assert!(deadline.remaining() > HOUR, "{:?}", deadline.remaining());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_before_the_deadline_or_not_at_all() {
        let deadline = Deadline::after(HOUR);
        assert_eq!(deadline.limit(sleep(MINUTE)).await, Some(()));
        assert_eq!(deadline.limit(std::future::pending::<()>()).await, None);
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }

    #[test]
    fn time_that_the_process_was_stopped_does_not_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let clock = Clock { last_tick: start, stopped: Duration::ZERO };
        assert_eq!(clock.at(at(1)), at(1));
        assert_eq!(clock.at(at(60)), at(2), "stopped, and nobody has ticked since");
        let clock = clock.tick(at(60));
        assert_eq!((clock.at(at(60)), clock.at(at(61))), (at(2), at(3)));
        let clock = clock.tick(at(61)).tick(at(80));
        assert_eq!(clock.at(at(81)), at(6));
    }
}
