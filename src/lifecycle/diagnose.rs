//! The evidence of a sandbox in any state, on demand.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::evidence::{self, EvidenceRequest};
use crate::failure::{Failure, Reason};
use crate::plan::Plan;
use crate::run::Run;
use crate::runs::Folder;
use crate::site::{Host, Location, Site};

/// Docker events this old may still explain the present state.
const BEFORE: Duration = Duration::from_secs(60 * 60);

/// A folder of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Where it is.
    pub folder: PathBuf,
    /// Whether it was made now; otherwise it is what the last failure left, and the sandbox is no longer there.
    pub fresh: bool,
}

/// Saves the evidence of the sandbox of this name: one that is well, stopped, half made, or on a daemon that does not
/// answer. Of one that is not there, the evidence of its last failure is found.
///
/// # Errors
/// [`Reason::NotFound`] when there is neither; [`Reason::StateUnwritable`].
pub async fn diagnose(name: &str, plan: Result<&Plan, &Failure>, host: &Host, run: &Run) -> Result<Diagnosis, Failure> {
    let wanted = plan.ok().map(|plan| Location::wanted(&plan.spec));
    let site = Site::resolve(name, wanted, host)?;
    let Some(sources) = site.evidence(plan.ok(), run).await? else {
        let earlier = evidence::latest(&host.state, name);
        return earlier.map(|folder| Diagnosis { folder, fresh: false }).ok_or_else(|| {
            Failure::new(Reason::NotFound, "there is no such sandbox, and no evidence of an earlier failure")
                .on(format!("sandbox {name}"))
                .hint(format!("`sandbox up --name {name}` makes it"))
        });
    };
    let last_run = Folder::of(host.state.path()).latest_of(name);
    let subject = EvidenceRequest { last_run, ..sources.subject(name, None, plan, SystemTime::now() - BEFORE) };
    let folder = evidence::collect(&subject, &host.state, run).await?;
    Ok(Diagnosis { folder, fresh: true })
}
