//! `sandbox up`

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::cli::args::{ReportArgs, TimeoutArg, time_to_live};
use crate::cli::completion;
use crate::cli::session::{CommandError, RunSettings, Session};
use crate::cli::spec_flags::SpecFlags;
use crate::failure::{Failure, Reason};
use crate::lifecycle::{self, Options, Prune, Request};
use crate::limits;
use crate::process;
use crate::rehearsal::Faults;
use crate::report::Outcome;
use crate::run::Run;
use crate::site::Host;
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
    /// Take no spare: make the node anew
    #[arg(long)]
    cold: bool,
    /// Make a spare for the next `up` of this sandbox, and nothing else: a node that is ready, proven and frozen
    #[arg(long, conflicts_with_all = ["keep", "fresh", "cold", "restore", "from", "prune_projects", "prune_domains"])]
    spare: bool,
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
    reports: ReportArgs,
}

pub(in crate::cli) async fn run(session: &Session, args: &UpArgs) -> Result<(), CommandError> {
    let resolved = session.spec(&args.spec).await?;
    let bundle = session.bundle(args.spec.manifests.as_ref(), resolved.spec.flyte).await?;
    let request = Request { spec: resolved.spec.clone(), bundle };
    let name = request.spec.name.clone();
    let settings = RunSettings { spec: Some(&resolved), reports: Some(&args.reports), ..RunSettings::new("up", &name) };
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
        cold: args.cold,
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
    let made = async |run: &Run| {
        if args.spare {
            return lifecycle::make_spare(request, &host, options, run).await;
        }
        let leaves_spare = lifecycle::leaves_spare(&request.spec) && !reads_standard_input(args);
        let mut done = lifecycle::up(request, &host, options, run).await?;
        if leaves_spare && (done.outcome == Outcome::Passed || !lifecycle::has_spare(&name, &host)) {
            match make_spare(session, args, &host, &name) {
                Ok(()) => done.summary.push_str("; where it has no spare that fits, one is made in the background"),
                Err(error) => run.report.warn(format!("cannot start `sandbox up --spare`: {error}")),
            }
        }
        Ok(done)
    };
    session.run_reported(settings, made).await
}

/// Whether the manifests come from where nobody can read them a second time.
fn reads_standard_input(args: &UpArgs) -> bool {
    args.spec.manifests.as_deref() == Some(Path::new("-"))
}

/// Starts another run that makes the spare while the sandbox is used already.
fn make_spare(session: &Session, args: &UpArgs, host: &Host, name: &str) -> io::Result<()> {
    let log = host.state.sandbox(name).path().join("spare.log");
    let mut words: Vec<OsString> = ["up", "--spare"].map(OsString::from).into();
    words.extend(session.spec_arguments());
    words.extend(args.bundle.iter().flat_map(|bundle| ["--bundle".into(), bundle.into()]));
    words.extend(args.no_cache.then(|| "--no-cache".into()));
    process::leave_behind(&host.program, &words, &log)
}
