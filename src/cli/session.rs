//! What a command works with: its inputs, its streams, and a run whose events are shown.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use clap::ArgMatches;
use console::Term;
use serde::Serialize;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use super::args::{Global, Output, ReportArgs};
use super::display::{self, Display, Shown};
use super::environment::Environment;
use super::facts;
use super::load::{self, Inputs};
use super::signals::Watch;
use super::spec_arguments::spec_arguments;
use super::spec_file::{SpecFile, spec_file};
use super::spec_flags::SpecFlags;
use crate::evidence::Masked;
use crate::evidence::mask::Mask;
use crate::failure::{Failure, Reason};
use crate::lifecycle::{self, Done, Leaving, Prune, Request};
use crate::limits::RUNTIME_END;
use crate::manifest::Bundle;
use crate::plan::Plan;
use crate::release::Release;
use crate::render::{RenderError, Rendered, nearest_release};
use crate::report::{self, Event, Json, Outcome, Reporter, Verbosity, View};
use crate::run::{Deadline, Run, on_thread};
use crate::runs::{Folder, Recording};
use crate::site::{Clients, Host, Location};
use crate::spec::{MachineKey, Provenance, Resolved, SiteKind, Spec};

const UNWRITABLE_REPORT: &str = "cannot write the report";

/// One command line under way.
#[derive(Debug)]
pub(super) struct Session {
    global: Global,
    matches: ArgMatches,
    environment: Environment,
    clients: Clients,
    deadline: Deadline,
    began: Instant,
    cancel: CancellationToken,
    watch: Arc<Watch>,
    spec_file: OnceCell<Option<SpecFile>>,
    /// What `--manifests` names: a pipe can be read once.
    given_bundle: OnceCell<Bundle>,
}

/// How a reported run is to go.
#[derive(Debug)]
pub(super) struct RunSettings<'a> {
    /// The subcommand.
    pub(super) command: &'static str,
    /// The sandbox's name.
    pub(super) sandbox: &'a str,
    /// What was asked for, where the command has it.
    pub(super) spec: Option<&'a Resolved>,
    /// Where to write the result, if anywhere.
    pub(super) reports: Option<&'a ReportArgs>,
    /// Whether every detail is what the command is for.
    pub(super) in_full: bool,
}

impl<'a> RunSettings<'a> {
    /// Those of most commands.
    pub(super) fn new(command: &'static str, sandbox: &'a str) -> Self {
        Self { command, sandbox, spec: None, reports: None, in_full: false }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(super) enum CommandError {
    /// The user has yet to be told.
    Unreported(Failure),
    /// The views cannot tell it, because it is about them.
    Unreportable(Failure),
    /// The views have shown it; the exit code that is left.
    Reported(u8),
}

/// What `up` would bring about.
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// Where the spec's values come from.
    pub(super) provenance: Provenance,
    /// Projects that the running sandbox has and the spec lacks; those that stay are in the plan.
    pub(super) leaving: Vec<Leaving>,
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        if failure.reason == Reason::ReportUnwritable { Self::Unreportable(failure) } else { Self::Unreported(failure) }
    }
}

impl From<RenderError> for CommandError {
    fn from(error: RenderError) -> Self {
        Self::Unreported(error.into())
    }
}

impl Session {
    pub(super) fn new(global: Global, matches: ArgMatches, environment: Environment, deadline: Deadline) -> Self {
        if global.verbose >= 2 {
            let shown =
                [("flyte_sandbox", LevelFilter::TRACE), ("bollard", LevelFilter::DEBUG), ("kube", LevelFilter::DEBUG)];
            let log = fmt::layer().with_writer(io::stderr).with_target(true).with_filter(Targets::from_iter(shown));
            let _ = tracing_subscriber::registry().with(log).try_init();
        }
        let cancel = CancellationToken::new();
        let watch = Watch::start(cancel.clone(), deadline);
        Self {
            global,
            matches,
            environment,
            clients: Clients::default(),
            deadline,
            began: Instant::now(),
            cancel,
            watch,
            spec_file: OnceCell::new(),
            given_bundle: OnceCell::new(),
        }
    }

    /// Does the command's work, watched.
    pub(super) async fn supervise<T>(&self, work: impl Future<Output = T>) -> T {
        self.watch.supervise(work).await
    }

    /// Ends when the user asks the command to end.
    pub(super) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    pub(super) fn output(&self) -> Output {
        self.global.output
    }

    /// Whether `-v` asks for every detail.
    pub(super) fn is_verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// Whether a person is to see failures and the end alone. A program gets all.
    pub(super) fn is_quiet(&self) -> bool {
        self.global.quiet && self.global.output == Output::Human
    }

    /// Where a sandbox is made.
    pub(super) fn host(&self) -> Host {
        Host {
            home: self.environment.home.clone(),
            variables: self.environment.variables.clone(),
            state: self.environment.state.clone(),
            program: self.environment.program.clone(),
            clients: self.clients.clone(),
        }
    }

    /// The spec, from all its layers. Its file is read once, however often this is called, and so are the manifests, whose
    /// version says which release they are of where no layer does.
    pub(super) async fn spec(&self, flags: &SpecFlags) -> Result<Resolved, Failure> {
        let nearest = self.given_bundle(flags.manifests.as_ref()).await?.as_ref().and_then(nearest_release);
        let inputs = Inputs { nearest, ..self.inputs(flags).await? };
        let state = self.environment.state.clone();
        let key = load::needs_machine_key(&inputs)?.then(|| on_thread(move || state.machine_key()));
        let key = match key {
            Some(key) => self.query(async { key.await? }).await?,
            None => MachineKey::default(),
        };
        load::spec(&inputs, &key)
    }

    /// Where the spec asks for its sandbox; absent where it names no engine. Of a spec that names no existing cluster
    /// nothing else is looked at: what is wrong with it is no reason to leave a sandbox.
    pub(super) async fn location(&self, flags: &SpecFlags) -> Result<Option<Location>, Failure> {
        Ok(match load::site_kind(&self.inputs(flags).await?)? {
            None => None,
            Some(SiteKind::Node) => Some(Location::Node),
            Some(SiteKind::Rehearsal) => Some(Location::Rehearsal),
            Some(SiteKind::Attached) => Some(Location::wanted(&self.spec(flags).await?.spec)),
        })
    }

    /// The name of the sandbox that a command without spec flags is about.
    pub(super) async fn name(&self) -> Result<String, Failure> {
        load::name(&self.inputs(&SpecFlags::default()).await?)
    }

    async fn inputs<'a>(&'a self, flags: &'a SpecFlags) -> Result<Inputs<'a>, Failure> {
        let (config, here) = (self.global.config.clone(), self.environment.here.clone());
        let read = async { on_thread(move || spec_file(config.as_deref(), &here)).await? };
        let file = self.spec_file.get_or_try_init(|| self.query(read)).await?;
        Ok(Inputs { global: &self.global, flags, matches: self.matches(), file: file.as_ref(), nearest: None })
    }

    fn matches(&self) -> &ArgMatches {
        let of_command = self.matches.subcommand();
        of_command.map_or(&self.matches, |(_, matches)| matches.subcommand().map_or(matches, |(_, matches)| matches))
    }

    /// The arguments that the command was given and that change its spec: another run of it with these has the same one.
    pub(super) fn spec_arguments(&self) -> Vec<OsString> {
        spec_arguments(self.matches())
    }

    /// The spec and the manifests.
    pub(super) async fn request(&self, flags: &SpecFlags) -> Result<Request, Failure> {
        let spec = self.spec(flags).await?.spec;
        let bundle = self.bundle(flags.manifests.as_ref(), spec.flyte).await?;
        Ok(Request { spec, bundle })
    }

    /// The bundle that `--manifests` names, or the release's.
    pub(super) async fn bundle(&self, manifests: Option<&PathBuf>, release: Release) -> Result<Bundle, Failure> {
        match self.given_bundle(manifests).await? {
            Some(bundle) => Ok(bundle),
            None => Bundle::embedded(release)
                .map_err(|error| Failure::new(Reason::Internal, "cannot read the built-in manifests").caused_by(error)),
        }
    }

    /// The bundle that `--manifests` names.
    pub(super) async fn given_bundle(&self, manifests: Option<&PathBuf>) -> Result<Option<Bundle>, Failure> {
        let Some(path) = manifests.cloned() else { return Ok(None) };
        let read = async { on_thread(move || load::bundle(&path)).await? };
        self.given_bundle.get_or_try_init(|| self.query(read)).await.map(|bundle| Some(bundle.clone()))
    }

    /// What `up` would bring about. Warnings of the transforms go to standard error.
    pub(super) async fn plan(&self, flags: &SpecFlags) -> Result<Planned, Failure> {
        let Resolved { mut spec, provenance } = self.spec(flags).await?;
        let bundle = self.bundle(flags.manifests.as_ref(), spec.flyte).await?;
        let (host, run) = (self.host(), self.silent_run());
        let asked =
            async |spec: &mut Spec| self.query(lifecycle::follow_running(spec, Prune::default(), &host, &run)).await;
        let (rendered, leaving) = lifecycle::render_first(&mut spec, &bundle, asked).await?;
        self.warn_of(&rendered);
        let plan = Plan::new(spec, rendered)?;
        Ok(Planned { plan, provenance, leaving })
    }

    /// Does work that shows no events and needs no undoing, until the deadline or Ctrl-C.
    pub(super) async fn query<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let command = self.matches.subcommand_name().unwrap_or_default();
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Failure::new(Reason::Interrupted, "stopped on request")),
            done = self.deadline.limit(Box::pin(work)) => done.unwrap_or_else(|| {
                let what = format!("`sandbox {command}` timed out");
                Err(Failure::new(Reason::TimedOut, what).because(self.deadline.expired_message()))
            }),
        }
    }

    /// As [`query`](Self::query), of work that the user ends by Ctrl-C, and need not be told that he did.
    pub(super) async fn until_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, CommandError> {
        match self.query(work).await {
            Err(failure) if failure.reason == Reason::Interrupted => Err(CommandError::Reported(failure.exit_code())),
            done => done.map_err(CommandError::from),
        }
    }

    /// Text for another program or for a pager. A reader that went away is not an error.
    pub(super) async fn print(&self, text: &str) -> Result<(), Failure> {
        self.print_on(text).await.map(|_| ())
    }

    /// As [`print`](Self::print), of text that goes on: whether anybody still reads it.
    pub(super) async fn print_on(&self, text: &str) -> Result<bool, Failure> {
        display::print(text.to_owned(), &self.cancel).await
    }

    /// Whether standard output is a terminal that shows colours.
    pub(super) fn prints_in_colour(&self) -> bool {
        console::colors_enabled()
    }

    /// A value for another program.
    pub(super) async fn print_json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new(Reason::Internal, "cannot write JSON").because(error))?;
        self.print(&text).await
    }

    /// Things to know that stop nothing, to standard error.
    pub(super) fn warn(&self, warnings: impl IntoIterator<Item = String>) {
        if !self.global.quiet {
            for warning in warnings {
                let _ = writeln!(io::stderr(), "warning: {warning}");
            }
        }
    }

    /// What is to know about manifests, the worst first; what is harmless with `-v` only.
    pub(super) fn warn_of(&self, rendered: &Rendered) {
        let told = rendered.warnings.iter().filter(|warning| warning.matters() || self.global.verbose > 0);
        self.warn(told.map(ToString::to_string));
    }

    /// A run whose events nobody sees.
    pub(super) fn silent_run(&self) -> Run {
        let (report, _) = Reporter::channel();
        Run { report, deadline: self.deadline, cancel: self.cancel.clone() }
    }

    /// Does `work` with a plan while its events are shown, to the end. Making the plan is the first stage.
    pub(super) async fn run_planned(
        &self,
        settings: RunSettings<'_>,
        request: Request,
        work: impl AsyncFnOnce(&Plan, &Run) -> Result<Done, Failure>,
    ) -> Result<(), CommandError> {
        self.run_reported(settings, async |run| {
            let plan = request.plan(run).await?;
            work(&plan, run).await
        })
        .await
    }

    /// Does `work` while its events are shown, to the end.
    ///
    /// # Errors
    /// The work's failure, reported already; or that it could not be reported.
    pub(super) async fn run_reported(
        &self,
        settings: RunSettings<'_>,
        work: impl AsyncFnOnce(&Run) -> Result<Done, Failure>,
    ) -> Result<(), CommandError> {
        let started = Instant::now();
        let mut views = self.views(settings.in_full);
        let (report, events) = Reporter::channel();
        let mut files = match settings.reports {
            Some(reports) => self.files(reports, report.began()).await.map_err(CommandError::Unreported)?,
            None => Vec::new(),
        };
        let recording = self.recording(&report).await;
        let unrecorded = recording.as_ref().err().map(|why| format!("this run is not recorded: {why}"));
        files.extend(recording.ok().map(|recording| Box::new(recording) as Box<dyn View>));
        let secrets = settings.spec.iter().flat_map(|resolved| resolved.spec.secrets());
        let mask = Mask::new(secrets.map(|secret| secret.expose().to_owned()));
        views.push(Box::new(Masked::new(mask, files)));
        let display = Display::start(events, views)?;
        self.watch.works_on(settings.sandbox);
        let run = Run { report, deadline: self.deadline, cancel: self.cancel.clone() };
        run.report.emit(Event::RunStarted {
            schema_version: report::SCHEMA_VERSION,
            command: settings.command.to_owned(),
            sandbox: settings.sandbox.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        run.report.emit(facts::host());
        settings.spec.iter().for_each(|resolved| run.report.emit(facts::spec(resolved)));
        unrecorded.into_iter().for_each(|why| run.report.warn(why));
        // On the heap, as a stage's work is.
        let result = Box::pin(work(&run)).await;
        run.report.emit(finished(&result, started));
        drop(run);
        let shown = display.finish(&self.cancel, self.deadline).await;
        match (result, shown) {
            // Whoever reads another view may not know of the failure.
            (Err(failure), Shown::Failed(error)) => {
                Err(CommandError::Unreportable(failure.evidence([format!("{UNWRITABLE_REPORT}: {error}")])))
            }
            (Err(failure), _) => Err(CommandError::Reported(failure.exit_code())),
            (Ok(_), Shown::Whole) => Ok(()),
            (Ok(_), Shown::Stalled) => Err(CommandError::Reported(self.why_ended().exit_code())),
            (Ok(_), Shown::Failed(error)) => {
                Err(Failure::new(Reason::ReportUnwritable, UNWRITABLE_REPORT).because(error).into())
            }
        }
    }

    /// The recording of a run, or why there is none.
    async fn recording(&self, report: &Reporter) -> Result<Recording, String> {
        let (folder, began) = (Folder::of(self.environment.state.path()), report.began());
        let begun = on_thread(move || Recording::begin(&folder, began)).await;
        begun.map_err(|failure| failure.to_string())?.map_err(|error| error.to_string())
    }

    fn why_ended(&self) -> Reason {
        if self.cancel.is_cancelled() { Reason::Interrupted } else { Reason::TimedOut }
    }

    /// Reports what is not reported yet; the exit code.
    pub(super) async fn end(&self, error: CommandError) -> ExitCode {
        let human = || vec![self.human(Verbosity::Normal)];
        let (failure, views) = match error {
            CommandError::Reported(exit_code) => return ExitCode::from(exit_code),
            CommandError::Unreported(failure) => (failure, self.views(false)),
            CommandError::Unreportable(failure) => (failure, human()),
        };
        let exit_code = failure.exit_code();
        let is_json = self.global.output == Output::Json;
        if let Shown::Failed(_) = self.show(failure.clone(), views).await
            && is_json
        {
            self.show(failure, human()).await;
        }
        ExitCode::from(exit_code)
    }

    /// Shows a failure as the end of a run.
    async fn show(&self, failure: Failure, views: Vec<Box<dyn View>>) -> Shown {
        let (report, events) = Reporter::channel();
        report.emit(finished(&Err(failure), self.began));
        drop(report);
        match Display::start(events, views) {
            Ok(display) => display.finish(&self.cancel, self.deadline).await,
            Err(_) => Shown::Stalled,
        }
    }

    fn views(&self, in_full: bool) -> Vec<Box<dyn View>> {
        let verbosity = match (self.global.quiet, self.global.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) if !in_full => Verbosity::Normal,
            (false, _) => Verbosity::Verbose,
        };
        vec![match self.global.output {
            Output::Json => Box::new(Json::new(io::stdout())),
            Output::Human => self.human(verbosity),
        }]
    }

    /// The views that write files, which may be pipes that nobody reads.
    async fn files(&self, reports: &ReportArgs, began: SystemTime) -> Result<Vec<Box<dyn View>>, Failure> {
        let reports = reports.clone();
        self.query(async { on_thread(move || reports.views(began)).await? }).await
    }

    fn human(&self, verbosity: Verbosity) -> Box<dyn View> {
        let ci = self.environment.variables.contains_key("CI") || self.global.verbose >= 2;
        report::human(Term::stderr(), ci, console::colors_enabled_stderr(), verbosity)
    }
}

fn finished(result: &Result<Done, Failure>, started: Instant) -> Event {
    let (outcome, summary, failure) = match result {
        Ok(done) => (done.outcome, done.summary.clone(), None),
        Err(failure) => (Outcome::Failed, failure.what.clone(), Some(failure.clone())),
    };
    Event::RunFinished {
        outcome,
        summary,
        exit_code: failure.as_ref().map_or(0, Failure::exit_code),
        failure,
        millis: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// Does a command's work to its end, on a runtime that does not wait for what it left behind.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Reason::Internal, "cannot start the runtime").because(error))?;
    let done = runtime.block_on(work);
    // Tasks that are dropped end their child processes; a thread that reads a FIFO never ends.
    runtime.shutdown_timeout(RUNTIME_END);
    Ok(done)
}
