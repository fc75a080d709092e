//! Things that go wrong, and what must hold then: the failure has the right reason and exit code, its first cause is the
//! last line on the screen, there is evidence and a next step, nothing of ours is left and nothing of others was touched.
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
mod expected;
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

use std::time::Duration;

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

/// What an `up` of a sandbox that was fine says, once its node has these faults: all that takes long was done before, so
/// that a short deadline is one for the fault alone.
fn up_again(name: &str, faults: &Faults, more: &[&str]) -> Ran {
    let sandbox = Sandbox::failing(name, Failing::No);
    sandbox.up(&[]).exits(0);
    sandbox.spoil(faults);
    let ready = |status: &Ran| status.status.code() == Some(0);
    while !faults.pods.is_empty() && ready(&sandbox.run(&["status"])) {
        std::thread::sleep(LOOK);
    }
    let ran = sandbox.up(&[more, &["--timeout", "5s"]].concat());
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
    ran
}

fn plain(rows: &[Row]) -> Vec<Fault> {
    rows.iter().map(|(sentence, test)| fault(*sentence, *test)).collect()
}

fn fault(sentence: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Fault {
    (sentence.into(), Box::new(test))
}
