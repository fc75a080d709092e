//! `sandbox doctor`

use clap::Args;

use crate::cli::session::{CommandError, RunSettings, Session};
use crate::cli::spec_flags::SpecFlags;
use crate::lifecycle;
use crate::limits;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    spec: SpecFlags,
}

pub(in crate::cli) async fn run(session: &Session, args: &DoctorArgs) -> Result<(), CommandError> {
    let request = session.request(&args.spec).await?;
    let name = request.spec.name.clone();
    let settings = RunSettings { in_full: true, ..RunSettings::new("doctor", &name) };
    session
        .run_planned(settings, request, async |plan, run| {
            if session.is_verbose() {
                limits::ALL.iter().for_each(|limit| run.report.emit(limit.event()));
            }
            lifecycle::doctor(plan, &session.host(), run).await
        })
        .await
}
