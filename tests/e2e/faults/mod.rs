//! Things that go wrong, and what must hold then: the failure has the right reason and exit code, its first cause is the
//! last `because` on the screen and a next step its last line, there is evidence, nothing of ours is left and nothing of
//! others was touched.
//!
//! | file | what goes wrong |
//! |---|---|
//! | `expected.rs` | what must hold of a run that failed |
//! | `docker.rs` | the Docker daemon |
//! | `ports.rs` | ports of the host |
//! | `k3d.rs` | k3d |
//! | `images.rs` | pulls and imports |
//! | `node.rs` | the node's container and k3s in it |
//! | `api.rs` | the Kubernetes API |
//! | `pods.rs` | pods that do not become ready |
//! | `flyte.rs` | a Flyte that runs and is none |
//! | `host.rs` | homes, folders and streams |
//! | `input.rs` | what users give |
//! | `killed.rs` | runs that are stopped or killed in every stage, and runs in each other's way |
//! | `leftovers.rs` | what runs of another day left behind |

mod api;
mod docker;
pub(crate) mod expected;
mod flyte;
mod host;
mod images;
mod input;
mod k3d;
mod killed;
mod leftovers;
mod node;
mod pods;
mod ports;

use std::time::{Duration, Instant};

use expected::Expected;

use crate::standin::{Failing, Faults};
use crate::support::ran::Ran;
use crate::support::sandbox::Sandbox;

const LOOK: Duration = Duration::from_millis(50);

/// A scenario's sentence, and the scenario.
type Row = (&'static str, fn());

/// A test's name, and the test.
pub(crate) type Fault = (String, Box<dyn FnOnce() + Send>);

/// All of them, by groups: `fault_GROUP_SENTENCE`.
pub(crate) fn all() -> Vec<Fault> {
    let groups: [(&str, Vec<Fault>); 12] = [
        ("docker", plain(docker::ROWS)),
        ("ports", plain(ports::ROWS)),
        ("k3d", plain(k3d::ROWS)),
        ("images", images::all()),
        ("node", plain(node::ROWS)),
        ("api", api::all()),
        ("pods", pods::all()),
        ("flyte", flyte::all()),
        ("host", plain(host::ROWS)),
        ("input", input::all()),
        ("killed", killed::all()),
        ("leftovers", plain(leftovers::ROWS)),
    ];
    let named = |(group, faults): (&str, Vec<Fault>)| {
        let named = faults.into_iter().map(|(sentence, test)| (format!("fault_{group}_{sentence}"), test));
        named.collect::<Vec<_>>()
    };
    groups.into_iter().flat_map(named).collect()
}

/// A sandbox whose node has these faults from the start must fail so.
fn up_fails(name: &str, faults: Faults, expected: &Expected) -> Ran {
    let sandbox = Sandbox::faulty(name, faults);
    let ran = sandbox.up(&[]);
    expected.told_by(&ran);
    sandbox.assert_gone();
    ran
}

/// A sandbox that was fine must fail so, once its node has these faults: all that takes long was done before, so that a
/// short deadline is one for the fault alone.
fn up_fails_later(name: &str, faults: &Faults, more: &[&str], expected: &Expected) -> Ran {
    let sandbox = Sandbox::failing(name, Failing::No);
    let long = long_enough(&sandbox);
    sandbox.spoil(faults);
    let ready = |status: &Ran| status.status.code() == Some(0);
    while !faults.pods.is_empty() && ready(&sandbox.run(&["status"])) {
        std::thread::sleep(LOOK);
    }
    let ran = sandbox.up(&[more, &["--timeout", &long]].concat());
    expected.told_by(&ran);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
    ran
}

/// Brings the sandbox up well. The result is how long that took on this machine now, for an `up` that has less to do.
fn long_enough(sandbox: &Sandbox) -> String {
    let began = Instant::now();
    sandbox.up(&[]).exits(0);
    format!("{}s", began.elapsed().as_secs() + 1)
}

fn plain(rows: &[Row]) -> Vec<Fault> {
    rows.iter().map(|(sentence, test)| fault(*sentence, *test)).collect()
}

fn fault(sentence: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Fault {
    (sentence.into(), Box::new(test))
}
