//! What may stand on the command line.

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use super::spec_flags::SpecFlags;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::context::Subject;

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
    Up(Up),
    /// Take the sandbox away
    Down(Down),
    /// Take away every sandbox of this machine whose `up --ttl` is over
    Gc(Gc),
    /// Say what there is
    Status(Status),
    /// Prove that the running sandbox is a Flyte, and may do no more than it must
    Smoke(Smoke),
    /// Look for what would stand in the way of `up`
    Doctor(Doctor),
    /// Save all there is to know about the sandbox, secrets masked
    Diagnose(Diagnose),
    /// Print what `up` would do
    Plan(Plan),
    /// Print the manifests that `up` would apply
    Render(Render),
    /// Print the log of a component
    Logs(Logs),
    /// The images of a sandbox, and the stores that keep them
    #[command(subcommand)]
    Images(Images),
    /// Projects that come and go while the sandbox runs
    #[command(subcommand)]
    Project(Project),
    /// Print the configuration that a client of the running sandbox needs
    Config(Config),
    /// Print the kubeconfig, or merge it into another
    Kubeconfig(Kubeconfig),
    /// Print the keys of the running sandbox's Minio, or renew those of its projects
    Credentials(Credentials),
    /// Print a JSON schema
    Schema(Schema),
    /// Print a shell completion script
    Completions(Completions),
    /// Play the sandbox of this folder; what `up --engine rehearsal` starts
    #[command(hide = true)]
    Rehearse(Rehearse),
    /// Write the manual pages to a folder; for packagers
    #[command(hide = true)]
    Man(Man),
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    /// Let `sandbox gc` take it away after this long, from now on; one that is there keeps what it was given, without
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    pub(crate) ttl: Option<Duration>,
    /// Leave a sandbox that failed as it is, for a look
    #[arg(long)]
    pub(crate) keep: bool,
    /// Take images that Docker has not from this file; `sandbox images bundle` makes it
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// Go without the machine's image store
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// In the end run a workflow in every project and domain, not only in the first
    #[arg(long)]
    pub(crate) full: bool,
    /// What goes wrong in a rehearsal: pod=NAME,reason=REASON or workflow=failed|ignored|waiting, and message=WORDS
    #[arg(long = "rehearse-fault", value_name = "FAULT")]
    pub(crate) rehearse_faults: Vec<String>,
    /// Write the result as JUnit XML too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Down {
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Only say what it would do
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
}

#[derive(Debug, Args)]
pub(crate) struct Smoke {
    /// Run a workflow in every project and domain, too
    #[arg(long)]
    pub(crate) full: bool,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    /// Write the result as JUnit XML too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
}

#[derive(Debug, Args)]
pub(crate) struct Diagnose {
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
    /// Pack it into one file, too: FILE, or the folder's name with .tar.zst
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub(crate) archive: Option<Option<PathBuf>>,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
}

#[derive(Debug, Args)]
pub(crate) struct Render {
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
    /// List which transform changed what, and why, in place of the manifests
    #[arg(long, conflicts_with = "diff")]
    pub(crate) explain: bool,
    /// Show the difference to the input in place of the manifests
    #[arg(long)]
    pub(crate) diff: bool,
    /// For the engine `context`: what a cluster admin applies for SUBJECT to run `up`, in place of what `up` applies:
    /// namespaces, CustomResourceDefinition, and the SUBJECT's Roles; such as user:jane or serviceaccount:ci/sandbox
    #[arg(long, value_name = "user:NAME|group:NAME|serviceaccount:NAMESPACE/NAME")]
    #[arg(conflicts_with_all = ["explain", "diff"])]
    pub(crate) for_cluster: Option<Subject>,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Such as flyteadmin, or flytepropeller-x-d-dev; without it, a list of what there is
    pub(crate) component: Option<String>,
    /// How many lines from the end
    #[arg(long, default_value_t = 100, value_name = "LINES")]
    pub(crate) tail: i64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Images {
    /// Print the images that `up` needs, and whether they are here
    List(Box<ImagesList>),
    /// Get into Docker what `up` needs and Docker has not
    Pull(Box<ImagesPull>),
    /// Write every image that `up` needs to one file, for a machine without a registry
    Bundle(Box<ImagesBundle>),
    /// Load into Docker what a bundle has and Docker has not
    Load(ImagesLoad),
    /// Drop the stores that no sandbox uses
    Prune,
}

#[derive(Debug, Args)]
pub(crate) struct ImagesList {
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    /// Add a project to the running sandbox; the others do not notice
    Add(ProjectChange),
    /// Print the projects of the running sandbox, and how they differ from the spec's
    List(Box<ProjectList>),
    /// Remove a project from the running sandbox, with what runs in it
    Remove(ProjectChange),
}

#[derive(Debug, Args)]
pub(crate) struct ProjectChange {
    /// Flyte project id
    pub(crate) project: String,
    /// The manifests that the sandbox was brought up with, where they are not the built-in ones
    #[arg(long, env = "SANDBOX_MANIFESTS", value_name = "FILE|DIR|-", hide_env_values = true)]
    pub(crate) manifests: Option<PathBuf>,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct ProjectList {
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    /// Whose
    #[arg(long, value_enum)]
    pub(crate) client: Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// Lines for a shell, to be taken in by `eval`; flyte-cli and pyflyte read the same variables
    Flytekit,
    /// A config.yaml, for `flytectl --config`
    Flytectl,
}

#[derive(Debug, Args)]
pub(crate) struct ImagesPull {
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct ImagesBundle {
    /// The file to write, such as images.tar.zst; one that is there is replaced
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) pull: ImagesPull,
}

#[derive(Debug, Args)]
pub(crate) struct ImagesLoad {
    /// The file
    pub(crate) file: PathBuf,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Kubeconfig {
    /// Merge into this file, in place of printing
    #[arg(long, value_name = "FILE")]
    pub(crate) merge: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Credentials {
    #[command(subcommand)]
    pub(crate) change: Option<CredentialsChange>,
    /// Those that open the bucket of this project, and no other one; the store's own where absent
    #[arg(long, value_name = "ID")]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialsChange {
    /// Fetch new keys for the projects whose keys end soon, and bring them into the running sandbox
    Renew(CredentialsRenew),
}

#[derive(Debug, Args)]
pub(crate) struct CredentialsRenew {
    /// Those that end within this time
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    pub(crate) within: Duration,
    /// The manifests that the sandbox was brought up with, where they are not the built-in ones
    #[arg(long, env = "SANDBOX_MANIFESTS", value_name = "FILE|DIR|-", hide_env_values = true)]
    pub(crate) manifests: Option<PathBuf>,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Of what
    #[arg(value_enum)]
    pub(crate) of: SchemaOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// sandbox.yaml
    Spec,
    /// A line of --output json
    Event,
}

#[derive(Debug, Args)]
pub(crate) struct Rehearse {
    /// The folder
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// A year is longer than any sandbox needs, and no date is too far away to be written.
fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if ttl > Duration::from_secs(366 * 86_400) { Err("more than a year".to_owned()) } else { Ok(ttl) }
}
