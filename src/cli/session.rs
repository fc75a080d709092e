//! What a command works with: its inputs, its streams, and a narrated run.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ArgMatches;
use console::Term;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::args::{Global, Output, SpecFlags};
use super::environment::Environment;
use super::{interrupt, load};
use crate::failure::{Failure, Reason};
use crate::lifecycle::{self, Done, Request};
use crate::manifest::Bundle;
use crate::plan::Plan;
use crate::render::{self, RenderError};
use crate::report::{self, Event, Json, Junit, Outcome, Reporter, Verbosity, View};
use crate::run::{Deadline, Run};
use crate::site::{Host, Location};
use crate::spec::{Provenance, Resolved};

/// One command line under way.
#[derive(Debug)]
pub(super) struct Session {
    global: Global,
    matches: ArgMatches,
    environment: Environment,
}

/// How a narrated run is to go.
#[derive(Debug)]
pub(super) struct Telling<'a> {
    /// The subcommand.
    pub(super) command: &'static str,
    /// The sandbox's name.
    pub(super) sandbox: &'a str,
    /// When to give up.
    pub(super) timeout: Duration,
    /// Where to write JUnit XML, if anywhere.
    pub(super) junit: Option<PathBuf>,
    /// Whether every detail is what the command is for.
    pub(super) in_full: bool,
}

/// Why a command did not end well.
#[derive(Debug)]
pub(super) enum Ended {
    /// The user has yet to be told.
    Untold(Failure),
    /// The views have shown it; the exit code that is left.
    Told(u8),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Untold(failure)
    }
}

impl From<RenderError> for Ended {
    fn from(error: RenderError) -> Self {
        Self::Untold(error.into())
    }
}

impl Session {
    pub(super) fn new(global: Global, matches: ArgMatches, environment: Environment) -> Self {
        let session = Self { global, matches, environment };
        if session.global.verbose >= 2 {
            let filter = tracing_subscriber::EnvFilter::new("flyte_sandbox=trace,bollard=debug,kube=debug");
            let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(true);
            let _ = log.try_init();
        }
        session
    }

    pub(super) fn output(&self) -> Output {
        self.global.output
    }

    /// Whether `-v` asks for every detail.
    pub(super) fn is_verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// Where a sandbox is made.
    pub(super) fn host(&self) -> Host {
        Host {
            home: self.environment.home.clone(),
            variables: self.environment.variables.clone(),
            state: self.environment.state.clone(),
            program: self.environment.program.clone(),
        }
    }

    /// The spec, from all its layers.
    pub(super) fn spec(&self, flags: &SpecFlags) -> Result<Resolved, Failure> {
        load::spec(&self.global, flags, self.matches(), &self.environment)
    }

    /// Where the spec asks for its sandbox; absent where it names no engine.
    pub(super) fn location(&self, flags: &SpecFlags) -> Result<Option<Location>, Failure> {
        load::location(&self.global, flags, self.matches(), &self.environment)
    }

    fn matches(&self) -> &ArgMatches {
        let of_command = self.matches.subcommand();
        of_command.map_or(&self.matches, |(_, matches)| matches.subcommand().map_or(matches, |(_, matches)| matches))
    }

    /// The name of the sandbox that a command without spec flags is about.
    pub(super) fn name(&self) -> Result<String, Failure> {
        load::name(&self.global, self.matches(), &self.environment)
    }

    /// The spec and the manifests, read once.
    pub(super) fn request(&self, flags: &SpecFlags) -> Result<Request, Failure> {
        Ok(Request { spec: self.spec(flags)?.spec, bundle: self.bundle(flags)? })
    }

    /// The bundle that `--manifests` names, or the built-in one.
    pub(super) fn bundle(&self, flags: &SpecFlags) -> Result<Bundle, Failure> {
        load::bundle(flags)
    }

    /// The plan, and where the spec's values come from. Warnings of the transforms go to standard error.
    pub(super) fn plan(&self, flags: &SpecFlags) -> Result<(Plan, Provenance), Failure> {
        let (plan, provenance, warnings) = self.planned(flags)?;
        self.warn(warnings);
        Ok((plan, provenance))
    }

    /// With the keys that the sandbox has, where somebody issues them: a plan asks nobody for new ones.
    fn planned(&self, flags: &SpecFlags) -> Result<(Plan, Provenance, Vec<String>), Failure> {
        let mut resolved = self.spec(flags)?;
        if resolved.spec.storage.credentials.is_some() {
            runtime()?.block_on(lifecycle::use_known_keys(&mut resolved.spec, &self.host()));
        }
        self.planned_for(resolved, flags)
    }

    fn planned_for(
        &self,
        Resolved { spec, provenance }: Resolved,
        flags: &SpecFlags,
    ) -> Result<(Plan, Provenance, Vec<String>), Failure> {
        let rendered = render::render(&spec, self.bundle(flags)?)?;
        let warnings = rendered.warnings.iter().map(ToString::to_string).collect();
        Ok((Plan::new(spec, rendered)?, provenance, warnings))
    }

    /// Text for another program or for a pager. A reader that went away is not an error.
    pub(super) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let line_end = if text.ends_with('\n') { "" } else { "\n" };
        match write!(out, "{text}{line_end}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Reason::Internal, "cannot write to standard output").because(error))
            }
            _ => Ok(()),
        }
    }

    /// A value for another program.
    pub(super) fn print_json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new(Reason::Internal, "cannot write JSON").because(error))?;
        self.print(&text)
    }

    /// Things to know that stop nothing, to standard error.
    pub(super) fn warn(&self, warnings: impl IntoIterator<Item = String>) {
        if !self.global.quiet {
            for warning in warnings {
                let _ = writeln!(io::stderr(), "warning: {warning}");
            }
        }
    }

    /// Does asynchronous work that has no events.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        runtime()?.block_on(work)
    }

    /// Does `work` with a plan while its events are shown, to the end. Making the plan is the first stage.
    pub(super) fn narrate_plan(
        &self,
        telling: Telling<'_>,
        request: Request,
        work: impl AsyncFnOnce(&Plan, &Run) -> Result<Done, Failure>,
    ) -> Result<(), Ended> {
        self.narrate(telling, async |run| {
            let plan = request.plan(run).await?;
            work(&plan, run).await
        })
    }

    /// Does `work` while its events are shown, to the end.
    ///
    /// # Errors
    /// The work's failure, told already; or that it could not be told.
    pub(super) fn narrate(
        &self,
        telling: Telling<'_>,
        work: impl AsyncFnOnce(&Run) -> Result<Done, Failure>,
    ) -> Result<(), Ended> {
        let started = Instant::now();
        runtime()?.block_on(async {
            let (report, events) = Reporter::channel();
            let events = report::with_stalls(events);
            let shown = tokio::spawn(report::drive(events, self.views(telling.junit, telling.in_full)));
            let cancel = CancellationToken::new();
            tokio::spawn(interrupt::watch(cancel.clone(), telling.sandbox.to_owned()));
            let run = Run { report, deadline: Deadline::after(telling.timeout), cancel };
            run.report.emit(Event::RunStarted {
                schema_version: report::SCHEMA_VERSION,
                command: telling.command.to_owned(),
                sandbox: telling.sandbox.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            });
            let result = work(&run).await;
            run.report.emit(finished(&result, started));
            drop(run);
            let shown = shown.await.map_err(io::Error::other).and_then(|shown| shown);
            match (result, shown) {
                (Err(failure), _) => Err(Ended::Told(failure.exit_code())),
                (Ok(_), Err(error)) => {
                    Err(Failure::new(Reason::Internal, "cannot write the report").because(error).into())
                }
                (Ok(_), Ok(())) => Ok(()),
            }
        })
    }

    /// Ends the process after a command that did not end well.
    pub(super) fn end(&self, ended: Ended) -> ExitCode {
        let exit_code = match ended {
            Ended::Told(exit_code) => exit_code,
            Ended::Untold(failure) => {
                let exit_code = failure.exit_code();
                let event = finished(&Err(failure), Instant::now());
                for view in &mut self.views(None, false) {
                    let _ = view.on(Duration::ZERO, &event);
                    let _ = view.end();
                }
                exit_code
            }
        };
        ExitCode::from(exit_code)
    }

    fn views(&self, junit: Option<PathBuf>, in_full: bool) -> Vec<Box<dyn View>> {
        let verbosity = match (self.global.quiet, self.global.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) if !in_full => Verbosity::Normal,
            (false, _) => Verbosity::Verbose,
        };
        let ci = self.environment.variables.contains_key("CI") || self.global.verbose >= 2;
        let mut views: Vec<Box<dyn View>> = vec![match self.global.output {
            Output::Json => Box::new(Json::new(io::stdout())),
            Output::Human => report::human(Term::stderr(), ci, console::colors_enabled_stderr(), verbosity),
        }];
        views.extend(junit.map(|path| Box::new(Junit::new(path)) as Box<dyn View>));
        views
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Reason::Internal, "cannot start the runtime").because(error))
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
