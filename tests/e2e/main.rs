//! The real binary against a real Docker Engine.
//!
//! With real k3d and real images where the machine has them, and else with stand-ins, which are this very program under
//! other names: see `standin/`. Nothing is skipped; every test says first what was real.
//!
//! | folder | what |
//! |---|---|
//! | `support/` | what the machine has, and one sandbox to drive, with a guard that leaves nothing behind |
//! | `standin/` | k3d, a k3s node and a Flyte that only look like it |
//! | `scenarios/` | a sandbox's life, with the real thing where it is to be had |
//! | `faults/` | what goes wrong, all on stand-ins: `scripts/faults` runs them alone |

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what was real is told, and stand-ins talk as programs do"
)]

mod faults;
mod scenarios;
mod standin;
mod support;

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let called = std::env::args().next().unwrap_or_default();
    let name = Path::new(&called).file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if let Some(code) = standin::play(&name) {
        return code;
    }
    let scenarios = scenarios::all().into_iter().map(|(name, test)| (name.to_owned(), Box::new(test) as Box<_>));
    let trials = scenarios.chain(faults::all()).map(|(name, test): faults::Fault| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    let on_request = scenarios::ON_REQUEST.into_iter().map(|(name, test)| {
        let trial = Trial::test(name, move || {
            test();
            Ok(())
        });
        trial.with_ignored_flag(true)
    });
    let trials = trials.chain(on_request);
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let ended = libtest_mimic::run(&arguments, trials.collect());
    support::images::remove();
    ended.exit_code()
}
