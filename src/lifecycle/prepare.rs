//! From a spec and manifests to the plan for a sandbox, with the keys that somebody else issues.

use std::time::Duration;

use kube::Client;

use super::retention::{Prune, follow, follow_same_release, must_be_of_release, warn_of_kept};
use crate::failure::Failure;
use crate::issuer;
use crate::kubernetes;
use crate::limits::REGISTRATION;
use crate::manifest::{Bundle, ImageRef};
use crate::plan::Plan;
use crate::render::{Rendered, render};
use crate::report::{About, Event, Fact, Outcome, Severity, Stage};
use crate::run::Run;
use crate::site::Host;
use crate::spec::Spec;

/// Keys that end sooner than this are not brought into a sandbox, and replaced in one.
const SOON: Duration = Duration::from_secs(600);

/// What a sandbox is made from.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the user asks for.
    pub spec: Spec,
    /// Flyte's manifests.
    pub bundle: Bundle,
}

impl Request {
    /// The plan for it, as the first stage of a run. Warnings of the transforms are told.
    ///
    /// # Errors
    /// The manifests cannot be used.
    pub async fn plan(self, run: &Run) -> Result<Plan, Failure> {
        run.stage(Stage::Plan, async { self.render(run) }).await
    }

    fn render(self, run: &Run) -> Result<(Plan, Outcome, String), Failure> {
        let rendered = render(&self.spec, self.bundle.clone())?;
        self.with(rendered, run)
    }

    fn with(self, rendered: Rendered, run: &Run) -> Result<(Plan, Outcome, String), Failure> {
        for warning in &rendered.warnings {
            match warning.matters() {
                true => run.report.warn(warning.to_string()),
                false => run.report.emit(Event::Finding {
                    check: "manifests".to_owned(),
                    severity: Severity::Fine,
                    message: warning.to_string(),
                    hints: Vec::new(),
                }),
            }
        }
        let plan = Plan::new(self.spec, rendered)?;
        run.report.emit(versions(&plan));
        let summary = format!("{} objects in {} waves", plan.objects().count(), plan.waves.len());
        Ok((plan, Outcome::Passed, summary))
    }
}

/// The plan for a sandbox whose lock is held: each project has a key, the one that its sandbox has or, where there is
/// none or it ends soon, a new one. Projects and domains that stay are in it, and told. Of one that is made anew, where
/// `prune` is absent, it takes nothing.
pub(super) async fn plan_with_keys(
    mut request: Request,
    prune: Option<Prune>,
    host: &Host,
    run: &Run,
) -> Result<Plan, Failure> {
    run.stage(Stage::Plan, async {
        let Request { spec, bundle } = &mut request;
        let asked = async |spec: &mut Spec| {
            if let Some(prune) = prune {
                warn_of_kept(&follow_same_release(spec, prune, host, run).await?, run);
            }
            issue_keys(spec, host, run).await
        };
        let (rendered, ()) = render_first(spec, bundle, asked).await?;
        request.with(rendered, run)
    })
    .await
}

/// What the plan runs, by name and version.
fn versions(plan: &Plan) -> Event {
    let Spec { flyte, kubernetes, node_image, engine, .. } = &plan.spec;
    let mut facts = vec![Fact::new("Flyte", flyte)];
    if plan.spec.scope().owns_cluster {
        facts.extend([Fact::new("Kubernetes", kubernetes), Fact::new("node", node_image)]);
    }
    facts.extend(engine.map(|engine| Fact::new("engine", engine.name())));
    let name = |image: &ImageRef| image.repository().rsplit('/').next().unwrap_or_default().to_owned();
    facts.extend(plan.images.iter().map(|image| Fact::new(name(image), image)));
    Event::Facts { about: About::Versions, facts }
}

/// Renders a bundle before what may change the spec, and again where it did: manifests that cannot be used are told before
/// anybody is asked for anything. Keys of an issuer are part of what is rendered, so that comes after `asked`, then.
///
/// # Errors
/// The manifests cannot be used, or `asked` fails.
pub async fn render_first<T>(
    spec: &mut Spec,
    bundle: &Bundle,
    asked: impl AsyncFnOnce(&mut Spec) -> Result<T, Failure>,
) -> Result<(Rendered, T), Failure> {
    let before = spec.clone();
    let early = match spec.storage.credentials {
        None => Some(render(spec, bundle.clone())?),
        Some(_) => None,
    };
    let answer = asked(spec).await?;
    let rendered = match early {
        Some(early) if *spec == before => early,
        _ => render(spec, bundle.clone())?,
    };
    Ok((rendered, answer))
}

/// The plan for a sandbox that did not run when the first one was made, with the projects and domains that stay; absent where that
/// changes nothing.
pub(super) async fn plan_again(
    mut request: Request,
    prune: Prune,
    client: &Client,
    host: &Host,
    run: &Run,
) -> Result<Option<Plan>, Failure> {
    let Some(inventory) = kubernetes::find(client).await? else { return Ok(None) };
    must_be_of_release(&request.spec, &inventory.spec)?;
    let asked_for = request.spec.clone();
    let spec = &mut request.spec;
    // Admin starts with its node.
    let patient = Run { deadline: run.deadline.min(REGISTRATION), ..run.clone() };
    warn_of_kept(&follow(spec, &inventory, prune, client, &patient).await?, run);
    if *spec == asked_for {
        return Ok(None);
    }
    issue_keys(spec, host, run).await?;
    request.render(run).map(|(plan, ..)| Some(plan))
}

async fn issue_keys(spec: &mut Spec, host: &Host, run: &Run) -> Result<(), Failure> {
    let issued = issuer::issue(spec, SOON, &host.variables, run).await?;
    spec.storage.issued.extend(issued);
    let Spec { projects, storage, .. } = spec;
    storage.issued.retain(|project, _| projects.contains(project));
    Ok(())
}
