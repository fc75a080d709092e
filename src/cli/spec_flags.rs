//! The flags that change the spec.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::completion;

/// Flags that change the spec; each is a key of sandbox.yaml.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Spec")]
pub(crate) struct SpecFlags {
    /// A built-in set of values laid under the file's: minimal
    #[arg(long, env = "SANDBOX_PROFILE", value_name = "NAME", hide_env_values = true, add = completion::profiles())]
    pub(crate) profile: Option<String>,
    /// Owner id, the first part of every namespace
    #[arg(long, env = "SANDBOX_APPID", value_name = "ID", hide_env_values = true)]
    pub(crate) appid: Option<String>,
    /// Second part of every namespace
    #[arg(long, env = "SANDBOX_SYSTEM_PROJECT", value_name = "NAME", hide_env_values = true)]
    pub(crate) system_project: Option<String>,
    /// Last part of the system namespace
    #[arg(long, env = "SANDBOX_ENV", value_name = "ENV", hide_env_values = true)]
    pub(crate) env: Option<String>,
    /// Flyte projects
    #[arg(long = "project", env = "SANDBOX_PROJECTS", value_name = "ID", value_delimiter = ',')]
    #[arg(hide_env_values = true)]
    pub(crate) projects: Option<Vec<String>>,
    /// Flyte domains, with the name that the console shows
    #[arg(long = "domain", env = "SANDBOX_DOMAINS", value_name = "ID[=NAME]", value_delimiter = ',')]
    #[arg(hide_env_values = true)]
    pub(crate) domains: Option<Vec<String>>,
    /// Host port of console and admin
    #[arg(long, env = "SANDBOX_PORT_CONSOLE", value_name = "PORT", hide_env_values = true)]
    pub(crate) port_console: Option<u32>,
    /// Host port of the Kubernetes dashboard
    #[arg(long, env = "SANDBOX_PORT_DASHBOARD", value_name = "PORT", hide_env_values = true)]
    pub(crate) port_dashboard: Option<u32>,
    /// Host port of Minio
    #[arg(long, env = "SANDBOX_PORT_MINIO", value_name = "PORT", hide_env_values = true)]
    pub(crate) port_minio: Option<u32>,
    /// Host port of the Kubernetes API; a free one where absent
    #[arg(long, env = "SANDBOX_PORT_API", value_name = "PORT", hide_env_values = true)]
    pub(crate) port_api: Option<u32>,
    /// Host port of Postgres; not published where absent
    #[arg(long, env = "SANDBOX_PORT_POSTGRES", value_name = "PORT", hide_env_values = true)]
    pub(crate) port_postgres: Option<u32>,
    /// Have a registry that images are pushed to
    #[arg(long)]
    pub(crate) registry: bool,
    /// Host port of the registry, where there is one
    #[arg(long, env = "SANDBOX_PORT_REGISTRY", value_name = "PORT", hide_env_values = true)]
    pub(crate) port_registry: Option<u32>,
    /// Start launch plans that have a schedule; with Flyte 1.16
    #[arg(long)]
    pub(crate) scheduler: bool,
    /// Flyte release: 0.15 or 1.16
    #[arg(long, env = "SANDBOX_FLYTE", value_name = "RELEASE", hide_env_values = true)]
    pub(crate) flyte: Option<String>,
    /// k3s release of the node; where absent, the one that the Flyte release wants
    #[arg(long, env = "SANDBOX_KUBERNETES", value_name = "VERSION", hide_env_values = true)]
    pub(crate) kubernetes: Option<String>,
    /// What makes the node: k3d, docker, or rehearsal, which plays it without Docker; k3d where it is on the PATH, or else
    /// docker, where absent. `context` makes none, and uses a cluster that is there
    #[arg(long, env = "SANDBOX_ENGINE", value_name = "ENGINE", hide_env_values = true, add = completion::engines())]
    pub(crate) engine: Option<String>,
    /// The kubeconfig context of the cluster that the engine `context` uses; the current one is never taken
    #[arg(long, env = "SANDBOX_CONTEXT", value_name = "NAME", hide_env_values = true)]
    pub(crate) context: Option<String>,
    /// The kubeconfig that has the context; $KUBECONFIG or ~/.kube/config where absent
    #[arg(long, env = "SANDBOX_KUBECONFIG", value_name = "FILE", hide_env_values = true)]
    pub(crate) kubeconfig: Option<String>,
    /// Image in place of a pinned one
    #[arg(long = "image", value_name = "COMPONENT=REF", add = completion::images())]
    pub(crate) images: Vec<String>,
    /// Registry that images of another are pulled from, such as cr.flyte.org=ghcr.io
    #[arg(
        long = "registry-mirror",
        env = "SANDBOX_REGISTRY_MIRRORS",
        value_name = "REGISTRY=MIRROR",
        value_delimiter = ','
    )]
    #[arg(hide_env_values = true)]
    pub(crate) registry_mirrors: Vec<String>,
    /// Host outside the sandbox, such as a database's, that the manifests may make it speak to
    #[arg(long = "keep-external", env = "SANDBOX_KEEP_EXTERNAL", value_name = "HOST", value_delimiter = ',')]
    #[arg(hide_env_values = true)]
    pub(crate) keep_external: Vec<String>,
    /// Minio's keys as upstream has them, minio and miniostorage, in place of a generated secret
    #[arg(long, env = "SANDBOX_UPSTREAM_CREDENTIALS", hide_env_values = true)]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) upstream_credentials: bool,
    /// Flyte manifests in place of the built-in ones: a file, a folder, or `-`
    #[arg(long, env = "SANDBOX_MANIFESTS", value_name = "FILE|DIR|-", hide_env_values = true)]
    pub(crate) manifests: Option<PathBuf>,
}
