//! The stages in order, and what is done when there is a sandbox already, or when a stage fails.
//!
//! | file | what |
//! |---|---|
//! | `outcome.rs` | how a command is to go about its work, and how it went |
//! | `prepare.rs` | from a spec and manifests to a plan with keys |
//! | `up.rs` | from a sandbox in any state to a proven one |
//! | `bring.rs` | from what preflight found to a proven sandbox |
//! | `spare.rs` | sandboxes made ahead, and frozen, for the next `up` |
//! | `converge.rs` | objects to the API wave by wave, until all are ready |
//! | `admin.rs` | requests to flyteadmin through the Kubernetes API's proxy |
//! | `registration.rs` | admin's list of projects, brought to what the spec says |
//! | `migration.rs` | admin's and datacatalog's database, migrated again where it lacks tables |
//! | `task_resources.rs` | what tasks get that name no resources, by project, as admin has it |
//! | `tables.rs` | the tables of Flyte's databases: recorded, compared, and made again |
//! | `lacking.rs` | what is in no object and not as the spec says: projects, tables and buckets |
//! | `storage.rs` | what each project has in the object store, brought to what the spec says |
//! | `verify.rs` | the checks that a sandbox is what it should be |
//! | `rollback.rs` | what a failed `up` leaves to read, and what it takes back |
//! | `change.rs` | a change to the spec of a sandbox that runs |
//! | `projects.rs` | projects that come and go while the sandbox runs |
//! | `retention.rs` | projects and domains that a sandbox has and the spec lacks: kept, or removed |
//! | `renewal.rs` | keys that somebody else issues |
//! | `compare.rs` | what `up` would do to a sandbox that runs |
//! | `doctor.rs` | the checks before an `up`, alone |
//! | `status.rs` | the state of a sandbox, as data |
//! | `sight.rs` | a sandbox that runs, as it is seen without its spec |
//! | `restart.rs` | pods that are replaced although the plan has them as they are |
//! | `outdated.rs` | workloads whose pods run an image that was built again since |
//! | `observed.rs` | what pods say, as far as that holds since the node started |
//! | `diagnose.rs` | the evidence of a sandbox in any state |
//! | `down.rs` | removal |
//! | `backup.rs` | a sandbox's data, saved to a file |
//! | `restore.rs` | saved data, loaded into a sandbox that has none |
//! | `execution.rs` | an execution that a user starts, and its way to the end |
//! | `lost.rs` | executions whose workflow went with its node, aborted |
//! | `database.rs` | the content of Postgres, by its own programs |
//! | `reset.rs` | a sandbox as after its first proof: what was put into it is gone |
//! | `snapshot.rs` | data as it is at one moment, kept under a name, and sandboxes that begin with it |
//! | `halt.rs` | a sandbox halted, and brought back |
//! | `gc.rs` | removal of all whose time limit has passed |
//! | `swept.rs` | one thing that `gc` looks at, and its removal |
//! | `half_copies.rs` | half copies of data that killed runs left |
//! | `idle.rs` | sandboxes in which nothing runs |
//! | `images.rs` | a sandbox's images, without the sandbox |

mod admin;
mod backup;
mod bring;
mod change;
mod compare;
mod converge;
mod database;
mod diagnose;
mod doctor;
mod down;
mod execution;
mod gc;
mod half_copies;
mod halt;
mod idle;
mod images;
mod lacking;
mod lost;
mod migration;
mod observed;
mod outcome;
mod outdated;
mod prepare;
mod projects;
mod registration;
mod renewal;
mod reset;
mod restart;
mod restore;
mod retention;
mod rollback;
mod sight;
mod snapshot;
mod spare;
mod status;
mod storage;
mod swept;
mod tables;
mod task_resources;
mod up;
mod verify;

pub use backup::backup;
pub use compare::{Comparison, compare};
pub use converge::{Prerequisites, UnderWay, apply_prerequisites, roll_out};
pub use diagnose::{Diagnosis, diagnose};
pub use doctor::doctor;
pub use down::down;
pub use execution::{HeldBack, launch, watch};
pub use gc::{Sweep, gc};
pub use halt::{start, stop};
pub use images::{bundle, import, load, pull, rebuilt};
pub use observed::Restart;
pub use outcome::{Done, Options};
pub use outdated::Outdated;
pub use prepare::{Request, render_first};
pub use projects::{ProjectState, add_project, projects, remove_project};
pub use renewal::renew_keys;
pub use reset::reset;
pub use retention::{Leaving, Place, Prune, Removal, follow_running};
pub use sight::{Sight, newest_executions, sight};
pub use snapshot::{SavedSnapshot, remove_snapshot, save_snapshot, snapshot, snapshots};
pub use spare::{has_spare, leaves_spare, make_spare};
pub use status::{Phase, SpecState, Status, status};
pub use swept::{Fate, Swept};
pub use up::up;
pub use verify::smoke;
