//! Waits of the tests, each with an end.

use std::time::{Duration, Instant};

/// What takes longer hangs: on a machine that is not busy nothing that is waited for takes more than two seconds.
pub(crate) const HANG: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

/// What is there in the end, looked at again and again.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        match seen() {
            Some(seen) => return seen,
            None => assert!(started.elapsed() < HANG, "{what}: not within {HANG:?}"),
        }
        std::thread::sleep(PAUSE);
    }
}

/// As [`wait_for`], beside other work of the test's runtime.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < HANG, "{what}: not within {HANG:?}");
        tokio::time::sleep(PAUSE).await;
    }
}
