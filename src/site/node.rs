//! A sandbox on a k3s node in Docker, which it makes and removes.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kube::Client;

use super::evidence::{self, EvidenceSources, within_a_moment};
use super::host::Host;
use super::node_images::{load_bundle, load_into_node, obtain_node_image, outdated, required};
use super::running::{Running, absent, halted};
use super::spare::SpareRecord;
use super::state::{Halt, Overview, Phase, Resumed, Standing, Stopped};
use crate::cluster::{self, Access, Data, Engine, KeptData, NodeState};
use crate::docker::{self, Docker};
use crate::failure::{Failure, Reason};
use crate::files::private_folder;
use crate::flyte::names;
use crate::images::{self, Arrivals, Claim};
use crate::kubernetes::{self, Locks};
use crate::limits::{DOCKER_QUIET, EVIDENCE_ANSWER, NODE_GONE};
use crate::manifest::ImageRef;
use crate::plan::{ClusterPlan, Plan, node_name};
use crate::preflight;
use crate::report::{Outcome, Stage};
use crate::run::{Deadline, Run};
use crate::spec::{NodeEngine, Spec};

const PAUSE: Duration = Duration::from_millis(100);

/// A sandbox in Docker, or the place for one.
pub struct NodeSite<'a> {
    pub(super) name: String,
    pub(super) host: &'a Host,
}

/// What preflight found to make or to use.
pub struct NodeGround<'a> {
    name: String,
    /// The cluster that it is on: of its own name, unless it took a spare.
    cluster: String,
    /// Whether this run took the spare.
    is_spare: bool,
    host: &'a Host,
    docker: Docker,
    engine: Engine,
    state: NodeState,
    /// Data that an earlier sandbox of the name left, for a node that is yet to be made.
    kept: Option<KeptData>,
    /// The snapshot that it is to begin with.
    from: Option<String>,
}

impl<'a> NodeSite<'a> {
    /// Checks Docker, the engine, ports, memory, disk and images. `scratch` is a folder for k3d's own files.
    pub(super) async fn preflight(
        self,
        plan: &Plan,
        fresh: bool,
        scratch: &Path,
        run: &Run,
    ) -> Result<(NodeGround<'a>, Outcome, String), Failure> {
        let host = self.host;
        let docker = host.docker().await;
        let required = required(std::iter::once(&plan.cluster.node_image).chain(&plan.images))?;
        let asked = async {
            let docker = docker.as_ref().map_err(Clone::clone)?;
            let images = preflight::look_for_images(docker, &required);
            let cluster = self.cluster(docker).await?;
            let seen = preflight::look(docker, &cluster, &plan.cluster.node_image);
            let (seen, images, kept) = tokio::join!(seen, images, cluster::kept_data(docker));
            let seen = seen?;
            preflight::forwarder_lets_go(&seen, &plan.cluster, run).await;
            Ok::<_, Failure>((docker.endpoint(), seen, images, kept?, cluster))
        };
        let find_engine = find_engine(plan.spec.node_engine(), host, docker.as_ref().ok(), scratch, run);
        let (engine, asked) = tokio::join!(Box::pin(find_engine), Box::pin(asked));
        let propellers = plan.spec.workflow_namespaces().len() as u64;
        let seen = asked.as_ref().map(|(endpoint, seen, ..)| (*endpoint, seen));
        let mut findings = preflight::findings(seen, engine.as_ref(), &plan.cluster, propellers);
        findings.extend(preflight::raw_containers(plan.cluster.kubernetes, plan.spec.flyte.facts().raw_containers));
        let mut kept_here = None;
        if let Ok((_, seen, images, kept, cluster)) = &asked {
            if let Ok(images) = images {
                findings.extend(preflight::images(seen, &required, images, &host.variables));
            }
            kept_here = kept.iter().find(|kept| kept.sandbox == *cluster && seen.node.is_ours_to_make()).cloned();
        }
        if !fresh {
            findings.extend(kept_here.as_ref().map(|kept| preflight::kept_data(kept, &plan.data_images())));
        }
        for finding in &findings {
            run.report.emit(finding.event());
        }
        // That Docker does not answer has an exit code of its own.
        let found = asked.map(|(_, seen, .., cluster)| (seen.node, cluster));
        let docker = docker?;
        preflight::blockers(&findings)?;
        let ((state, cluster), kept) = (found?, kept_here);
        let (name, engine) = (self.name, engine?);
        let ground = NodeGround { name, cluster, is_spare: false, host, docker, engine, state, kept, from: None };
        Ok((ground, Outcome::Passed, preflight::summary(&findings)))
    }

    pub(super) async fn running(&self) -> Result<Running, Failure> {
        let docker = self.host.docker().await?;
        let cluster = self.cluster(&docker).await?;
        self.running_on(&docker, &cluster).await
    }

    /// As [`running`](Self::running), where the cluster is known.
    pub(super) async fn running_on(&self, docker: &Docker, cluster: &str) -> Result<Running, Failure> {
        self.running_in(docker, cluster, cluster::state(docker, cluster).await?).await
    }

    /// As [`running_on`](Self::running_on), where the node's state is known.
    async fn running_in(&self, docker: &Docker, cluster: &str, node: NodeState) -> Result<Running, Failure> {
        SpareRecord::refuse(&self.host.state.sandbox(&self.name), &self.name)?;
        match node {
            NodeState::Running => {}
            NodeState::Absent | NodeState::Foreign => return Err(absent(&self.name, "there is no such sandbox")),
            NodeState::Frozen => return Err(halted(&self.name, "the sandbox is frozen")),
            NodeState::Stopped => return Err(halted(&self.name, "the sandbox is stopped")),
            NodeState::Unstarted => return Err(absent(&self.name, "the sandbox does not run")),
            NodeState::Restarting { .. } => return Err(absent(&self.name, "the sandbox's node does not stay up")),
        }
        let running = match self.recorded(docker, cluster).await {
            Some(running) => running,
            None => {
                let kubeconfig = self.named(cluster::kubeconfig(docker, cluster).await?, cluster)?;
                Running::on_own_cluster(&self.name, kubeconfig, self.host, false).await
            }
        };
        match running {
            Err(failure) if failure.reason == Reason::ApiUnavailable => {
                let why = Box::pin(cluster::unreachable(docker, cluster)).await;
                Err(why.map_or(failure, Failure::from))
            }
            running => running,
        }
    }

    /// The sandbox by the kubeconfig in the state folder, where that opens the API of the node that runs: Docker takes longer
    /// than all else to read the node's own.
    async fn recorded(&self, docker: &Docker, cluster: &str) -> Option<Result<Running, Failure>> {
        let kubeconfig = std::fs::read_to_string(self.host.state.sandbox(&self.name).kubeconfig()).ok()?;
        if !cluster::is_of(docker, cluster, &kubeconfig).await.unwrap_or_default() {
            return None;
        }
        let of_another = [Reason::ApiCertificate, Reason::ApiUnauthorized, Reason::ClusterNotReady];
        let running = Running::on_own_cluster(&self.name, kubeconfig, self.host, false).await;
        Some(running).filter(|running| !running.as_ref().is_err_and(|failure| of_another.contains(&failure.reason)))
    }

    /// A kubeconfig of the cluster under the sandbox's name.
    fn named(&self, kubeconfig: String, cluster: &str) -> Result<String, Failure> {
        if cluster == self.name { Ok(kubeconfig) } else { Ok(cluster::kubeconfig_named(&kubeconfig, &self.name)?) }
    }

    /// The cluster that the sandbox is on.
    pub(super) async fn cluster(&self, docker: &Docker) -> Result<String, Failure> {
        let taken = cluster::taken(docker).await?;
        let cluster = taken.cluster_of(&self.name);
        match taken.taker(&self.name) {
            Some(sandbox) if cluster == self.name => {
                Err(Failure::new(Reason::NameTaken, "another sandbox has the cluster of this name")
                    .on(format!("cluster {cluster}"))
                    .because(format!("sandbox {sandbox} took it, a spare"))
                    .hint(format!("`--name {sandbox}` is that sandbox")))
            }
            _ => Ok(cluster.to_owned()),
        }
    }

    pub(super) async fn overview(&self) -> Result<Overview, Failure> {
        let docker = self.host.docker().await?;
        let cluster = self.cluster(&docker).await?;
        let (node, node_started, sandboxes, expiries) = tokio::try_join!(
            cluster::state(&docker, &cluster),
            cluster::started(&docker, &cluster),
            cluster::owned(&docker),
            cluster::expiries(&docker)
        )?;
        let phase = match node {
            NodeState::Absent | NodeState::Foreign => Phase::Absent,
            NodeState::Stopped => Phase::Stopped,
            NodeState::Frozen => Phase::Frozen,
            NodeState::Unstarted | NodeState::Restarting { .. } => Phase::Broken,
            NodeState::Running => Phase::Running(Box::new(self.running_in(&docker, &cluster, node).await)),
        };
        let kept = match phase {
            Phase::Absent => kept(&docker, &self.name).await?.map(|kept| kept.since),
            _ => None,
        };
        Ok(Overview { phase, node_started, expires: expiries.get(&self.name).copied(), sandboxes, kept_data: kept })
    }

    pub(super) async fn outdated(
        &self,
        running: BTreeSet<(ImageRef, String)>,
    ) -> Result<BTreeSet<(ImageRef, String)>, Failure> {
        let docker = self.host.docker().await?;
        outdated(&docker, &node_name(&self.cluster(&docker).await?), running).await
    }

    /// Stops the node, or freezes it. Whether it ran.
    pub(super) async fn stop(&self, how: Halt) -> Result<Stopped, Failure> {
        let docker = self.host.docker().await?;
        let cluster = self.cluster(&docker).await?;
        let before = cluster::state(&docker, &cluster).await?;
        match before {
            NodeState::Absent | NodeState::Foreign | NodeState::Unstarted => {
                return Err(absent(&self.name, "there is no such sandbox"));
            }
            _ => {}
        }
        let stopped = match how {
            Halt::Stop => cluster::stop(&docker, &cluster).await?,
            Halt::Freeze => cluster::freeze(&docker, &cluster).await?,
        };
        Ok(match before {
            _ if stopped => Stopped::Now,
            NodeState::Frozen => Stopped::Before(Halt::Freeze),
            _ => Stopped::Before(Halt::Stop),
        })
    }

    /// Lets a halted node run again.
    pub(super) async fn resume(&self, run: &Run) -> Result<Resumed, Failure> {
        SpareRecord::refuse(&self.host.state.sandbox(&self.name), &self.name)?;
        let docker = self.host.docker().await?;
        let cluster = self.cluster(&docker).await?;
        cluster::discard_half_snapshots(&docker, &cluster).await?;
        let was = match cluster::state(&docker, &cluster).await? {
            NodeState::Stopped => Some(Halt::Stop),
            NodeState::Frozen => Some(Halt::Freeze),
            _ => None,
        };
        if was.is_none() {
            let node_started = cluster::started(&docker, &cluster).await?;
            return Ok(Resumed { running: self.running().await?, was, node_started });
        }
        let Access { kubeconfig, .. } = cluster::resume(&docker, &cluster, run).await?;
        let kubeconfig = self.named(kubeconfig, &cluster)?;
        let state = self.host.state.sandbox(&self.name);
        state.write(&state.kubeconfig(), &kubeconfig)?;
        let running = Running::on_own_cluster(&self.name, kubeconfig, self.host, false).await?;
        if was == Some(Halt::Stop) {
            release_locks(&running.client, &running.inventory.spec).await?;
        }
        let node_started = cluster::started(&docker, &cluster).await?;
        Ok(Resumed { running, was, node_started })
    }

    /// Removes containers, network and volumes; absent where there was nothing to remove.
    pub(super) async fn remove(&self, is_recorded: bool, data: Data, run: &Run) -> Result<Option<String>, Failure> {
        let docker = match self.host.docker().await {
            Err(failure) if !is_recorded && failure.reason == Reason::DockerAbsent && self.host.names_no_docker() => {
                run.report.warn(format!("Docker is not on this machine, and no sandbox of it is on record: {failure}"));
                return Ok(None);
            }
            docker => docker?,
        };
        let cluster = self.cluster(&docker).await?;
        if cluster != self.name {
            cluster::discard_unfilled(&docker, &self.name).await?;
        }
        let removed = match data {
            Data::Kept if cluster != self.name => cluster::leave_data(&docker, &cluster, &self.name, run).await?,
            data => cluster::delete(&docker, &cluster, data).await?,
        };
        Ok((!removed.is_empty()).then(|| removed.to_string()))
    }

    /// What can be asked about a sandbox in any state; absent where there is nothing of it.
    pub(super) async fn evidence(self, plan: Option<&Plan>, run: &Run) -> Option<EvidenceSources> {
        let docker = self.host.docker().await;
        let why = match &docker {
            Ok(docker) => within_a_moment(describe(docker, &self.name))
                .await
                .unwrap_or_else(|| Some("Docker does not answer in time".to_owned()))?,
            Err(failure) => failure.to_string(),
        };
        let soon = Run { deadline: run.deadline.min(EVIDENCE_ANSWER), ..run.clone() };
        let scratch = self.host.state.path();
        let wanted = plan.and_then(|plan| plan.spec.node_engine());
        let engine = find_engine(wanted, self.host, docker.as_ref().ok(), scratch, &soon).await;
        Some(EvidenceSources {
            why,
            secrets: evidence::secrets(self.running()).await,
            docker,
            namespaces: None,
            kubeconfig: None,
            engine: engine.map(|engine| engine.to_string()),
        })
    }
}

impl NodeGround<'_> {
    pub(super) fn is_new(&self) -> bool {
        self.state.is_ours_to_make()
    }

    pub(super) fn has_data(&self) -> bool {
        !self.is_new() || self.kept.is_some() || self.from.is_some()
    }

    /// Has a sandbox that is yet to be made begin with the data of a snapshot.
    pub(super) fn begin_with(&mut self, snapshot: &str) {
        self.from = Some(snapshot.to_owned());
    }

    /// Whether this run took a spare.
    pub(super) fn is_spare(&self) -> bool {
        self.is_spare
    }

    /// Docker.
    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Leaves the cluster that the sandbox took, where its node was removed by somebody: with its data it begins again on a
    /// cluster of its own name.
    pub(super) async fn come_home(&mut self, run: &Run) -> Result<(), Failure> {
        if self.cluster != self.name && self.is_new() {
            cluster::leave_data(&self.docker, &self.cluster, &self.name, run).await?;
            self.cluster.clone_from(&self.name);
        }
        Ok(())
    }

    /// Makes a spare the sandbox's: publishes the ports for it. The plan is for the sandbox.
    pub(super) async fn take_spare(&mut self, plan: &Plan, spare: &str) -> Result<(), Failure> {
        let shape = ClusterPlan { name: spare.to_owned(), ..plan.cluster.clone() };
        // Before it is the sandbox's: a run that is killed half way has taken it whole, or not at all.
        self.docker.make_usual(&shape.node()).await?;
        // Whoever is dropped here has the spare to give back.
        (self.cluster, self.is_spare) = (spare.to_owned(), true);
        if let Err(error) = cluster::take(&self.docker, &self.name, &shape).await {
            (self.cluster, self.is_spare) = (self.name.clone(), false);
            return Err(error.into());
        }
        self.state = NodeState::Frozen;
        Ok(())
    }

    /// Removes what there is, with its data; absent where there was nothing.
    pub(super) async fn clear(&mut self) -> Result<Option<String>, Failure> {
        let removed = cluster::delete(&self.docker, &self.cluster, Data::Removed).await?;
        (self.state, self.kept) = (NodeState::Absent, None);
        self.cluster.clone_from(&self.name);
        Ok((!removed.is_empty()).then(|| removed.to_string()))
    }

    pub(super) async fn running(&self) -> Option<Running> {
        if self.state != NodeState::Running {
            return None;
        }
        self.site().running().await.ok()
    }

    fn site(&self) -> NodeSite<'_> {
        NodeSite { name: self.name.clone(), host: self.host }
    }

    pub(super) async fn node_started(&self) -> Result<Option<SystemTime>, Failure> {
        Ok(cluster::started(&self.docker, &self.cluster).await?)
    }

    /// Records the time limit before there is anything else of the sandbox: a job that is killed half way leaves
    /// something for `gc` to remove.
    pub(super) async fn limit(&self, ttl: Option<Duration>) -> Result<(), Failure> {
        match ttl {
            Some(ttl) => Ok(cluster::expire(&self.docker, &self.cluster, SystemTime::now() + ttl).await?),
            // The limit of an earlier sandbox of this name does not hold for a new one.
            None if self.state == NodeState::Absent => Ok(cluster::forget_expiry(&self.docker, &self.cluster).await?),
            None => Ok(()),
        }
    }

    /// The images that must be in Docker before the node can be made.
    pub(super) async fn obtain(&self, plan: &Plan, bundle: Option<&Path>, run: &Run) -> Result<(), Failure> {
        if let Some(bundle) = bundle {
            load_bundle(plan, &self.docker, bundle, run).await?;
        }
        obtain_node_image(plan, &self.docker, run).await
    }

    /// Makes the node, starts it or finds it running, until its API answers and it is Ready.
    pub(super) async fn stand(
        &self,
        plan: &Plan,
        use_store: bool,
        running: Option<&Running>,
        run: &Run,
    ) -> Result<Standing, Failure> {
        cluster::discard_half_snapshots(&self.docker, &self.cluster).await?;
        let known = running.map(|Running { kubeconfig, client, .. }| Access {
            kubeconfig: kubeconfig.clone(),
            client: client.clone(),
        });
        let mut shape = ClusterPlan { name: self.cluster.clone(), ..plan.cluster.clone() };
        let claim = if self.is_new() && use_store { self.claim_store(plan, run).await? } else { None };
        shape.store = claim.as_ref().map(|claim| claim.volume.clone());
        if self.is_new() {
            self.make_data(plan, run).await?;
        }
        if self.cluster != self.name {
            cluster::publish_again(&self.docker, &self.name, &shape)
                .await
                .map_err(|error| error.of_sandbox(&self.name))?;
        }
        let cluster = cluster::reconcile(&self.docker, &self.engine, &shape, known, run).await;
        if let Some(claim) = claim {
            claim.release(&self.docker).await;
        }
        let cluster = cluster.map_err(|error| error.of_sandbox(&self.name))?;
        let Access { kubeconfig, client } = cluster.access;
        let kubeconfig = self.site().named(kubeconfig, &self.cluster)?;
        let state = self.host.state.sandbox(&self.name);
        state.write(&state.kubeconfig(), &kubeconfig)?;
        // Who made a node that was there before is not known.
        let by = if self.is_new() { format!(" by {}", self.engine) } else { String::new() };
        let summary = format!("Kubernetes {}{by}; node Ready", plan.spec.kubernetes);
        if self.state == NodeState::Stopped
            && let Some(inventory) = kubernetes::find(&client).await?
        {
            release_locks(&client, &inventory.spec).await?;
        }
        Ok(Standing { client, outcome: cluster.outcome, summary })
    }

    /// Makes the data volume, with what it is to begin with.
    async fn make_data(&self, plan: &Plan, run: &Run) -> Result<(), Failure> {
        let (docker, images) = (&self.docker, plan.data_images());
        cluster::discard_unfilled(docker, &self.cluster).await?;
        let Some(from) = &self.from else {
            return Ok(cluster::make_data_volume(docker, &self.cluster, &images).await?);
        };
        run.report.progress(Stage::Cluster, format!("copy the data of snapshot {from}"));
        let image = &plan.cluster.node_image;
        Ok(cluster::fill_from_snapshot(docker, &self.cluster, from, &images, image, run).await?)
    }

    /// The machine's image store for this set of images, unless all of them are in use.
    async fn claim_store(&self, plan: &Plan, run: &Run) -> Result<Option<Claim>, Failure> {
        let Some(node_image) = self.docker.image(&plan.cluster.node_image).await? else { return Ok(None) };
        let all: Vec<_> = plan.all_images().cloned().collect();
        let (key, lasts) = (images::store_key(&all, &node_image.id), run.deadline.remaining());
        Ok(images::claim(&self.docker, &key, self.host.state.path(), &self.cluster, lasts).await?)
    }

    pub(super) async fn load_images(&self, plan: &Plan, arrivals: &Arrivals, run: &Run) -> Result<(), Failure> {
        load_into_node(plan, &node_name(&self.cluster), &self.docker, self.is_new(), arrivals, run).await
    }

    pub(super) async fn outdated(
        &self,
        running: BTreeSet<(ImageRef, String)>,
    ) -> Result<BTreeSet<(ImageRef, String)>, Failure> {
        outdated(&self.docker, &node_name(&self.cluster), running).await
    }

    /// Ends only when the node has gone down, with the failure to report.
    pub(super) async fn watch(&self) -> Failure {
        cluster::watch_node(&self.docker, &self.cluster).await.into()
    }

    /// A failure within a node that has gone down is reported as that: both are seen at the same moment.
    pub(super) async fn first_cause(&self, failure: Failure) -> Failure {
        let within = failure.source_as::<docker::Error>().is_some_and(docker::Error::is_inside_container);
        if failure.reason != Reason::Docker || !within {
            return failure;
        }
        let settled = Deadline::fixed(NODE_GONE);
        while !settled.has_passed() {
            if let Some(gone) = cluster::node_gone(&self.docker, &self.cluster).await {
                return gone.into();
            }
            tokio::time::sleep(PAUSE).await;
        }
        failure
    }

    pub(super) async fn evidence(&self) -> EvidenceSources {
        // One that was there before may have secrets that the plan no longer has.
        let site = self.site();
        let secrets = if self.is_new() { Vec::new() } else { evidence::secrets(site.running()).await };
        EvidenceSources {
            why: String::new(),
            docker: Ok(self.docker.clone()),
            namespaces: None,
            kubeconfig: None,
            engine: Ok(self.engine.to_string()),
            secrets,
        }
    }

    /// Removes all there is, until nothing new has come for a while: the last request of a k3d that was stopped may
    /// still be with the daemon, and what it makes appears after k3d is gone.
    pub(super) async fn take_back(&self) -> Result<String, Failure> {
        let data = if self.kept.is_some() { Data::Kept } else { Data::Removed };
        let mut removed = cluster::delete(&self.docker, &self.cluster, data).await?;
        let mut quiet = Deadline::fixed(DOCKER_QUIET);
        while !quiet.has_passed() {
            tokio::time::sleep(PAUSE).await;
            let late = cluster::delete(&self.docker, &self.cluster, data).await?;
            if !late.is_empty() {
                removed = removed.and(late);
                quiet = Deadline::fixed(DOCKER_QUIET);
            }
        }
        Ok(removed.to_string())
    }
}

async fn find_engine(
    wanted: Option<NodeEngine>,
    host: &Host,
    docker: Option<&Docker>,
    scratch: &Path,
    run: &Run,
) -> Result<Engine, Failure> {
    private_folder(scratch).map_err(|error| {
        Failure::new(Reason::StateUnwritable, "cannot write the state folder")
            .on(scratch.display())
            .because(error)
            .hint("set SANDBOX_STATE_DIR to a folder that you can write")
    })?;
    let address = docker.map_or("", |docker| docker.endpoint().host.as_str());
    Ok(Engine::find(wanted, &host.variables, address, scratch, run).await?)
}

/// Takes the propellers' locks from their former selves, who were stopped before they could let go of them: the new ones
/// would wait a quarter of a minute.
async fn release_locks(client: &Client, spec: &Spec) -> Result<(), Failure> {
    let locks = Locks::new(client, &spec.system_namespace(), spec.flyte.facts().election);
    locks.delete(spec.workflow_namespaces().iter().map(names::propeller_lock)).await
}

/// The data that an earlier sandbox of this name left, where that has no node.
async fn kept(docker: &Docker, name: &str) -> Result<Option<KeptData>, Failure> {
    if !cluster::state(docker, name).await?.is_ours_to_make() {
        return Ok(None);
    }
    Ok(cluster::kept_data(docker).await?.into_iter().find(|kept| kept.sandbox == name))
}

/// The state of a sandbox in Docker, in words; absent where there is nothing of it.
async fn describe(docker: &Docker, name: &str) -> Option<String> {
    let cluster = &cluster::cluster_of(docker, name).await.unwrap_or_else(|_| name.to_owned());
    match cluster::state(docker, cluster).await {
        Ok(NodeState::Foreign) => None,
        Ok(NodeState::Absent) => {
            let belongings = cluster::belongings(docker, cluster).await;
            let nothing = belongings.is_ok_and(|belongings| belongings.is_empty());
            (!nothing).then(|| "the sandbox is half made: there is no node".to_owned())
        }
        Ok(NodeState::Unstarted) => Some("the sandbox is half made: its node never ran".to_owned()),
        Ok(NodeState::Stopped) => Some("the sandbox is stopped".to_owned()),
        Ok(NodeState::Frozen) => Some("the sandbox is frozen".to_owned()),
        Ok(NodeState::Running) => Some("the sandbox runs".to_owned()),
        Ok(NodeState::Restarting { restarts, exit_code }) => {
            Some(format!("the node does not stay up: {restarts} restarts, exit code {exit_code}"))
        }
        Err(error) => Some(Failure::from(error).to_string()),
    }
}
