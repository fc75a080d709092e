//! What may stand on the command line: global flags, the list of commands, and flags that several commands share. The
//! others stand beside their command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::commands::{
    completions, config, credentials, diagnose, doctor, down, gc, images, kubeconfig, logs, man, plan, project,
    rehearse, render, schema, smoke, status, up,
};
use crate::deadline::Deadline;
use crate::limits;

/// A working Flyte on a throw-away k3d cluster, in one command.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(after_help = "`sandbox up` and `sandbox down` are all that a new user needs.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The sandbox's name
    #[arg(long, global = true, env = "SANDBOX_NAME", value_name = "NAME", hide_env_values = true)]
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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the sandbox, or bring it to what the spec says
    Up(Box<up::UpArgs>),
    /// Take the sandbox away
    Down(Box<down::DownArgs>),
    /// Take away every sandbox of this machine whose `up --ttl` is over
    Gc(gc::GcArgs),
    /// Say what there is
    Status(Box<status::StatusArgs>),
    /// Prove that the running sandbox is a Flyte, and may do no more than it must
    Smoke(smoke::SmokeArgs),
    /// Look for what would stand in the way of `up`
    Doctor(Box<doctor::DoctorArgs>),
    /// Save all there is to know about the sandbox, secrets masked
    Diagnose(Box<diagnose::DiagnoseArgs>),
    /// Print what `up` would do
    Plan(Box<plan::PlanArgs>),
    /// Print the manifests that `up` would apply
    Render(Box<render::RenderArgs>),
    /// Print the log of a component
    Logs(logs::LogsArgs),
    /// The images of a sandbox, and the stores that keep them
    #[command(subcommand)]
    Images(images::ImagesCommand),
    /// Projects that come and go while the sandbox runs
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// Print the configuration that a client of the running sandbox needs
    Config(config::ConfigArgs),
    /// Print the kubeconfig, or merge it into another
    Kubeconfig(kubeconfig::KubeconfigArgs),
    /// Print the keys of the running sandbox's Minio, or renew those of its projects
    Credentials(credentials::CredentialsArgs),
    /// Print a JSON schema
    Schema(schema::SchemaArgs),
    /// Print a shell completion script
    Completions(completions::CompletionsArgs),
    /// Play the sandbox of this folder; what `up --engine rehearsal` starts
    #[command(hide = true)]
    Rehearse(rehearse::RehearseArgs),
    /// Write the manual pages to a folder; for packagers
    #[command(hide = true)]
    Man(man::ManArgs),
}

impl Command {
    /// When the command as a whole gives up, counted from now.
    pub(super) fn deadline(&self) -> Deadline {
        match self {
            Self::Up(args) => args.timeout.deadline(),
            Self::Down(args) => args.timeout.deadline(),
            Self::Smoke(args) => args.timeout.deadline(),
            Self::Images(images) => images.deadline(),
            Self::Project(project) => project.deadline(),
            Self::Credentials(credentials) => credentials.deadline(),
            Self::Gc(_) => Deadline::fixed(limits::GC),
            Self::Doctor(_) => Deadline::fixed(limits::DOCTOR),
            Self::Diagnose(_) => Deadline::fixed(limits::DIAGNOSE),
            // A rehearsal lives until `down`.
            Self::Rehearse(_) => Deadline::fixed(Duration::MAX),
            _ => query_deadline(),
        }
    }
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

/// `--junit`
#[derive(Debug, Args)]
pub(crate) struct JunitArg {
    /// Write the result as JUnit XML too
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
}

/// A duration that a date can stand; a year is longer than any sandbox needs.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration > Duration::from_secs(366 * 86_400) { Err("more than a year".to_owned()) } else { Ok(duration) }
}
