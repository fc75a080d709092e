//! A sandbox on a given cluster: which one that is, what is missing there, and from whatever there is to a proven sandbox.

use tokio_util::sync::CancellationToken;

use super::compare::is_as_planned;
use super::proof::{SETTLED, prove};
use super::{Done, Host, Options, converge, endpoints, registration, storage, undo, withdraw};
use crate::context::{Access, Place, Seen, look};
use crate::evidence::{Given, Subject};
use crate::failure::{Failure, Reason};
use crate::kubernetes::{self, Inventory};
use crate::plan::Plan;
use crate::preflight;
use crate::report::{Outcome, Severity, Stage};
use crate::run::{Deadline, Run};
use crate::smoke::{self, Executions};
use crate::state::StateDir;

/// Where the sandbox of this name is, if this machine knows it to be on a given cluster.
///
/// # Errors
/// [`Reason::StateUnwritable`]: what is kept on this machine cannot be read.
pub fn known_place(name: &str, host: &Host) -> Result<Option<Place>, Failure> {
    let path = host.state.sandbox(name).place();
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::new(Reason::StateUnwritable, "cannot read on which cluster the sandbox is")
            .on(path.display())
            .because(error)
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| unreadable(&error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&error)),
    }
}

/// Where the sandbox of a plan is: where this machine knows it to be, or else where the plan wants it.
pub(super) fn place_of(plan: &Plan, host: &Host) -> Result<Option<Place>, Failure> {
    Ok(known_place(&plan.spec.name, host)?.or_else(|| Place::of(&plan.spec)))
}

impl Host {
    /// A way into a given cluster.
    ///
    /// # Errors
    /// As [`Access::to`].
    pub(super) fn access(&self, place: &Place) -> Result<Access, Failure> {
        Access::to(place, &self.variables, self.home.as_deref())
    }
}

/// That a sandbox of the plan's name is elsewhere already, as far as this machine knows.
///
/// # Errors
/// [`Reason::SandboxDiffers`]: it is.
pub(super) fn not_elsewhere(plan: &Plan, host: &Host) -> Result<(), Failure> {
    let name = &plan.spec.name;
    let known = known_place(name, host)?;
    let wanted = Place::of(&plan.spec);
    let here = host.state.sandbox(name).kubeconfig().exists();
    let is = match (&known, &wanted) {
        (Some(known), Some(wanted)) if (&known.context, &known.namespace) == (&wanted.context, &wanted.namespace) => {
            return Ok(());
        }
        (Some(known), _) => format!("it is in namespace {} of context {}", known.namespace, known.context),
        (None, Some(_)) if here => "it is on this machine".to_owned(),
        (None, _) => return Ok(()),
    };
    Err(Failure::new(Reason::SandboxDiffers, "the sandbox that is there is not as asked for")
        .on(format!("sandbox {name}"))
        .because(is)
        .hint(format!("`sandbox down --name {name}` removes it"))
        .hint("`--name` chooses another name, so that both can be there"))
}

/// Looks at all that could stand in the way, tells every finding, and passes where nothing does.
pub(super) async fn ground(plan: &Plan, host: &Host, run: &Run) -> Result<((Access, Seen), Outcome, String), Failure> {
    not_elsewhere(plan, host)?;
    let place =
        place_of(plan, host)?.ok_or_else(|| Failure::new(Reason::Internal, "the plan is for no given cluster"))?;
    let access = host.access(&place)?;
    let seen = look(&access, plan, run).await?;
    seen.findings.iter().for_each(|finding| run.report.emit(finding.event()));
    preflight::blockers(&seen.findings)?;
    let warnings = seen.findings.iter().filter(|finding| finding.severity == Severity::Warning).count();
    let told = if warnings == 0 { String::new() } else { format!(", {warnings} warnings") };
    let summary = format!("{} checks{told}", seen.findings.len());
    Ok(((access, seen), Outcome::Passed, summary))
}

/// As [`up`](super::up()), on a given cluster.
pub(super) async fn up(plan: &Plan, host: &Host, options: Options<'_>, run: &Run) -> Result<Done, Failure> {
    let name = &plan.spec.name;
    let state = host.state.sandbox(name);
    let lock = state.lock("up")?;
    let fresh = !state.place().exists() && !state.kubeconfig().exists();
    let looked = async {
        let (access, seen) = run.stage(Stage::Preflight, ground(plan, host, run)).await?;
        let before = kubernetes::find_within(&access.client, &plan.spec.system_namespace()).await?;
        Ok((access, seen, before))
    };
    let (access, seen, before) = match looked.await {
        Ok(looked) => looked,
        Err(failure) => {
            // The lock is all that was made.
            let left = if fresh { state.remove(&lock).err() } else { None };
            return Err(Failure::evidence(failure, left.map(|left| left.to_string())));
        }
    };
    keep_place(&state, plan, &access)?;
    match bring(plan, &access, &seen, before.as_ref(), &options, run).await {
        Ok(outcome) => {
            run.report.emit(endpoints::ready(&plan.spec, &state));
            let word = if outcome == Outcome::Unchanged { "is as it should be" } else { "is ready" };
            Ok(Done { outcome, summary: format!("sandbox {name} {word}") })
        }
        Err(failure) => {
            let failure = save_evidence(failure, plan, &access, host, run).await;
            if before.is_some() || options.keep {
                return Err(undo::also(failure, format!("`sandbox down --name {name}` removes the sandbox")));
            }
            let failure = take_back(failure, plan, &access, run).await;
            Err(undo::forget(failure, &state, &lock))
        }
    }
}

/// For commands without a spec, and for a context that leads elsewhere one day.
fn keep_place(state: &StateDir, plan: &Plan, access: &Access) -> Result<(), Failure> {
    let Some(place) = Place::of(&plan.spec) else { return Ok(()) };
    let place = Place { server: Some(access.server.clone()), ..place };
    let text = serde_json::to_string_pretty(&place)
        .map_err(|error| Failure::new(Reason::Internal, "cannot keep where the sandbox is").caused_by(error))?;
    state.write(&state.place(), &text)
}

async fn bring(
    plan: &Plan,
    access: &Access,
    seen: &Seen,
    before: Option<&Inventory>,
    options: &Options<'_>,
    run: &Run,
) -> Result<Outcome, Failure> {
    let client = &access.client;
    run.stage(Stage::Cluster, async {
        let context = plan.spec.context.as_deref().unwrap_or_default();
        let summary = format!(
            "Kubernetes {} of context {context}; {} namespaces given",
            seen.version,
            plan.spec.namespaces().len()
        );
        Ok(((), Outcome::Unchanged, summary))
    })
    .await?;
    if is_as_planned(client, before, plan).await? {
        registration::reconcile(client, &plan.spec, run).await?;
        storage::admit(client, &plan.spec, before, run).await?;
        storage::dismiss(client, &plan.spec, run).await?;
        let again = if options.executions == Executions::All { Executions::All } else { Executions::None };
        prove(&plan.spec, client.clone(), SETTLED, again, run).await?;
        return Ok(Outcome::Unchanged);
    }
    if options.bundle.is_some() {
        run.report.warn("`--bundle` is of no use here: nothing is loaded into the nodes of a given cluster");
    }
    run.stage(Stage::Images, async {
        let summary =
            format!("{} images, which the cluster pulls: nothing was loaded into its nodes", plan.images.len());
        Ok(((), Outcome::Skipped, summary))
    })
    .await?;
    let before = converge::foundation(client, plan, run).await?;
    converge::workloads(client, plan, before, async { Ok(()) }, run).await?;
    prove(&plan.spec, client.clone(), smoke::BUDGET, options.executions, run).await?;
    Ok(Outcome::Passed)
}

async fn save_evidence(failure: Failure, plan: &Plan, access: &Access, host: &Host, run: &Run) -> Failure {
    let (why, nowhere) = (failure.clone(), no_docker());
    let subject = Subject {
        name: &plan.spec.name,
        why: Err(&why),
        plan: Ok(plan),
        docker: Err(&nowhere),
        given: Some(Given { client: &access.client, namespaces: plan.spec.namespaces() }),
        kubeconfig: None,
        engine: Ok(engine(Place::of(&plan.spec).as_ref())),
        secrets: Vec::new(),
        since: run.report.began(),
    };
    undo::save_evidence(failure, &subject, host, run).await
}

/// What stands in evidence in the place of Docker's.
pub(super) fn no_docker() -> Failure {
    Failure::new(Reason::NotFound, "the sandbox is on a given cluster, and has nothing in Docker")
}

/// As evidence names the engine.
pub(super) fn engine(place: Option<&Place>) -> String {
    place.map_or_else(|| "context".to_owned(), |place| format!("context {}", place.context))
}

/// Removes what the run made, and looks whether it is gone, whether or not the run was stopped.
async fn take_back(failure: Failure, plan: &Plan, access: &Access, run: &Run) -> Failure {
    let name = &plan.spec.name;
    let anew = Run { deadline: Deadline::after(withdraw::BUDGET), cancel: CancellationToken::new(), ..run.clone() };
    let removal = async {
        let removed = withdraw::all(&access.client, &plan.spec.system_namespace(), name, &anew).await;
        let removed = removed.map_err(|mut failure| {
            if failure.leftovers.is_empty() {
                failure.leftovers.push(format!("what the cluster has of sandbox {name}"));
            }
            failure
        })?;
        Ok(format!("{removed} objects removed; the namespaces stay"))
    };
    undo::undo(failure, name, run, removal).await
}

/// As [`doctor`](super::doctor()), on a given cluster.
pub(super) async fn doctor(plan: &Plan, host: &Host, run: &Run) -> Result<Done, Failure> {
    run.stage(Stage::Preflight, ground(plan, host, run)).await?;
    Ok(Done { outcome: Outcome::Passed, summary: "nothing is in the way".to_owned() })
}

/// As [`down`](super::down()), on a given cluster. The namespaces stay, and so do all things that others made in them.
pub(super) async fn down(name: &str, place: &Place, host: &Host, run: &Run) -> Result<Done, Failure> {
    let state = host.state.sandbox(name);
    let lock = state.lock("down")?;
    let removed = run
        .stage(Stage::Down, async {
            let access = host.access(place)?;
            let removed = withdraw::all(&access.client, &place.namespace, name, run).await?;
            let outcome = if removed == 0 { Outcome::Unchanged } else { Outcome::Passed };
            Ok((removed, outcome, format!("{removed} objects removed; the namespaces stay")))
        })
        .await;
    let removed = match removed {
        Ok(removed) => removed,
        Err(failure) => {
            if !state.path().exists() {
                state.remove(&lock)?;
            }
            return Err(failure);
        }
    };
    state.remove(&lock)?;
    Ok(match removed {
        0 => {
            Done { outcome: Outcome::Unchanged, summary: format!("there is no sandbox {name} in {}", place.namespace) }
        }
        _ => Done { outcome: Outcome::Passed, summary: format!("sandbox {name} is gone") },
    })
}
