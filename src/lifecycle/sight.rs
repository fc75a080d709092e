//! A sandbox that runs, as it is seen without its spec.

use std::time::SystemTime;

use kube::Client;

use super::admin;
use super::observed::{Restart, restarts, stale};
use crate::failure::{Failure, Reason};
use crate::flyte::admin::{Execution, ExecutionList, Request};
use crate::kubernetes::{Inventory, ask};
use crate::limits::{API_ANSWER, STATUS_ANSWERS};
use crate::report::{Endpoint, Waiting};
use crate::rollout;
use crate::site::{self, Host, Phase, Running, Site};
use crate::smoke::{self, Answer};
use crate::spec::Spec;

/// A sandbox that runs, as it is seen without its spec.
#[derive(Debug)]
pub struct Sight {
    /// Whether it is only played.
    pub rehearsal: bool,
    /// What was applied of its workloads, such as `deployment/flyteadmin`, with the component's name.
    pub workloads: Vec<(String, String)>,
    /// Those that are not ready, and pods whose status is older than their node's start.
    pub waiting: Vec<Waiting>,
    /// Containers that died since the node started, and what of.
    pub restarts: Vec<Restart>,
    /// What the endpoints answered just now.
    pub answers: Vec<Answer>,
    /// Where to go.
    pub endpoints: Vec<Endpoint>,
    /// Each project with each domain.
    pub places: Vec<(String, String)>,
}

/// What pods and endpoints say.
pub(super) struct Seen {
    pub(super) answers: Vec<Answer>,
    /// What waits, and what died.
    pub(super) pods: Result<(Vec<Waiting>, Vec<Restart>), Failure>,
}

/// What pods and endpoints of a sandbox say now.
pub(super) async fn seen(client: &Client, inventory: &Inventory, node_started: Option<SystemTime>) -> Seen {
    let workloads: Vec<_> = inventory.workloads().cloned().collect();
    let system = inventory.spec.system_namespace();
    let (answers, waiting, lives) = tokio::join!(
        Box::pin(smoke::answers(&inventory.spec, client, STATUS_ANSWERS)),
        rollout::ready_now(client, &workloads),
        rollout::lives_within(client, &system),
    );
    let pods = waiting.and_then(|mut waiting| {
        let lives = lives?;
        waiting.extend(stale(&lives, node_started));
        Ok((waiting, restarts(&lives, node_started)))
    });
    Seen { answers, pods }
}

/// The sandbox of this name, and access to it.
///
/// # Errors
/// [`Reason::NotFound`]: it does not run; or why it does not answer.
pub async fn sight(name: &str, host: &Host) -> Result<(Sight, Running), Failure> {
    let overview = Site::resolve(name, None, host)?.overview().await?;
    let running = match overview.phase {
        Phase::Running(running) => (*running)?,
        Phase::Absent | Phase::Stopped | Phase::Frozen | Phase::Broken => {
            return Err(Failure::new(Reason::NotFound, "the sandbox does not run").on(format!("sandbox {name}")));
        }
    };
    let Running { inventory, client, rehearsal, .. } = &running;
    let seen = seen(client, inventory, overview.node_started).await;
    let (waiting, restarts) = seen.pods?;
    let spec = &inventory.spec;
    let name_of = |kind: &str, name: &str| format!("{}/{name}", kind.to_lowercase());
    let domains = || spec.domains.iter().map(|domain| domain.id.clone());
    let sight = Sight {
        rehearsal: *rehearsal,
        workloads: inventory.workloads().map(|one| (name_of(&one.kind, &one.name), one.name.clone())).collect(),
        waiting,
        restarts,
        answers: seen.answers,
        endpoints: site::endpoints(spec),
        places: spec
            .projects
            .iter()
            .flat_map(|project| domains().map(move |domain| (project.clone(), domain)))
            .collect(),
    };
    Ok((sight, running))
}

/// The newest executions of a project in a domain, as admin has them. Who asks for several asks one after another: admin
/// v0.6.13 does not survive two first calls of a kind.
///
/// # Errors
/// [`Reason::AdminFailing`] with admin's words.
pub async fn newest_executions(
    client: &Client,
    spec: &Spec,
    (project, domain): (&str, &str),
    limit: usize,
) -> Result<Vec<Execution>, Failure> {
    let request = Request::newest_executions(project, domain, limit);
    let listed = ask(API_ANSWER, admin::send::<ExecutionList>(client, spec, request)).await;
    let failed = |error| Failure::new(Reason::AdminFailing, "cannot list the executions").because(error);
    listed.map(|list| list.executions).map_err(failed)
}
