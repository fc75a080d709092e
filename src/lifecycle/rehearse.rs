//! From whatever there is to a sandbox that is played, and back. The stages are those of any other sandbox; what is
//! played is the cluster.

use super::compare::is_as_planned;
use super::proof::prove;
use super::{Done, Host, Options, converge, endpoints, undo};
use crate::cluster::{self, Cluster};
use crate::evidence::Subject;
use crate::failure::{Failure, Reason};
use crate::kubernetes;
use crate::plan::Plan;
use crate::preflight;
use crate::rehearsal::{BANNER, Rehearsal};
use crate::report::{Event, Outcome, Stage};
use crate::run::Run;
use crate::smoke::{self, Executions};
use crate::state::StateDir;

/// Says on every surface that what follows is played.
pub(super) fn tell(run: &Run) {
    run.report.emit(Event::Rehearsal { message: BANNER.to_owned() });
}

/// Makes the sandbox that the plan describes as a rehearsal, or brings the one there is to it.
pub(super) async fn up(plan: &Plan, host: &Host, options: Options<'_>, run: &Run) -> Result<Done, Failure> {
    tell(run);
    let name = &plan.spec.name;
    let state = host.state.sandbox(name);
    let lock = state.lock("up")?;
    let found = match run.stage(Stage::Preflight, look(plan, &options, &state, run)).await {
        Ok(found) => found,
        Err(failure) => {
            let fresh = !state.path().exists();
            let left = if fresh { state.remove(&lock).err() } else { None };
            return Err(failure.evidence(left.map(|left| left.to_string())));
        }
    };
    let made_here = found.is_none();
    match bring(plan, host, found, &options, &state, run).await {
        Ok(outcome) => {
            run.report.emit(endpoints::ready(&plan.spec, &state));
            let summary = match outcome {
                Outcome::Unchanged => format!("REHEARSAL: sandbox {name} is as it should be"),
                _ => format!("REHEARSAL: sandbox {name} is ready"),
            };
            Ok(Done { outcome, summary })
        }
        Err(failure) => {
            let played = Rehearsal::find(&state);
            let failure = save_evidence(failure, plan, played.as_ref(), host, run).await;
            if !made_here || options.keep {
                return Err(undo::also(failure, format!("`sandbox down --name {name}` removes the sandbox")));
            }
            let failure = undo::undo(failure, name, run, end(played.as_ref())).await;
            Err(undo::forget(failure, &state, &lock))
        }
    }
}

/// Ends the process that plays, and says which that was.
pub(super) async fn end(played: Option<&Rehearsal>) -> Result<String, Failure> {
    let Some(played) = played else { return Ok("nothing to remove".to_owned()) };
    played.stop().await?;
    Ok(played.pid().map_or_else(|| "the rehearsal had ended".to_owned(), |pid| format!("process {pid}")))
}

/// What there is to go on from: a rehearsal that runs and is as asked for, or nothing.
async fn look(
    plan: &Plan,
    options: &Options<'_>,
    state: &StateDir,
    run: &Run,
) -> Result<(Option<Rehearsal>, Outcome, String), Failure> {
    let name = &plan.spec.name;
    let found = Rehearsal::find(state);
    if found.is_none() && state.kubeconfig().exists() {
        return Err(Failure::new(Reason::SandboxDiffers, "the sandbox that is there is no rehearsal")
            .on(format!("sandbox {name}"))
            .hint("`--name` chooses another name, so that both can be there")
            .hint(format!("`sandbox down --name {name}` removes it")));
    }
    if let Some(found) = found.filter(Rehearsal::runs) {
        if found.is_of(plan, &options.faults) {
            return Ok((Some(found), Outcome::Passed, "it is played already".to_owned()));
        }
        return Err(Failure::new(Reason::SandboxDiffers, "the rehearsal that is there is not as asked for")
            .on(format!("sandbox {name}"))
            .because("its ports, its Kubernetes or its faults are others")
            .hint(format!("`sandbox down --name {name}` and then `up` makes it anew")));
    }
    let findings = preflight::rehearsal(&plan.cluster);
    for finding in &findings {
        run.report.emit(finding.event());
    }
    preflight::blockers(&findings)?;
    Ok((None, Outcome::Passed, format!("{} checks", findings.len())))
}

async fn bring(
    plan: &Plan,
    host: &Host,
    found: Option<Rehearsal>,
    options: &Options<'_>,
    state: &StateDir,
    run: &Run,
) -> Result<Outcome, Failure> {
    let again = if options.executions == Executions::All { Executions::All } else { Executions::None };
    let (played, cluster, client, before) = run
        .stage(Stage::Cluster, async {
            let outcome = if found.is_some() { Outcome::Unchanged } else { Outcome::Passed };
            let played = match found {
                Some(found) => found,
                None => Rehearsal::start(plan, options.faults.clone(), state, &host.program, run).await?,
            };
            let kubeconfig = played.kubeconfig().unwrap_or_default();
            state.write(&state.kubeconfig(), &kubeconfig)?;
            let client = kubernetes::client(&kubeconfig)?;
            let cluster = Cluster { name: plan.spec.name.clone(), kubeconfig, outcome };
            let summary =
                format!("Kubernetes {}, played by process {}", plan.spec.kubernetes, played.pid().unwrap_or(0));
            let before = kubernetes::find(&client).await?;
            Ok(((played, cluster, client, before), outcome, summary))
        })
        .await?;
    if is_as_planned(&client, before.as_ref(), plan).await? {
        prove(&plan.spec, client, smoke::BUDGET, again, run).await?;
        return Ok(Outcome::Unchanged);
    }
    let proven = async {
        let before = converge::foundation(&client, plan, run).await?;
        converge::workloads(&client, plan, before, cluster::wait_for_dns(&cluster, run), run).await?;
        prove(&plan.spec, client.clone(), smoke::BUDGET, options.executions, run).await
    };
    tokio::select! {
        proven = proven => proven?,
        failure = played.watch() => return Err(failure),
    }
    Ok(Outcome::Passed)
}

async fn save_evidence(failure: Failure, plan: &Plan, played: Option<&Rehearsal>, host: &Host, run: &Run) -> Failure {
    let none = no_docker();
    let why = failure.clone();
    let subject = Subject {
        name: &plan.spec.name,
        why: Err(&why),
        plan: Ok(plan),
        docker: Err(&none),
        given: None,
        kubeconfig: played.and_then(Rehearsal::kubeconfig),
        engine: Ok("rehearsal".to_owned()),
        secrets: Vec::new(),
        since: run.report.began(),
    };
    undo::save_evidence(failure, &subject, host, run).await
}

/// Why nothing is known of Docker.
pub(super) fn no_docker() -> Failure {
    Failure::new(Reason::DockerAbsent, "a rehearsal has no Docker")
}
