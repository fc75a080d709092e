//! From whatever there is to a proven sandbox.

use std::time::Duration;

use kube::Client;

use super::running::Running;
use super::{Done, Host, Options, converge, endpoints, undo};
use crate::cluster::{self, Cluster, K3d, NodeState};
use crate::docker::Docker;
use crate::failure::Failure;
use crate::kubernetes;
use crate::plan::Plan;
use crate::report::{Outcome, Stage};
use crate::rollout;
use crate::run::Run;
use crate::smoke::{self, Target};
use crate::spec::Spec;

/// For the checks of a sandbox that should be ready already.
const SETTLED: Duration = Duration::from_secs(20);

/// Makes the sandbox that the plan describes, or brings the one there is to it. One that is as planned is only proven.
///
/// # Errors
/// The first stage's that fails. What the run made is removed then, unless it is to be kept.
pub async fn up(plan: &Plan, host: &Host, options: Options, run: &Run) -> Result<Done, Failure> {
    let name = &plan.spec.name;
    let _lock = host.state.sandbox(name).lock("up")?;
    let ground = run.stage(Stage::Preflight, prepare(plan, host, run)).await?;
    let made_here = !matches!(ground.node, NodeState::Running | NodeState::Stopped);
    let done = bring(plan, host, &ground, options, run).await;
    match done {
        Err(failure) if made_here && !options.keep => {
            Err(undo::undo(failure, name, &ground.docker, &host.state, run).await)
        }
        Err(failure) => Err(failure.hint(format!("`sandbox down --name {name}` removes the sandbox"))),
        Ok(outcome) => {
            run.report.emit(endpoints::ready(&plan.spec, &host.state.sandbox(name)));
            let summary = match outcome {
                Outcome::Unchanged => format!("sandbox {name} is as it should be"),
                _ => format!("sandbox {name} is ready"),
            };
            Ok(Done { outcome, summary })
        }
    }
}

/// What preflight found to stand on.
struct Ground {
    docker: Docker,
    k3d: K3d,
    node: NodeState,
}

async fn prepare(plan: &Plan, host: &Host, run: &Run) -> Result<(Ground, Outcome, String), Failure> {
    let docker = host.docker().await?;
    let scratch = host.state.sandbox(&plan.spec.name).path().join("k3d");
    std::fs::create_dir_all(&scratch).ok();
    let k3d = K3d::find(&host.variables, &docker.endpoint().host, &scratch, run).await?;
    let node = cluster::state(&docker, &plan.spec.name).await?;
    Ok((Ground { docker, k3d, node }, Outcome::Passed, "STUB".into()))
}

async fn bring(plan: &Plan, host: &Host, ground: &Ground, options: Options, run: &Run) -> Result<Outcome, Failure> {
    let (cluster, client) = stand(plan, host, ground, options, run).await?;
    let inventory = kubernetes::find(&client).await?;
    let state = host.state.sandbox(&plan.spec.name);
    state.write(&state.kubeconfig(), &cluster.kubeconfig)?;
    let workloads: Vec<_> = plan.workloads().collect();
    let unchanged = cluster.outcome == Outcome::Unchanged
        && inventory.as_ref().is_some_and(|inventory| inventory.digest == plan.digest)
        && rollout::ready_now(&client, &workloads).await?.is_empty();
    if unchanged {
        prove(&plan.spec, client, SETTLED, run).await?;
        return Ok(Outcome::Unchanged);
    }
    let before = converge::foundation(&client, plan, run).await?;
    run.stage(Stage::Cluster, async {
        cluster::wait_for_dns(&cluster, run).await?;
        Ok(((), Outcome::Passed, "names resolve".to_owned()))
    }).await?;
    converge::workloads(&client, plan, before, run).await?;
    prove(&plan.spec, client, smoke::BUDGET, run).await?;
    Ok(Outcome::Passed)
}

async fn stand(plan: &Plan, _host: &Host, ground: &Ground, _options: Options, run: &Run) -> Result<(Cluster, Client), Failure> {
    let cluster = run
        .stage(Stage::Cluster, async {
            let cluster = cluster::ensure(&ground.docker, &ground.k3d, &plan.cluster, run).await?;
            let outcome = cluster.outcome;
            Ok((cluster, outcome, "node Ready".to_owned()))
        })
        .await?;
    let client = kubernetes::client(&cluster.kubeconfig)?;
    if cluster.outcome != Outcome::Unchanged {
        run.stage(Stage::Images, async {
            let refs: Vec<_> = plan.images.clone();
            let saved = ground.docker.save(&refs);
            let out = ground.docker.exec_with_input(&plan.cluster.node(), &["ctr", "-n", "k8s.io", "images", "import", "-"], saved).await?;
            Ok(((), Outcome::Passed, format!("STUB {} {}", out.code, out.stderr)))
        })
        .await?;
    }
    Ok((cluster, client))
}

async fn prove(spec: &Spec, client: Client, budget: Duration, run: &Run) -> Result<(), Failure> {
    run.unless_cancelled(async { smoke::run(&Target { spec, client, budget }, run).await.map(|_| ()) }).await
}

/// Proves a sandbox that runs, by what it was brought up for.
///
/// # Errors
/// There is none that runs, or a check fails.
pub async fn smoke(name: &str, host: &Host, run: &Run) -> Result<Done, Failure> {
    let Running { client, inventory, .. } = Running::find(name, host).await?;
    prove(&inventory.spec, client, SETTLED, run).await?;
    Ok(Done { outcome: Outcome::Passed, summary: format!("sandbox {name} is a working Flyte") })
}
