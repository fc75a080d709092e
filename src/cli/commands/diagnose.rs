//! `sandbox diagnose`

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::args::Output;
use crate::cli::session::{CommandError, Session};
use crate::cli::spec_flags::SpecFlags;
use crate::evidence;
use crate::failure::{Failure, Reason};
use crate::lifecycle;

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

#[derive(Debug, Args)]
pub(crate) struct DiagnoseArgs {
    #[command(flatten)]
    spec: SpecFlags,
    /// Pack it into one file, too: FILE, or the folder's name with .tar.zst
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    archive: Option<Option<PathBuf>>,
    /// Copy its page to FILE.html, too
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

pub(in crate::cli) async fn run(session: &Session, args: &DiagnoseArgs) -> Result<(), CommandError> {
    let name = session.spec(&args.spec).await?.spec.name;
    // Manifests that cannot be used are no reason not to look at what runs.
    let plan = session.plan(&args.spec).await.map(|planned| planned.plan);
    let run = session.silent_run();
    let diagnosis = session.query(lifecycle::diagnose(&name, plan.as_ref(), &session.host(), &run)).await?;
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
    if let Some(file) = &args.report {
        fs::copy(diagnosis.folder.join("index.html"), file).map_err(|error| {
            Failure::new(Reason::ReportUnwritable, "cannot write the page").on(file.display()).because(error)
        })?;
    }
    let folder = diagnosis.folder.display().to_string();
    let archive = archive.map(|archive| archive.display().to_string());
    match session.output() {
        Output::Human => session.print(archive.as_ref().unwrap_or(&folder)).await?,
        Output::Json => session.print_json(&Evidence { name, folder, fresh: diagnosis.fresh, archive }).await?,
    }
    Ok(())
}
