//! From whatever there is to a proven sandbox.

use std::time::{Duration, SystemTime};

use kube::Client;

use super::compare::is_as_planned;
use super::ground::{self, Ground};
use super::images::load_missing;
use super::proof::{SETTLED, prove};
use super::running::Running;
use super::{Done, Host, Options, converge, diagnose, endpoints, given, registration, rehearse, storage, undo};
use crate::cluster::{self, Cluster, NodeState};
use crate::docker::Docker;
use crate::evidence::Subject;
use crate::failure::{Failure, Reason};
use crate::images::{self, Claim, Presence};
use crate::kubernetes::{self, Inventory};
use crate::plan::{ClusterPlan, Plan};
use crate::rehearsal::Rehearsal;
use crate::report::{Outcome, Stage};
use crate::run::{Deadline, Run};
use crate::smoke::{self, Executions};
use crate::spec::EngineKind;

/// What a node that somebody removes takes to be gone.
const GOING: Duration = Duration::from_secs(2);

/// Makes the sandbox that the plan describes, or brings the one there is to it. One that is as planned is only proven.
///
/// # Errors
/// The first stage's that fails. What the run made is removed then, unless it is to be kept.
pub async fn up(plan: &Plan, host: &Host, options: Options<'_>, run: &Run) -> Result<Done, Failure> {
    if plan.spec.is_on_given_cluster() {
        return Box::pin(given::up(plan, host, options, run)).await;
    }
    given::not_elsewhere(plan, host)?;
    let name = &plan.spec.name;
    let state = host.state.sandbox(name);
    if plan.spec.engine == Some(EngineKind::Rehearsal) {
        return rehearse::up(plan, host, options, run).await;
    }
    if Rehearsal::find(&state).is_some() {
        return Err(Failure::new(Reason::SandboxDiffers, "the sandbox that is there is a rehearsal")
            .on(format!("sandbox {name}"))
            .hint(format!("`sandbox down --name {name}` removes it"))
            .hint("`--engine rehearsal` goes on with it"));
    }
    let lock = state.lock("up")?;
    let ground = match run.stage(Stage::Preflight, ground::look(plan, host, run)).await {
        Ok(ground) => ground,
        Err(failure) => {
            // Where there is no sandbox yet, the lock and the folder for k3d's scratch are all that was made.
            let fresh = !state.kubeconfig().exists();
            let left = if fresh { state.remove(&lock).err() } else { None };
            return Err(failure.evidence(left.map(|left| left.to_string())));
        }
    };
    let made_here = ground.node.is_ours_to_make();
    let done = bring(plan, host, &ground, &options, run).await;
    match done {
        Err(failure) => {
            let failure = save_evidence(failure, plan, &ground, host, run).await;
            if !made_here || options.keep {
                return Err(undo::also(failure, format!("`sandbox down --name {name}` removes the sandbox")));
            }
            let failure = undo::undo(failure, name, run, undo::remove(&ground.docker, name)).await;
            Err(undo::forget(failure, &state, &lock))
        }
        Ok(outcome) => {
            run.report.emit(endpoints::ready(&plan.spec, &state));
            let summary = match outcome {
                Outcome::Unchanged => format!("sandbox {name} is as it should be"),
                _ => format!("sandbox {name} is ready"),
            };
            Ok(Done { outcome, summary })
        }
    }
}

async fn save_evidence(failure: Failure, plan: &Plan, ground: &Ground, host: &Host, run: &Run) -> Failure {
    let why = failure.clone();
    let subject = Subject {
        name: &plan.spec.name,
        why: Err(&why),
        plan: Ok(plan),
        docker: Ok(&ground.docker),
        given: None,
        kubeconfig: None,
        engine: Ok(ground.engine.to_string()),
        // One that was there before may have secrets that the plan no longer has.
        secrets: if ground.node.is_ours_to_make() {
            Vec::new()
        } else {
            diagnose::secrets(&plan.spec.name, host).await
        },
        since: run.report.began(),
    };
    undo::save_evidence(failure, &subject, host, run).await
}

async fn bring(
    plan: &Plan,
    host: &Host,
    ground: &Ground,
    options: &Options<'_>,
    run: &Run,
) -> Result<Outcome, Failure> {
    limit(&ground.docker, &plan.spec.name, &ground.node, options.ttl).await?;
    // What has run a workflow before and has not changed need not do so again.
    let again = if options.executions == Executions::All { Executions::All } else { Executions::None };
    if ground.node == NodeState::Running && is_unchanged(plan, host, ground, again, run).await? {
        return Ok(Outcome::Unchanged);
    }
    if let Some(bundle) = options.bundle {
        load_missing(plan, &ground.docker, bundle, run).await?;
    }
    obtain_node(plan, ground, run).await?;
    let standing = tokio::try_join!(stand(plan, host, ground, options, run), images(plan, ground, run));
    let (standing, ()) = match standing {
        Err(failure) => return Err(told_by_the_node(failure, plan, ground).await),
        Ok(both) => both,
    };
    let Standing { cluster, client, before } = standing;
    let proven = async {
        converge::workloads(&client, plan, before, cluster::wait_for_dns(&cluster, run), run).await?;
        prove(&plan.spec, client.clone(), smoke::BUDGET, options.executions, run).await
    };
    while_node_runs(plan, ground, proven).await?;
    Ok(Outcome::Passed)
}

/// Says when its time is over before there is anything of it: a job that is killed half way leaves something to remove.
async fn limit(docker: &Docker, name: &str, node: &NodeState, ttl: Option<Duration>) -> Result<(), Failure> {
    match ttl {
        Some(ttl) => cluster::expire(docker, name, SystemTime::now() + ttl).await,
        // What an earlier sandbox of this name was given is not this one's.
        None if *node == NodeState::Absent => cluster::forget_expiry(docker, name).await,
        None => Ok(()),
    }
}

/// What could not be done within a node that has gone down is told by that: both are seen at the same moment.
async fn told_by_the_node(failure: Failure, plan: &Plan, ground: &Ground) -> Failure {
    let within = ["cannot run `", "cannot read a file in a container"];
    if failure.reason != Reason::Docker || !within.iter().any(|what| failure.what.starts_with(what)) {
        return failure;
    }
    let settled = Deadline::after(GOING);
    while !settled.remaining().is_zero() {
        if let Some(gone) = cluster::gone(&ground.docker, &plan.spec.name).await {
            return gone;
        }
        tokio::time::sleep(GOING / 20).await;
    }
    failure
}

/// Awaits `work`, unless the node goes down: an API that is gone for good looks like one that is away for a moment.
async fn while_node_runs<T>(
    plan: &Plan,
    ground: &Ground,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        failure = cluster::watch_node(&ground.docker, &plan.spec.name) => Err(failure),
    }
}

/// Whether there is nothing to do but to prove it, which this does.
async fn is_unchanged(
    plan: &Plan,
    host: &Host,
    ground: &Ground,
    executions: Executions,
    run: &Run,
) -> Result<bool, Failure> {
    let Ok(running) = Running::find(&plan.spec.name, host).await else { return Ok(false) };
    if !is_as_planned(&running.client, Some(&running.inventory), plan).await? {
        return Ok(false);
    }
    run.stage(Stage::Cluster, async {
        let cluster = ensure(plan, &plan.cluster, host, ground, run).await?;
        Ok(((), cluster.outcome, summary(plan, ground)))
    })
    .await?;
    registration::reconcile(&running.client, &plan.spec, run).await?;
    storage::admit(&running.client, &plan.spec, Some(&running.inventory), run).await?;
    storage::dismiss(&running.client, &plan.spec, run).await?;
    prove(&plan.spec, running.client, SETTLED, executions, run).await?;
    Ok(true)
}

/// The image that the node is made from. Where it is not here nothing can begin, so all images are pulled first: what is
/// missing is told in one go, and k3d never pulls, which it does without a word and without an end.
async fn obtain_node(plan: &Plan, ground: &Ground, run: &Run) -> Result<(), Failure> {
    let node_image = &plan.cluster.node_image;
    if ground.docker.image(node_image).await?.is_some() {
        return Ok(());
    }
    let all: Vec<_> = std::iter::once(node_image).chain(&plan.images).cloned().collect();
    run.stage(Stage::Images, async {
        let images = images::obtain(&ground.docker, &all, &plan.spec.registry_mirrors, run).await?;
        Ok(((), Outcome::Passed, format!("{} images here", images.len())))
    })
    .await
}

/// A cluster whose node is ready, with everything in it but workloads.
struct Standing {
    cluster: Cluster,
    client: Client,
    before: Option<Inventory>,
}

async fn stand(
    plan: &Plan,
    host: &Host,
    ground: &Ground,
    options: &Options<'_>,
    run: &Run,
) -> Result<Standing, Failure> {
    let mut shape = plan.cluster.clone();
    let claim = match (&ground.node, options.store) {
        (NodeState::Absent | NodeState::Unstarted, true) => claim_store(plan, host, ground).await?,
        _ => None,
    };
    shape.store = claim.as_ref().map(|claim| claim.volume.clone());
    run.stage(Stage::Cluster, async {
        let cluster = ensure(plan, &shape, host, ground, run).await?;
        drop(claim);
        let client = kubernetes::client(&cluster.kubeconfig)?;
        let before = while_node_runs(plan, ground, converge::foundation(&client, plan, run)).await?;
        let outcome = cluster.outcome;
        Ok((Standing { cluster, client, before }, outcome, summary(plan, ground)))
    })
    .await
}

/// A cluster of this shape whose node is ready, and the user's way into it.
async fn ensure(plan: &Plan, shape: &ClusterPlan, host: &Host, ground: &Ground, run: &Run) -> Result<Cluster, Failure> {
    let cluster = cluster::ensure(&ground.docker, &ground.engine, shape, run).await?;
    let state = host.state.sandbox(&plan.spec.name);
    state.write(&state.kubeconfig(), &cluster.kubeconfig)?;
    Ok(cluster)
}

/// Who made a node that was there before is not known.
fn summary(plan: &Plan, ground: &Ground) -> String {
    let made_here = ground.node.is_ours_to_make();
    let by = if made_here { format!(" by {}", ground.engine) } else { String::new() };
    format!("Kubernetes {}{by}; node Ready", plan.spec.kubernetes)
}

/// The machine's image store for this set of images, unless all of them are in use.
async fn claim_store(plan: &Plan, host: &Host, ground: &Ground) -> Result<Option<Claim>, Failure> {
    let Some(node_image) = ground.docker.image(&plan.cluster.node_image).await? else { return Ok(None) };
    let all: Vec<_> = plan.all_images().cloned().collect();
    images::claim(&ground.docker, &images::store_key(&all, &node_image.id), host.state.path()).await
}

/// All images in the node: the workloads' must come, k3s' own are carried over where they are here.
async fn images(plan: &Plan, ground: &Ground, run: &Run) -> Result<(), Failure> {
    run.stage(Stage::Images, async {
        let docker = &ground.docker;
        let mirrors = &plan.spec.registry_mirrors;
        // What the node would get by itself does not come from a mirror there.
        let (mirrored, own): (Vec<_>, Vec<_>) =
            plan.node_images.iter().cloned().partition(|image| mirrors.name(image).is_some());
        let workloads = plan.images.iter().cloned().chain(mirrored).collect::<Vec<_>>();
        let mut wanted = images::obtain(docker, &workloads, mirrors, run).await?;
        let own = images::resolve(docker, &own).await?;
        wanted.extend(own.into_iter().filter_map(|presence| match presence {
            Presence::Present(image) => Some(image),
            Presence::Absent(_) => None,
        }));
        let loaded = images::load(docker, &plan.cluster.node(), &wanted, run).await?;
        let outcome = if loaded.imported == 0 { Outcome::Unchanged } else { Outcome::Passed };
        let summary = match loaded.imported {
            0 => format!("{} images, all in the node", loaded.present),
            new => format!("{new} images into the node, {} MB; {} were there", loaded.bytes >> 20, loaded.present),
        };
        Ok(((), outcome, summary))
    })
    .await
}
