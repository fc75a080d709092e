//! `sandbox diagnose`

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::args::{Diagnose, Output};
use crate::cli::session::{Ended, Session};
use crate::evidence;
use crate::failure::{Failure, Reason};
use crate::lifecycle;
use crate::limits;
use crate::report::Reporter;
use crate::run::{Deadline, Run};

/// Where the evidence is.
#[derive(Debug, Serialize)]
struct Evidence {
    name: String,
    folder: String,
    /// Whether it was made now, or is what the last failure left.
    fresh: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<String>,
}

pub(in crate::cli) fn run(session: &Session, args: &Diagnose) -> Result<(), Ended> {
    let name = session.spec(&args.spec)?.spec.name;
    // Manifests that cannot be used are no reason not to look at what runs.
    let plan = session.plan(&args.spec).map(|(plan, _)| plan);
    let (report, _unheard) = Reporter::channel();
    let run = Run { report, deadline: Deadline::fixed(limits::DIAGNOSE), cancel: CancellationToken::new() };
    let diagnosis = session.block_on(lifecycle::diagnose(&name, plan.as_ref(), &session.host(), &run))?;
    if !diagnosis.fresh {
        session.warn([format!("there is no sandbox {name}; this is what its last failure left")]);
    }
    let archive = match &args.archive {
        None => None,
        Some(file) => Some(evidence::archive(&diagnosis.folder, file.as_deref()).map_err(|error| {
            Failure::new(Reason::StateUnwritable, "cannot pack the evidence")
                .on(diagnosis.folder.display())
                .because(error)
                .hint("`--archive FILE` puts it somewhere else")
        })?),
    };
    let folder = diagnosis.folder.display().to_string();
    let archive = archive.map(|archive| archive.display().to_string());
    let printed = match session.output() {
        Output::Human => session.print(archive.as_ref().unwrap_or(&folder)),
        Output::Json => session.print_json(&Evidence { name, folder, fresh: diagnosis.fresh, archive }),
    };
    Ok(printed?)
}
