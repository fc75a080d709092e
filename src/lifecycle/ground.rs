//! What an `up` stands on: Docker, what makes the node, and what there is of the sandbox already.

use super::Host;
use crate::cluster::{self, Engine, NodeState};
use crate::docker::Docker;
use crate::failure::{Failure, Reason};
use crate::manifest::ImageRef;
use crate::plan::Plan;
use crate::preflight::{self, Finding, Wanted};
use crate::render::Lock;
use crate::report::{Outcome, Severity};
use crate::run::Run;
use crate::state::private_folder;

/// What preflight found to stand on.
pub(super) struct Ground {
    pub(super) docker: Docker,
    pub(super) engine: Engine,
    pub(super) node: NodeState,
}

/// Looks at all that could stand in the way, tells every finding, and passes where nothing does.
pub(super) async fn look(plan: &Plan, host: &Host, run: &Run) -> Result<(Ground, Outcome, String), Failure> {
    let docker = host.docker().await;
    let engine = find_engine(plan, host, docker.as_ref().ok(), run).await;
    let propellers = plan.spec.workflow_namespaces().len() as u64;
    let mut findings = preflight::run(docker.as_ref(), engine.as_ref(), &plan.cluster, propellers).await;
    if let Ok(docker) = &docker {
        findings.extend(preflight::images(docker, &wanted(plan)?, &host.variables).await);
    }
    for finding in &findings {
        run.report.emit(finding.event());
    }
    // That Docker does not answer has an exit code of its own.
    let docker = docker?;
    preflight::blockers(&findings)?;
    let node = cluster::state(&docker, &plan.spec.name).await?;
    Ok((Ground { docker, engine: engine?, node }, Outcome::Passed, summary(&findings)))
}

async fn find_engine(plan: &Plan, host: &Host, docker: Option<&Docker>, run: &Run) -> Result<Engine, Failure> {
    let scratch = host.state.sandbox(&plan.spec.name).path().join("k3d");
    private_folder(&scratch).map_err(|error| {
        Failure::new(Reason::StateUnwritable, "cannot keep the sandbox's state")
            .on(scratch.display())
            .because(error)
            .hint("set SANDBOX_STATE_DIR to a folder that you can write")
    })?;
    let address = docker.map_or("", |docker| docker.endpoint().host.as_str());
    Engine::find(plan.spec.engine, &host.variables, address, &scratch, run).await
}

/// What Docker should have or get.
fn wanted(plan: &Plan) -> Result<Vec<Wanted>, Failure> {
    let lock = Lock::embedded()
        .map_err(|error| Failure::new(Reason::Internal, "cannot read the built-in image lock").caused_by(error))?;
    let wanted = |image: &ImageRef| Wanted { image: image.clone(), architectures: lock.architectures(image).to_vec() };
    Ok(std::iter::once(&plan.cluster.node_image).chain(&plan.images).map(wanted).collect())
}

fn summary(findings: &[Finding]) -> String {
    let warnings = findings.iter().filter(|finding| finding.severity == Severity::Warning).count();
    match warnings {
        0 => format!("{} checks", findings.len()),
        1 => format!("{} checks, 1 warning", findings.len()),
        many => format!("{} checks, {many} warnings", findings.len()),
    }
}
