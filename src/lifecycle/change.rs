//! A change to the spec of a sandbox that runs.
//!
//! The spec that a sandbox was brought up for is in its inventory. A change is that spec edited, brought about as `up`
//! does it: what the edit does not touch is rendered as it was, and stays as it is.

use std::time::Duration;

use super::compare::is_as_planned;
use super::converge::UnderWay;
use super::retention::Removal;
use super::verify::verify_with_work;
use super::{converge, rollback};
use crate::failure::{Failure, Reason};
use crate::issuer;
use crate::kubernetes::{self, Inventory};
use crate::limits::CHECKS_AFTER_UP;
use crate::manifest::Bundle;
use crate::plan::{Difference, Plan};
use crate::render::{RenderError, render};
use crate::report::{Outcome, Stage};
use crate::run::Run;
use crate::site::{self, Host, Running, Site};
use crate::smoke::{Executions, Target};
use crate::spec::Spec;
use crate::state::SandboxLock;

/// A change to the spec of a sandbox that runs.
pub(super) struct SpecChange<'a> {
    /// The sandbox's name.
    pub(super) name: &'a str,
    /// The command, as the lock's holder.
    pub(super) command: &'static str,
    /// The manifests that the sandbox was brought up with, where they are not its release's.
    pub(super) bundle: Option<Bundle>,
    /// Which of the projects that the spec then lacks are removed.
    pub(super) removal: Removal<'a>,
    /// Where a workflow is run in the end.
    pub(super) executions: Executions,
}

impl SpecChange<'_> {
    fn bundle(&self, spec: &Spec) -> Result<Bundle, Failure> {
        let given = self.bundle.clone().map(Ok);
        Ok(given.unwrap_or_else(|| Bundle::embedded(spec.flyte)).map_err(RenderError::from)?)
    }

    /// Takes the sandbox's lock, edits the spec it runs with, and brings it to that. The edit may say that nothing is to
    /// be done.
    pub(super) async fn apply(
        self,
        host: &Host,
        run: &Run,
        edit: impl AsyncFnOnce(&Spec) -> Result<Option<Spec>, Failure>,
    ) -> Result<Outcome, Failure> {
        let (_lock, running) = self.hold(host).await?;
        let Running { client, inventory: before, .. } = running;
        let planned = run.stage(Stage::Plan, async {
            let Some(mut spec) = edit(&before.spec).await? else {
                return Ok((None, Outcome::Unchanged, "nothing to change".to_owned()));
            };
            // A project that comes has no keys yet.
            let issued = issuer::issue(&spec, Duration::ZERO, &host.variables, run).await?;
            spec.storage.issued.extend(issued);
            let (plan, summary) = self.plan(&before, spec)?;
            Ok((Some(plan), Outcome::Passed, summary))
        });
        let Some(plan) = planned.await? else { return Ok(Outcome::Unchanged) };
        if is_as_planned(&client, Some(&before), &plan).await? {
            let settled = converge::reconcile_settings(&client, &plan.spec, &before, None, self.removal, run).await?;
            return Ok(if settled.changed { Outcome::Passed } else { Outcome::Unchanged });
        }
        Site::of(&plan.spec, host)?.check_rights(&plan, run).await?;
        // Where none is run in the end, that one ran before still holds.
        let is_proven = self.executions != Executions::None || before.proven;
        let before = converge::apply_prerequisites(&client, &plan, run).await?;
        converge::roll_out(&client, &plan, before, self.removal, UnderWay::nothing(), run).await?;
        let target = Target { spec: &plan.spec, client, budget: CHECKS_AFTER_UP, executions: self.executions };
        verify_with_work(&target, host, run).await?;
        if is_proven {
            kubernetes::mark_proven(&target.client, &plan.spec.system_namespace(), run).await?;
        }
        Ok(Outcome::Passed)
    }

    /// The sandbox, and the right to change it.
    async fn hold(&self, host: &Host) -> Result<(SandboxLock, Running), Failure> {
        let state = host.state.sandbox(self.name);
        let lock = state.lock(self.command)?;
        match site::running(self.name, host).await {
            Ok(running) => Ok((lock, running)),
            Err(failure) if state.path().is_dir() => Err(failure),
            // A lock without a sandbox is a leftover itself.
            Err(failure) => Err(rollback::forget(failure, &state, &lock)),
        }
    }

    /// The plan for the changed spec. What runs must be what these manifests make of the spec as it was: only then is
    /// the edit all that changes.
    fn plan(&self, running: &Inventory, spec: Spec) -> Result<(Plan, String), Failure> {
        let made = Plan::new(running.spec.clone(), render(&running.spec, self.bundle(&running.spec)?)?)?;
        if running.digest.as_ref().is_some_and(|digest| *digest != made.digest) {
            let name = &spec.name;
            return Err(Failure::new(Reason::Manifests, "the sandbox runs something else than these manifests make")
                .on(format!("sandbox {name}"))
                .because("it was brought up with other manifests, or by another version of this program")
                .hint("`--manifests` names the ones that it was brought up with")
                .hint(format!(
                    "`sandbox up --name {name}` brings it to these, and `sandbox plan` shows what that changes"
                )));
        }
        let plan = Plan::new(spec.clone(), render(&spec, self.bundle(&spec)?)?)?;
        let difference = Difference::between(&running.spec, &running.objects, &plan);
        let Difference { created, changed, pruned, .. } = difference;
        let summary = format!("{} to create, {} to change, {} to remove", created.len(), changed.len(), pruned.len());
        Ok((plan, summary))
    }
}
