//! The cluster that a sandbox is on: a node of its own in Docker, namespaces of an existing cluster, or a simulated
//! cluster. What the stages need of it they ask here, and nowhere which of the three it is.
//!
//! | file | what |
//! |---|---|
//! | `host.rs` | the machine that sandboxes are made on |
//! | `location.rs` | where a sandbox is: as the spec asks for, as the state folder records |
//! | `ground.rs` | what preflight found, and what is then made, watched and taken back |
//! | `node.rs` | a node in Docker |
//! | `node_images.rs` | its images |
//! | `attached.rs` | namespaces of an existing cluster |
//! | `rehearsal.rs` | a simulated cluster |
//! | `process.rs` | the process that simulates it |
//! | `listing.rs` | every sandbox of the machine |
//! | `spare.rs` | the record of a spare in the state folder |
//! | `running.rs` | a sandbox that runs: access and inventory |
//! | `state.rs` | the state of a sandbox's cluster |
//! | `endpoints.rs` | its URLs, and the `kubectl` line |
//! | `evidence.rs` | what can be asked for its evidence |
//! | `retire.rs` | the end of workflow namespaces |
//! | `withdraw.rs` | removal from namespaces that stay |

mod attached;
mod endpoints;
mod evidence;
mod ground;
mod host;
mod listing;
mod location;
mod node;
mod node_images;
mod process;
mod rehearsal;
pub(crate) mod retire;
mod running;
mod spare;
mod state;
mod withdraw;

use std::collections::BTreeSet;
use std::path::Path;

pub use endpoints::{endpoints, ready};
pub use evidence::EvidenceSources;
pub use ground::Ground;
pub use host::{Clients, Host};
pub use listing::{ListedSandbox, Listing, SandboxState, changed, list};
pub use location::Location;
pub use node_images::{loaded, required};
pub use running::Running;
pub use spare::SpareRecord;
pub use state::{Halt, Overview, Phase, Resumed, Standing, Stopped};

use crate::cluster::Data;
use crate::docker::Docker;
use crate::failure::{Failure, Reason};
use crate::manifest::ImageRef;
use crate::plan::{Plan, node_name};
use crate::rehearsal::{BANNER, Faults};
use crate::report::{Event, Outcome, Stage};
use crate::run::Run;
use crate::spec::Spec;
use attached::AttachedSite;
use node::NodeSite;
use rehearsal::RehearsalSite;

/// The cluster that a sandbox is on.
pub enum Site<'a> {
    /// A node in Docker.
    Node(NodeSite<'a>),
    /// Namespaces of an existing cluster.
    Attached(AttachedSite<'a>),
    /// A simulated cluster.
    Rehearsal(RehearsalSite<'a>),
}

impl<'a> Site<'a> {
    /// The site of the sandbox of this name: where the state folder records it, else where it is `wanted`, else Docker.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn resolve(name: &str, wanted: Option<Location>, host: &'a Host) -> Result<Self, Failure> {
        let location = Location::recorded(name, host)?.or(wanted).unwrap_or(Location::Node);
        Ok(Self::at(location, name, host))
    }

    /// The site of the sandbox that a spec describes, to make or change it.
    ///
    /// # Errors
    /// [`Reason::SandboxDiffers`]: it is somewhere else already.
    pub fn of(spec: &Spec, host: &'a Host) -> Result<Self, Failure> {
        Ok(Self::at(Location::to_use(spec, host)?, &spec.name, host))
    }

    /// The site of a spare, whose cluster has this name.
    #[must_use]
    pub fn of_spare(cluster: &str, host: &'a Host) -> Self {
        Self::at(Location::Node, cluster, host)
    }

    fn at(location: Location, name: &str, host: &'a Host) -> Self {
        let name = name.to_owned();
        match location {
            Location::Node => Self::Node(NodeSite { name, host }),
            Location::Attached(location) => Self::Attached(AttachedSite { name, host, location }),
            Location::Rehearsal => Self::Rehearsal(RehearsalSite::find(&name, host)),
        }
    }

    /// Whether nothing of Flyte runs there.
    #[must_use]
    pub const fn is_rehearsal(&self) -> bool {
        matches!(self, Self::Rehearsal(_))
    }

    /// Marks the run as a rehearsal on every view, where it is one.
    pub fn announce(&self, run: &Run) {
        if self.is_rehearsal() {
            run.report.emit(Event::Rehearsal { message: BANNER.to_owned() });
        }
    }

    /// A summary as the user reads it: that of a rehearsal is marked.
    #[must_use]
    pub fn marked(&self, summary: String) -> String {
        if self.is_rehearsal() { format!("REHEARSAL: {summary}") } else { summary }
    }

    /// Checks all that could stand in the way of a plan, or with `fresh` of one for a sandbox in the place of the one
    /// there is. `scratch` is a folder for other programs' files.
    ///
    /// # Errors
    /// Something is in the way, or cannot be asked.
    pub async fn preflight(
        self,
        plan: &Plan,
        fresh: bool,
        faults: &Faults,
        scratch: &Path,
        run: &Run,
    ) -> Result<(Ground<'a>, Outcome, String), Failure> {
        Ok(match self {
            Self::Node(site) => {
                let (ground, outcome, summary) = Box::pin(site.preflight(plan, fresh, scratch, run)).await?;
                (Ground::Node(ground), outcome, summary)
            }
            Self::Attached(site) => {
                let (ground, outcome, summary) = Box::pin(site.preflight(plan, run)).await?;
                (Ground::Attached(Box::new(ground)), outcome, summary)
            }
            Self::Rehearsal(site) => {
                let (ground, outcome, summary) = site.preflight(plan, fresh, faults, run)?;
                (Ground::Rehearsal(ground), outcome, summary)
            }
        })
    }

    /// Checks the rights that a changed plan needs, where they are not an administrator's.
    ///
    /// # Errors
    /// One is missing.
    pub async fn check_rights(self, plan: &Plan, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Attached(site) => run.stage(Stage::Preflight, site.preflight(plan, run)).await.map(|_| ()),
            Self::Node(_) | Self::Rehearsal(_) => Ok(()),
        }
    }

    /// The sandbox that runs there.
    ///
    /// # Errors
    /// [`Reason::NotFound`]: none does.
    pub async fn running(&self) -> Result<Running, Failure> {
        match self {
            Self::Node(site) => site.running().await,
            Self::Attached(site) => site.running().await,
            Self::Rehearsal(site) => site.running().await,
        }
    }

    /// Docker, and the container of the node that runs there.
    ///
    /// # Errors
    /// [`Reason::NotFound`]: none runs; [`Reason::Usage`]: the sandbox has no node of its own.
    pub async fn node(&self) -> Result<(Docker, String), Failure> {
        match self {
            Self::Node(site) => {
                let docker = site.host.docker().await?;
                let cluster = site.cluster(&docker).await?;
                site.running_on(&docker, &cluster).await?;
                Ok((docker, node_name(&cluster)))
            }
            Self::Rehearsal(_) => Err(Failure::new(Reason::Usage, "a rehearsal has no node that images could be in")),
            Self::Attached(_) => {
                Err(Failure::new(Reason::Usage, "the nodes of an existing cluster are not the sandbox's")
                    .hint("push the image to a registry that the cluster pulls from"))
            }
        }
    }

    /// The sandbox from outside, in any state.
    ///
    /// # Errors
    /// Docker or the attached cluster does not answer.
    pub async fn overview(&self) -> Result<Overview, Failure> {
        match self {
            Self::Node(site) => site.overview().await,
            Self::Attached(site) => site.overview().await,
            Self::Rehearsal(site) => site.overview().await,
        }
    }

    /// Those of these images, each with the digest that a pod runs, that the cluster would have another one for by now.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn outdated(
        &self,
        running: BTreeSet<(ImageRef, String)>,
    ) -> Result<BTreeSet<(ImageRef, String)>, Failure> {
        match self {
            Self::Node(site) => site.outdated(running).await,
            Self::Attached(_) | Self::Rehearsal(_) => Ok(BTreeSet::new()),
        }
    }

    /// Halts the sandbox's node.
    ///
    /// # Errors
    /// [`Reason::NotFound`]: there is none; [`Reason::Usage`]: it has no node of its
    /// own.
    pub async fn stop(&self, how: Halt) -> Result<Stopped, Failure> {
        match self {
            Self::Node(site) => site.stop(how).await,
            Self::Attached(_) | Self::Rehearsal(_) => {
                Err(Failure::new(Reason::Usage, "only a sandbox in Docker can be stopped")
                    .hint("`sandbox down` ends a rehearsal, and one on an existing cluster"))
            }
        }
    }

    /// Lets a halted sandbox run again, until its API answers and pods can run.
    ///
    /// # Errors
    /// [`Reason::NotFound`]: there is none; the node does not come up.
    pub async fn resume(&self, run: &Run) -> Result<Resumed, Failure> {
        match self {
            Self::Node(site) => site.resume(run).await,
            Self::Attached(_) | Self::Rehearsal(_) => {
                Ok(Resumed { running: self.running().await?, was: None, node_started: None })
            }
        }
    }

    /// Removes all of the sandbox but its state folder and data that is to be kept, and says what that was; absent where
    /// there was nothing.
    /// `is_recorded` is whether the state folder knows of it.
    ///
    /// # Errors
    /// What could not be removed, or that it cannot be told whether there is anything.
    pub async fn remove(&self, is_recorded: bool, data: Data, run: &Run) -> Result<Option<String>, Failure> {
        match self {
            Self::Node(site) => site.remove(is_recorded, data, run).await,
            Self::Attached(site) => site.remove(run).await,
            Self::Rehearsal(site) => site.remove().await,
        }
    }

    /// What can be asked about the sandbox for its evidence; absent where there is nothing of it.
    ///
    /// # Errors
    /// The attached cluster cannot be used.
    pub async fn evidence(self, plan: Option<&Plan>, run: &Run) -> Result<Option<EvidenceSources>, Failure> {
        Ok(match self {
            Self::Node(site) => site.evidence(plan, run).await,
            Self::Attached(site) => Some(site.evidence(plan).await?),
            Self::Rehearsal(site) => site.evidence().await,
        })
    }
}

/// The sandbox of this name that runs.
///
/// # Errors
/// [`Reason::NotFound`] when there is none that runs, or when its first `up` never ended; [`Reason::Locked`] where another
/// run is busy with it meanwhile.
pub async fn running(name: &str, host: &Host) -> Result<Running, Failure> {
    let state = host.state.sandbox(name);
    let busy = state.busy();
    let running = Site::resolve(name, None, host)?.running().await;
    running.map_err(|failure| match busy.or_else(|| state.busy()) {
        Some(holder) => state.held(Some(&holder)),
        None => failure,
    })
}
