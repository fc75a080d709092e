//! What there is to know about a sandbox in any state, on demand.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{Host, Running, given, rehearse};
use crate::cluster::{self, Engine, NodeState};
use crate::context::Place;
use crate::docker::Docker;
use crate::evidence::{self, Given, Subject};
use crate::failure::{Failure, Reason};
use crate::plan::Plan;
use crate::rehearsal::Rehearsal;
use crate::run::Run;
use crate::spec::Spec;

/// What Docker did this long ago may still explain what is.
const BEFORE: Duration = Duration::from_secs(60 * 60);
/// For each thing that is asked before the collecting.
const ANSWER: Duration = Duration::from_secs(3);

/// A folder of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Where it is.
    pub folder: PathBuf,
    /// Whether it was made now; otherwise it is what the last failure left, and the sandbox is no longer there.
    pub fresh: bool,
}

/// Saves all there is to know about the sandbox of this name: one that is well, stopped, half made, or on a daemon that
/// does not answer. Of one that is not there, the evidence of its last failure is found.
///
/// # Errors
/// [`Reason::NotFound`] when there is neither; [`Reason::StateUnwritable`].
pub async fn diagnose(name: &str, plan: Result<&Plan, &Failure>, host: &Host, run: &Run) -> Result<Diagnosis, Failure> {
    let place = given::known_place(name, host)?;
    if let Some(place) = place.or_else(|| plan.ok().and_then(|plan| Place::of(&plan.spec))) {
        return on_given(name, plan, &place, host, run).await;
    }
    if let Some(played) = Rehearsal::find(&host.state.sandbox(name)) {
        return rehearsed(name, &played, plan, host, run).await;
    }
    let docker = host.docker().await;
    let state = match &docker {
        Ok(docker) => {
            let seen = tokio::time::timeout(ANSWER, state(docker, name)).await;
            seen.unwrap_or_else(|_| Some("Docker does not answer in time".to_owned()))
        }
        Err(failure) => Some(failure.to_string()),
    };
    let Some(state) = state else {
        let earlier = evidence::latest(&host.state, name);
        return earlier.map(|folder| Diagnosis { folder, fresh: false }).ok_or_else(|| {
            Failure::new(Reason::NotFound, "there is no such sandbox, and no evidence of an earlier failure")
                .on(format!("sandbox {name}"))
                .hint(format!("`sandbox up --name {name}` makes it"))
        });
    };
    let address = docker.as_ref().map_or("", |docker| docker.endpoint().host.as_str());
    let soon = Run { deadline: run.deadline.min(ANSWER), ..run.clone() };
    let wanted = plan.ok().and_then(|plan| plan.spec.engine);
    let engine = Engine::find(wanted, &host.variables, address, host.state.path(), &soon).await;
    let subject = Subject {
        name,
        why: Ok(&state),
        plan,
        docker: docker.as_ref(),
        given: None,
        kubeconfig: None,
        engine: engine.as_ref().map(ToString::to_string),
        secrets: secrets(name, host).await,
        since: SystemTime::now() - BEFORE,
    };
    let folder = evidence::collect(&subject, &host.state, run).await?;
    Ok(Diagnosis { folder, fresh: true })
}

async fn on_given(
    name: &str,
    plan: Result<&Plan, &Failure>,
    place: &Place,
    host: &Host,
    run: &Run,
) -> Result<Diagnosis, Failure> {
    let access = host.access(place)?;
    let running = tokio::time::timeout(ANSWER, Running::at(place, name, host)).await;
    let running = running.ok().and_then(Result::ok);
    let spec = running.as_ref().map(|running| &running.inventory.spec).or_else(|| plan.ok().map(|plan| &plan.spec));
    let namespaces = spec.map_or_else(|| vec![place.namespace.clone()], Spec::namespaces);
    let nowhere = given::no_docker();
    let why = if running.is_some() {
        "the sandbox is there"
    } else {
        "the sandbox's inventory is not there, or cannot be read"
    };
    let secret = running.iter().map(|running| running.inventory.spec.storage.secret_key.expose().to_owned());
    let subject = Subject {
        name,
        why: Ok(why),
        plan,
        docker: Err(&nowhere),
        kubeconfig: None,
        given: Some(Given { client: &access.client, namespaces }),
        engine: Ok(given::engine(Some(place))),
        secrets: secret.collect(),
        since: SystemTime::now() - BEFORE,
    };
    let folder = evidence::collect(&subject, &host.state, run).await?;
    Ok(Diagnosis { folder, fresh: true })
}

async fn rehearsed(
    name: &str,
    played: &Rehearsal,
    plan: Result<&Plan, &Failure>,
    host: &Host,
    run: &Run,
) -> Result<Diagnosis, Failure> {
    let none = rehearse::no_docker();
    let why = if played.runs() { "the sandbox is played" } else { "the rehearsal's process has ended" };
    let subject = Subject {
        name,
        why: Ok(why),
        plan,
        docker: Err(&none),
        given: None,
        kubeconfig: played.kubeconfig(),
        engine: Ok("rehearsal".to_owned()),
        secrets: secrets(name, host).await,
        since: SystemTime::now() - BEFORE,
    };
    let folder = evidence::collect(&subject, &host.state, run).await?;
    Ok(Diagnosis { folder, fresh: true })
}

/// What the sandbox is doing; nothing where there is nothing of it.
async fn state(docker: &Docker, name: &str) -> Option<String> {
    match cluster::state(docker, name).await {
        Ok(NodeState::Foreign) => None,
        Ok(NodeState::Absent) => {
            let belongings = cluster::belongings(docker, name).await;
            let nothing = belongings.is_ok_and(|belongings| belongings.is_empty());
            (!nothing).then(|| "the sandbox is half made: there is no node".to_owned())
        }
        Ok(NodeState::Unstarted) => Some("the sandbox is half made: its node never ran".to_owned()),
        Ok(NodeState::Stopped) => Some("the sandbox is stopped".to_owned()),
        Ok(NodeState::Running) => Some("the sandbox runs".to_owned()),
        Ok(NodeState::Restarting { restarts, exit_code }) => {
            Some(format!("the node does not stay up: {restarts} restarts, exit code {exit_code}"))
        }
        Err(failure) => Some(failure.to_string()),
    }
}

/// Those of the sandbox as it runs: the spec may say something else by now.
pub(super) async fn secrets(name: &str, host: &Host) -> Vec<String> {
    match tokio::time::timeout(ANSWER, Running::find(name, host)).await {
        Ok(Ok(running)) => running.inventory.spec.secrets().map(|secret| secret.expose().to_owned()).collect(),
        _ => Vec::new(),
    }
}
