//! `sandbox up`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::args::{JunitArg, TimeoutArg, time_to_live};
use crate::cli::completion;
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::cli::spec_flags::SpecFlags;
use crate::failure::{Failure, Reason};
use crate::lifecycle::{self, Options, Prune};
use crate::limits;
use crate::rehearsal::Faults;
use crate::smoke::Executions;

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(in crate::cli) spec: SpecFlags,
    #[command(flatten)]
    pub(in crate::cli) timeout: TimeoutArg<{ limits::UP.as_secs() }>,
    /// Let `sandbox gc` take it away after this long, from now on; one that is there keeps what it was given, without
    #[arg(long, value_name = "DURATION", value_parser = time_to_live)]
    ttl: Option<Duration>,
    /// Leave a sandbox that failed as it is, for a look
    #[arg(long)]
    keep: bool,
    /// Take images that Docker has not from this file; `sandbox images bundle` makes it
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Go without the machine's image store
    #[arg(long)]
    no_cache: bool,
    /// Remove the sandbox and its data first, where there is any
    #[arg(long)]
    fresh: bool,
    /// Remove projects that the spec lacks, whatever was executed in them; those that `project add` added stay
    #[arg(long)]
    prune_projects: bool,
    /// Remove domains that the spec lacks, whatever was executed in them: what runs is aborted, data stays
    #[arg(long)]
    prune_domains: bool,
    /// Load this backup into a sandbox without data of its own; `sandbox backup` makes it
    #[arg(long, value_name = "FILE")]
    restore: Option<PathBuf>,
    /// Begin with the data of this snapshot; `sandbox snapshot save` makes it
    #[arg(long, value_name = "SNAPSHOT", conflicts_with = "restore", add = completion::snapshots())]
    from: Option<String>,
    /// In the end run a workflow in every project and domain, not only in the first
    #[arg(long)]
    full: bool,
    /// What goes wrong in a rehearsal: pod=NAME,reason=REASON or workflow=failed|ignored|waiting, and message=WORDS
    #[arg(long = "rehearse-fault", value_name = "FAULT")]
    rehearse_faults: Vec<String>,
    #[command(flatten)]
    junit: JunitArg,
}

pub(in crate::cli) async fn run(session: &Session, args: &UpArgs) -> Result<(), CommandError> {
    let request = session.request(&args.spec).await?;
    let name = request.spec.name.clone();
    let settings = RunSettings { junit: args.junit.junit.as_deref(), ..RunSettings::new("up", &name) };
    let executions = if args.full { Executions::All } else { Executions::First };
    let bundle = args.bundle.as_deref();
    let mut faults = Faults::default();
    for wish in &args.rehearse_faults {
        let unusable = |why| Failure::new(Reason::Usage, "cannot rehearse that").on("--rehearse-fault").because(why);
        faults.parse_fault(wish).map_err(unusable)?;
    }
    let options = Options {
        keep: args.keep,
        fresh: args.fresh,
        prune: Prune { projects: args.prune_projects, domains: args.prune_domains },
        restore: args.restore.as_deref(),
        from: args.from.as_deref(),
        bundle,
        store: !args.no_cache,
        executions,
        ttl: args.ttl,
        faults,
    };
    let host = session.host();
    session.run_reported(settings, async |run| lifecycle::up(request, &host, options, run).await).await
}
