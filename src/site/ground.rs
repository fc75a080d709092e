//! What preflight found on a site, and what is then made there, watched and taken back.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kube::Client;

use super::attached::AttachedGround;
use super::evidence::EvidenceSources;
use super::node::NodeGround;
use super::rehearsal::RehearsalGround;
use super::running::Running;
use super::state::Standing;
use crate::cluster;
use crate::docker::Docker;
use crate::failure::Failure;
use crate::images::Arrivals;
use crate::manifest::ImageRef;
use crate::plan::Plan;
use crate::run::Run;

/// What preflight found to make or to use.
pub enum Ground<'a> {
    /// A node in Docker.
    Node(NodeGround<'a>),
    /// Namespaces of an existing cluster.
    Attached(Box<AttachedGround<'a>>),
    /// A simulated cluster.
    Rehearsal(RehearsalGround<'a>),
}

impl Ground<'_> {
    /// Whether there was no sandbox before, so that this run may take away what it makes.
    #[must_use]
    pub fn is_new(&self) -> bool {
        match self {
            Self::Node(ground) => ground.is_new(),
            Self::Attached(ground) => ground.is_new(),
            Self::Rehearsal(ground) => ground.is_new(),
        }
    }

    /// Whether users' data is there: a sandbox, or what one left.
    #[must_use]
    pub fn has_data(&self) -> bool {
        match self {
            Self::Node(ground) => ground.has_data(),
            Self::Attached(_) | Self::Rehearsal(_) => !self.is_new(),
        }
    }

    /// Whether this run took a spare.
    #[must_use]
    pub fn is_spare(&self) -> bool {
        matches!(self, Self::Node(ground) if ground.is_spare())
    }

    /// Docker, where the sandbox is on it.
    #[must_use]
    pub fn docker(&self) -> Option<&Docker> {
        if let Self::Node(ground) = self { Some(ground.docker()) } else { None }
    }

    /// Leaves the cluster that the sandbox took, where its node was removed by somebody.
    ///
    /// # Errors
    /// Docker does not answer, or the data cannot be copied.
    pub async fn come_home(&mut self, run: &Run) -> Result<(), Failure> {
        if let Self::Node(ground) = self { ground.come_home(run).await } else { Ok(()) }
    }

    /// Makes a spare the sandbox's. Only one in Docker has any.
    ///
    /// # Errors
    /// A port that was taken since it was found free; Docker does not take it.
    pub async fn take_spare(&mut self, plan: &Plan, spare: &str) -> Result<(), Failure> {
        if let Self::Node(ground) = self { ground.take_spare(plan, spare).await } else { Ok(()) }
    }

    /// Has a sandbox that is yet to be made begin with the data of a snapshot. Only one in Docker does.
    pub fn begin_with(&mut self, snapshot: &str) {
        if let Self::Node(ground) = self {
            ground.begin_with(snapshot);
        }
    }

    /// Removes the sandbox that is there, and its data or what is kept of an earlier one's, so that this one is new; absent
    /// where there was nothing.
    ///
    /// # Errors
    /// What could not be removed.
    pub async fn clear(&mut self, run: &Run) -> Result<Option<String>, Failure> {
        match self {
            Self::Node(ground) => ground.clear().await,
            Self::Attached(ground) => ground.clear(run).await,
            Self::Rehearsal(ground) => ground.clear().await,
        }
    }

    /// A summary as the user reads it: that of a rehearsal is marked.
    #[must_use]
    pub fn marked(&self, summary: String) -> String {
        if matches!(self, Self::Rehearsal(_)) { format!("REHEARSAL: {summary}") } else { summary }
    }

    /// The sandbox that runs there already; absent where none does, or it cannot be asked.
    pub async fn running(&self) -> Option<Running> {
        match self {
            Self::Node(ground) => ground.running().await,
            Self::Attached(ground) => ground.running(),
            Self::Rehearsal(ground) => ground.running().await,
        }
    }

    /// When the sandbox's node was started; absent where it has none of its own.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn node_started(&self) -> Result<Option<SystemTime>, Failure> {
        match self {
            Self::Node(ground) => ground.node_started().await,
            Self::Attached(_) | Self::Rehearsal(_) => Ok(None),
        }
    }

    /// Records the sandbox's time limit; where absent, an old one of another sandbox is dropped. Only one in Docker has
    /// any.
    ///
    /// # Errors
    /// Docker does not take it.
    pub async fn limit(&self, ttl: Option<Duration>) -> Result<(), Failure> {
        match self {
            Self::Node(ground) => ground.limit(ttl).await,
            Self::Attached(_) | Self::Rehearsal(_) => Ok(()),
        }
    }

    /// Gets the images that must be here before the cluster can be made.
    ///
    /// # Errors
    /// An image is not to be had, or the bundle cannot be used.
    pub async fn obtain(&self, plan: &Plan, bundle: Option<&Path>, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Node(ground) => ground.obtain(plan, bundle, run).await,
            Self::Attached(_) | Self::Rehearsal(_) => Ok(()),
        }
    }

    /// Makes the cluster, starts it or finds it running, until its API answers. `use_store` is whether the node keeps
    /// its images on the machine's image store; `running` is the sandbox, where it is known to run.
    ///
    /// # Errors
    /// The cluster cannot be made, or does not come up.
    pub async fn stand(
        &self,
        plan: &Plan,
        use_store: bool,
        running: Option<&Running>,
        run: &Run,
    ) -> Result<Standing, Failure> {
        match self {
            Self::Node(ground) => ground.stand(plan, use_store, running, run).await,
            Self::Attached(ground) => ground.stand(plan),
            Self::Rehearsal(ground) => ground.stand(plan, run).await,
        }
    }

    /// Gets all images into the cluster, where that is not the cluster's own affair, and tells of those that are there.
    ///
    /// # Errors
    /// An image is not to be had, or the node does not take it.
    pub async fn load_images(
        &self,
        plan: &Plan,
        has_bundle: bool,
        arrivals: &Arrivals,
        run: &Run,
    ) -> Result<(), Failure> {
        match self {
            Self::Node(ground) => ground.load_images(plan, arrivals, run).await?,
            Self::Attached(ground) => ground.load_images(plan, has_bundle, run).await?,
            Self::Rehearsal(_) => {}
        }
        arrivals.end();
        Ok(())
    }

    /// Those of these images, each with the digest that a pod runs, that the cluster would have another one for by now.
    /// Which image a name stands for is known of a node in Docker alone.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn outdated(
        &self,
        running: BTreeSet<(ImageRef, String)>,
    ) -> Result<BTreeSet<(ImageRef, String)>, Failure> {
        match self {
            Self::Node(ground) => ground.outdated(running).await,
            Self::Attached(_) | Self::Rehearsal(_) => Ok(BTreeSet::new()),
        }
    }

    /// Waits until names resolve in the cluster. Those of an existing one do.
    ///
    /// # Errors
    /// CoreDNS does not become ready.
    pub async fn wait_for_dns(&self, client: &Client, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Node(_) | Self::Rehearsal(_) => cluster::wait_for_dns(client, run).await,
            Self::Attached(_) => Ok(()),
        }
    }

    /// Awaits `work`, unless the cluster goes down: an API that is gone for good looks like one that is away for a
    /// moment.
    ///
    /// # Errors
    /// Those of `work`, or why the cluster went down.
    pub async fn while_up<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let down = async {
            match self {
                Self::Node(ground) => ground.watch().await,
                Self::Attached(_) => std::future::pending().await,
                Self::Rehearsal(ground) => ground.watch().await,
            }
        };
        tokio::select! {
            done = work => done,
            failure = down => Err(failure),
        }
    }

    /// The failure behind a failure: that the cluster has gone down, where it has.
    pub async fn first_cause(&self, failure: Failure) -> Failure {
        match self {
            Self::Node(ground) => ground.first_cause(failure).await,
            Self::Attached(_) | Self::Rehearsal(_) => failure,
        }
    }

    /// What can be asked about a sandbox whose `up` failed.
    pub async fn evidence(&self, plan: &Plan) -> EvidenceSources {
        match self {
            Self::Node(ground) => ground.evidence().await,
            Self::Attached(ground) => ground.evidence(plan),
            Self::Rehearsal(ground) => ground.evidence(),
        }
    }

    /// Removes what the run made, and says what that was.
    ///
    /// # Errors
    /// What could not be removed.
    pub async fn take_back(&self, run: &Run) -> Result<String, Failure> {
        match self {
            Self::Node(ground) => ground.take_back().await,
            Self::Attached(ground) => ground.take_back(run).await,
            Self::Rehearsal(ground) => ground.take_back().await,
        }
    }
}
