//! Flags that all or several commands share; the others stand beside their command.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{ArgAction, Args, ValueEnum};

use super::completion;
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::limits;
use crate::page::{AtEnd, Form};
use crate::report::{Junit, View};

const YEAR: Duration = Duration::from_secs(366 * 86_400);

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The sandbox's name
    #[arg(long, global = true, env = "SANDBOX_NAME", value_name = "NAME", hide_env_values = true)]
    #[arg(add = completion::sandboxes())]
    pub(crate) name: Option<String>,
    /// The spec to use in place of ./sandbox.yaml
    #[arg(long, global = true, env = "SANDBOX_CONFIG", value_name = "FILE", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// For people, or one JSON event a line
    #[arg(long, short, global = true, env = "SANDBOX_OUTPUT", value_enum, default_value_t = Output::Human)]
    #[arg(hide_env_values = true)]
    pub(crate) output: Output,
    /// Say less: failures and the end
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice: what is sent to Docker and Kubernetes too
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Human,
    Json,
}

/// When a command gives up that reads and prints.
pub(super) fn query_deadline() -> Deadline {
    Deadline::fixed(limits::QUERY)
}

/// `--timeout`, with the default of a command.
#[derive(Debug, Args)]
pub(crate) struct TimeoutArg<const SECONDS: u64> {
    /// Give up after this long
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    #[arg(default_value = humantime::format_duration(Duration::from_secs(SECONDS)).to_string())]
    timeout: Duration,
}

impl<const SECONDS: u64> TimeoutArg<SECONDS> {
    /// When the command gives up, counted from now.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.timeout)
    }
}

/// `--manifests`, for a change of a running sandbox.
#[derive(Debug, Args)]
pub(crate) struct ManifestsArg {
    /// The manifests that the sandbox was brought up with, where they are not the built-in ones
    #[arg(long, env = "SANDBOX_MANIFESTS", value_name = "FILE|DIR|-", hide_env_values = true)]
    pub(super) manifests: Option<PathBuf>,
}

/// Files that a run's result is written to.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReportArgs {
    /// Write the result as JUnit XML too
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Write the result as a page, too: one HTML file that needs no network
    #[arg(long, value_name = "FILE.html")]
    pub(super) report: Option<PathBuf>,
    /// Add the result to a file as Markdown, with a chart of what took the time, such as to $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE.md")]
    pub(super) summary: Option<PathBuf>,
    /// Write what took the time as a trace, too, for chrome://tracing or ui.perfetto.dev
    #[arg(long, value_name = "FILE.json")]
    pub(super) trace: Option<PathBuf>,
}

impl ReportArgs {
    /// Whether any is asked for.
    pub(super) fn any(&self) -> bool {
        let Self { junit, report, summary, trace } = self;
        [junit, report, summary, trace].into_iter().any(Option::is_some)
    }

    /// The forms but JUnit's that are asked for, and where they go.
    pub(super) fn forms(&self) -> impl Iterator<Item = (Form, &Path)> {
        let Self { report, summary, trace, .. } = self;
        let all = [(Form::Page, report), (Form::Summary, summary), (Form::Trace, trace)];
        all.into_iter().filter_map(|(form, path)| Some((form, path.as_deref()?)))
    }

    /// The views that write them, of a run that began then.
    ///
    /// # Errors
    /// The first that cannot be written, and why.
    pub(super) fn views(&self, began: SystemTime) -> Result<Vec<Box<dyn View>>, Failure> {
        let mut views: Vec<Box<dyn View>> = Vec::new();
        let unwritable = |what: &str, path: &Path, error: io::Error| {
            Failure::new(Reason::ReportUnwritable, format!("cannot write {what}")).on(path.display()).because(error)
        };
        if let Some(path) = &self.junit {
            views.push(Box::new(Junit::create(path).map_err(|error| unwritable("the JUnit report", path, error))?));
        }
        for (form, path) in self.forms() {
            let made = AtEnd::create(form, path, began).map_err(|error| unwritable(form.title(), path, error))?;
            views.push(Box::new(made));
        }
        Ok(views)
    }
}

/// A duration that a clock and a date can stand: a century at most.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration > 100 * YEAR { Err("more than 100 years".to_owned()) } else { Ok(duration) }
}

/// How long a sandbox may be kept: a year is longer than any needs.
pub(super) fn time_to_live(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration > YEAR { Err("more than a year".to_owned()) } else { Ok(duration) }
}
