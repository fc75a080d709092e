//! The tests.
//!
//! | file | what |
//! |---|---|
//! | `life.rs` | from `up` to `down`, with all that comes between |

mod life;

/// A test's name, which says what holds, and the test.
pub(crate) type Scenario = (&'static str, fn());

pub(crate) fn all() -> Vec<Scenario> {
    [life::SCENARIOS].concat()
}
