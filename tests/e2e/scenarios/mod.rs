//! The tests.
//!
//! | file | what |
//! |---|---|
//! | `life.rs` | from `up` to `down`, with all that comes between |
//! | `in_the_way.rs` | what is found before anything is touched |
//! | `bundle.rs` | images as one file |
//! | `interrupted.rs` | runs that are stopped, politely and not |
//! | `elsewhere.rs` | a daemon that is not at Docker's usual place |
//! | `expiry.rs` | sandboxes whose time is limited |
//! | `together.rs` | two sandboxes, and two runs on one |
//! | `failing.rs` | k3d, nodes and images that fail |
//! | `projects.rs` | projects that come and go while the sandbox runs |
//! | `manifests.rs` | manifests of others |
//! | `attached.rs` | an attached cluster |
//! | `spare.rs` | a sandbox that was made ahead, and is taken |
//! | `data.rs` | what users put into a sandbox, and what happens to sandboxes |
//! | `load.rs` | many executions at once on a small machine |
//! | `soak.rs` | random faults with workflows running, for as long as one likes |
//! | `backup.rs` | what is saved, and is there after a restore |
//! | `issued.rs` | keys that somebody else issues |
//! | `healed.rs` | what is broken in a sandbox that runs, and mended |
//! | `registry.rs` | images from a registry, as they come at times |
//! | `examples.rs` | the way from code to SUCCEEDED that examples/README.md tells |
//! | `pages.rs` | pages of runs, in a browser |
//! | `isolated.rs` | NetworkPolicies that a node enforces |
//! | `vm.rs` | Docker in a virtual machine, whose ports come late, linger, or never arrive |

mod attached;
mod backup;
mod bundle;
mod data;
mod elsewhere;
mod examples;
mod expiry;
mod failing;
mod healed;
mod in_the_way;
mod interrupted;
mod isolated;
mod issued;
mod life;
mod load;
mod manifests;
mod pages;
mod projects;
mod registry;
mod soak;
mod spare;
mod together;
mod vm;

/// What only runs when it is asked for.
pub(crate) const ON_REQUEST: [Scenario; 2] = [soak::SOAK, load::LOAD];

/// A test's name, which says what holds, and the test.
pub(crate) type Scenario = (&'static str, fn());

pub(crate) fn all() -> Vec<Scenario> {
    [
        life::SCENARIOS,
        in_the_way::SCENARIOS,
        interrupted::SCENARIOS,
        elsewhere::SCENARIOS,
        expiry::SCENARIOS,
        together::SCENARIOS,
        failing::SCENARIOS,
        projects::SCENARIOS,
        spare::SCENARIOS,
        manifests::SCENARIOS,
        attached::SCENARIOS,
        isolated::SCENARIOS,
        healed::SCENARIOS,
        issued::SCENARIOS,
        bundle::SCENARIOS,
        registry::SCENARIOS,
        data::SCENARIOS,
        backup::SCENARIOS,
        vm::SCENARIOS,
        pages::SCENARIOS,
    ]
    .concat()
}
