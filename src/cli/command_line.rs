//! The command line: the list of commands. The arguments of each stand beside it.

use std::env::consts;
use std::time::Duration;

use clap::{Parser, Subcommand};

use super::args::{Global, query_deadline};
use super::commands::{
    backup, completions, config, credentials, diagnose, doctor, down, exec, gc, images, kubeconfig, kubectl, logs, man,
    open, plan, project, rehearse, render, reset, run, runs, schema, smoke, snapshot, start, status, stop, up,
};
use crate::deadline::Deadline;
use crate::limits;

/// A working Flyte on a throw-away k3d cluster, in one command.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version, long_version = build(), disable_help_subcommand = true, arg_required_else_help = true)]
#[command(after_help = "`sandbox up` and `sandbox down` are all that a new user needs.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

/// The version, for which machine this is, and of which commit where `scripts/release` made it.
fn build() -> String {
    let system = match (consts::OS, cfg!(target_env = "musl")) {
        ("macos", _) => "apple-darwin",
        ("linux", true) => "unknown-linux-musl",
        ("linux", false) => "unknown-linux-gnu",
        (other, _) => other,
    };
    let commit = option_env!("SANDBOX_COMMIT").map(|commit| format!(", commit {commit}")).unwrap_or_default();
    format!("{} ({}-{system}{commit})", env!("CARGO_PKG_VERSION"), consts::ARCH)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the sandbox, or bring it to what the spec says
    Up(Box<up::UpArgs>),
    /// Take the sandbox away
    Down(Box<down::DownArgs>),
    /// Stop the sandbox: memory and processors are free, its data stays
    Stop(stop::StopArgs),
    /// Start a sandbox that was stopped or frozen, and prove it again
    Start(start::StartArgs),
    /// Empty the running sandbox: executions, code, objects and data are gone
    Reset(reset::ResetArgs),
    /// Data of sandboxes, saved under a name; `up --from` begins with it
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// Save the sandbox's databases and buckets to a file; `up --restore` loads it
    Backup(backup::BackupArgs),
    /// Take away every sandbox whose `up --ttl` is over, and freeze the idle
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
    /// Print every sandbox of this machine
    List,
    /// What runs of this program said: each is recorded, the last 50
    #[command(subcommand)]
    Runs(runs::RunsCommand),
    /// Print the logs of components, of a pod or of an execution
    Logs(logs::LogsArgs),
    /// Register a Python file's workflow by flytekit, run it, and print its logs to its end
    Run(run::RunArgs),
    /// Run a command in a component's container
    Exec(exec::ExecArgs),
    /// Open the sandbox's Postgres in psql
    Psql(exec::PsqlArgs),
    /// Open the console in a browser, or print its URL where there is none
    Open(open::OpenArgs),
    /// Show the sandboxes of this machine on a page, live, until Ctrl-C
    Ui,
    /// Run kubectl on the sandbox's cluster
    Kubectl(kubectl::KubectlArgs),
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
            Self::Stop(args) => args.timeout.deadline(),
            Self::Start(args) => args.timeout.deadline(),
            Self::Reset(args) => args.timeout.deadline(),
            Self::Snapshot(snapshot) => snapshot.deadline(),
            Self::Backup(args) => args.timeout.deadline(),
            Self::Smoke(args) => args.timeout.deadline(),
            Self::Images(images) => images.deadline(),
            Self::Project(project) => project.deadline(),
            Self::Credentials(credentials) => credentials.deadline(),
            Self::Logs(args) => args.deadline(),
            Self::Open(args) => args.deadline(),
            Self::Run(args) => args.timeout.deadline(),
            Self::Gc(_) => Deadline::fixed(limits::GC),
            Self::Doctor(_) => Deadline::fixed(limits::DOCTOR),
            Self::Diagnose(_) => Deadline::fixed(limits::DIAGNOSE),
            // What somebody works in ends when he ends it; a rehearsal lives until `down`.
            Self::Exec(_) | Self::Psql(_) | Self::Kubectl(_) | Self::Rehearse(_) | Self::Ui => {
                Deadline::fixed(Duration::MAX)
            }
            _ => query_deadline(),
        }
    }
}
