//! A sandbox in namespaces of an existing cluster, whose user has rights in them and nowhere else.

use super::evidence::{EvidenceSources, within_a_moment};
use super::host::Host;
use super::running::{Running, absent};
use super::state::{Overview, Phase, Standing};
use super::withdraw;
use crate::context::{ClusterAccess, ClusterCheck, ClusterLocation, check};
use crate::failure::{Failure, Reason};
use crate::kubernetes::{self, Inventory};
use crate::plan::Plan;
use crate::preflight;
use crate::report::{Outcome, Stage};
use crate::run::Run;
use crate::spec::Spec;

/// A site in namespaces of an attached cluster, with a sandbox or without.
pub struct AttachedSite<'a> {
    pub(super) name: String,
    pub(super) host: &'a Host,
    pub(super) location: ClusterLocation,
}

/// The result of preflight on an attached cluster.
pub struct AttachedGround<'a> {
    name: String,
    host: &'a Host,
    location: ClusterLocation,
    access: ClusterAccess,
    checked: ClusterCheck,
    before: Option<Inventory>,
}

impl<'a> AttachedSite<'a> {
    async fn access(&self) -> Result<ClusterAccess, Failure> {
        ClusterAccess::open(&self.location, &self.host.variables, self.host.home.as_deref()).await
    }

    /// Checks rights, namespaces and the FlyteWorkflow kind.
    pub(super) async fn preflight(
        self,
        plan: &Plan,
        run: &Run,
    ) -> Result<(AttachedGround<'a>, Outcome, String), Failure> {
        let access = self.access().await?;
        let checked = check(&access, plan, run).await?;
        checked.findings.iter().for_each(|finding| run.report.emit(finding.event()));
        preflight::blockers(&checked.findings)?;
        let summary = preflight::summary(&checked.findings);
        let before = kubernetes::find_within(&access.client, &plan.spec.system_namespace()).await?;
        let Self { name, host, location } = self;
        Ok((AttachedGround { name, host, location, access, checked, before }, Outcome::Passed, summary))
    }

    pub(super) async fn running(&self) -> Result<Running, Failure> {
        let ClusterAccess { client, kubeconfig, .. } = self.access().await?;
        let inventory = kubernetes::find_within(&client, &self.location.namespace).await?;
        let own = inventory.filter(|inventory| inventory.spec.name == self.name);
        let inventory = own.ok_or_else(|| {
            absent(&self.name, "there is no such sandbox")
                .because(format!("namespace {} has none", self.location.namespace))
        })?;
        Ok(Running { rehearsal: false, kubeconfig, client, inventory })
    }

    pub(super) async fn overview(&self) -> Result<Overview, Failure> {
        let phase = match self.running().await {
            Err(failure) if failure.reason == Reason::NotFound => Phase::Absent,
            running => Phase::Running(Box::new(Ok(running?))),
        };
        Ok(Overview { phase, node_started: None, expires: None, kept_data: None, sandboxes: Vec::new() })
    }

    /// Removes the sandbox's objects; absent where there were none. The namespaces stay, and so does what others made.
    pub(super) async fn remove(&self, run: &Run) -> Result<Option<String>, Failure> {
        let access = self.access().await?;
        let removed = withdraw::all(&access.client, &self.location.namespace, &self.name, run).await?;
        Ok((removed > 0).then(|| removed_objects(removed)))
    }

    pub(super) async fn evidence(self, plan: Option<&Plan>) -> Result<EvidenceSources, Failure> {
        let access = self.access().await?;
        let running = within_a_moment(self.running()).await.and_then(Result::ok);
        let spec = running.as_ref().map(|running| &running.inventory.spec).or_else(|| plan.map(|plan| &plan.spec));
        let namespaces = spec.map_or_else(|| vec![self.location.namespace.clone()], Spec::namespaces);
        let why = if running.is_some() {
            "the sandbox exists"
        } else {
            "the sandbox's inventory does not exist, or cannot be read"
        };
        let secrets = running.iter().flat_map(|running| running.inventory.spec.secrets());
        let secrets = secrets.map(|secret| secret.expose().to_owned()).collect();
        Ok(sources(why, access, namespaces, &self.location, secrets))
    }
}

impl AttachedGround<'_> {
    pub(super) const fn is_new(&self) -> bool {
        self.before.is_none()
    }

    /// Removes the sandbox's objects; absent where there were none.
    pub(super) async fn clear(&mut self, run: &Run) -> Result<Option<String>, Failure> {
        let removed = withdraw::all(&self.access.client, &self.location.namespace, &self.name, run).await?;
        self.before = None;
        Ok((removed > 0).then(|| removed_objects(removed)))
    }

    pub(super) fn running(&self) -> Option<Running> {
        let ClusterAccess { client, kubeconfig, .. } = self.access.clone();
        self.before.clone().map(|inventory| Running { rehearsal: false, kubeconfig, client, inventory })
    }

    /// Records which cluster this is: for commands without a spec, and to notice a context that points at another one.
    pub(super) fn stand(&self, plan: &Plan) -> Result<Standing, Failure> {
        let location = ClusterLocation { server: Some(self.access.server.clone()), ..self.location.clone() };
        let text = serde_json::to_string_pretty(&location).map_err(|error| {
            Failure::new(Reason::Internal, "cannot record which cluster the sandbox is on").caused_by(error)
        })?;
        let state = self.host.state.sandbox(&self.name);
        state.write(&state.cluster_location(), &text)?;
        let summary = format!(
            "Kubernetes {} of context {}; {} namespaces",
            self.checked.version,
            self.location.context,
            plan.spec.namespaces().len()
        );
        Ok(Standing { client: self.access.client.clone(), outcome: Outcome::Unchanged, summary })
    }

    pub(super) async fn load_images(&self, plan: &Plan, has_bundle: bool, run: &Run) -> Result<(), Failure> {
        if has_bundle {
            run.report.warn("`--bundle` is ignored: no images are loaded into the nodes of an attached cluster");
        }
        run.stage(Stage::Images, async {
            let summary = format!("{} images, pulled by the cluster itself", plan.images.len());
            Ok(((), Outcome::Skipped, summary))
        })
        .await
    }

    pub(super) fn evidence(&self, plan: &Plan) -> EvidenceSources {
        sources("", self.access.clone(), plan.spec.namespaces(), &self.location, Vec::new())
    }

    /// Removes the objects that the run made, even if it was cancelled.
    pub(super) async fn take_back(&self, run: &Run) -> Result<String, Failure> {
        let removed = withdraw::all(&self.access.client, &self.location.namespace, &self.name, run).await;
        removed.map(removed_objects).map_err(|mut failure| {
            if failure.leftovers.is_empty() {
                failure.leftovers.push(format!("objects of sandbox {} in the cluster", self.name));
            }
            failure
        })
    }
}

fn removed_objects(count: usize) -> String {
    format!("{count} objects removed; the namespaces stay")
}

fn sources(
    why: &str,
    access: ClusterAccess,
    namespaces: Vec<String>,
    location: &ClusterLocation,
    secrets: Vec<String>,
) -> EvidenceSources {
    EvidenceSources {
        why: why.to_owned(),
        docker: Err(Failure::new(Reason::NotFound, "the sandbox is on an attached cluster, and has nothing in Docker")),
        namespaces: Some((access.client, namespaces)),
        kubeconfig: None,
        engine: Ok(format!("context {}", location.context)),
        secrets,
    }
}
