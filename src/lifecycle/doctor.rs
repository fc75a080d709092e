//! What would stand in the way of `up`.

use super::{Done, Host, given, ground, rehearse};
use crate::failure::Failure;
use crate::plan::Plan;
use crate::preflight;
use crate::report::{Outcome, Stage};
use crate::run::Run;
use crate::spec::EngineKind;

/// Looks for what would stand in the way of [`up`](super::up()), and makes nothing.
///
/// # Errors
/// Something does.
pub async fn doctor(plan: &Plan, host: &Host, run: &Run) -> Result<Done, Failure> {
    if plan.spec.is_on_given_cluster() {
        return given::doctor(plan, host, run).await;
    }
    if plan.spec.engine == Some(EngineKind::Rehearsal) {
        rehearse::tell(run);
        let findings = preflight::rehearsal(&plan.cluster);
        findings.iter().for_each(|finding| run.report.emit(finding.event()));
        preflight::blockers(&findings)?;
        return Ok(Done { outcome: Outcome::Passed, summary: "nothing is in the way of a rehearsal".to_owned() });
    }
    let state = host.state.sandbox(&plan.spec.name);
    let fresh = !state.path().exists();
    let looked = run.stage(Stage::Preflight, ground::look(plan, host, run)).await;
    if fresh {
        let _ = std::fs::remove_dir_all(state.path());
    }
    looked.map(|_| Done { outcome: Outcome::Passed, summary: "nothing is in the way".to_owned() })
}
