//! A partial spec, each value with its origin.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::credentials::Secret;
use super::model::{CredentialSource, Domain};
use crate::yaml::Position;

/// The origin of every value, by key (`ports.console`).
pub type Provenance = BTreeMap<String, Origin>;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// `sandbox/sandbox.yaml` within the binary.
    Default,
    /// The version of what `--manifests` brings.
    Manifests,
    /// A profile within the binary.
    Profile(String),
    /// A user's file.
    File {
        /// As given.
        path: String,
        /// Where in it, if known.
        #[serde(flatten)]
        position: Option<Position>,
    },
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(String),
    /// Derived from this machine's key.
    Generated,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Generated => f.write_str("generated"),
            Self::Manifests => f.write_str("the manifests"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::File { path, position: None } => f.write_str(path),
            Self::File { path, position: Some(Position { line, column }) } => write!(f, "{path}:{line}:{column}"),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A value with its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value, not validated.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

/// A partial spec. Values are as written; [`super::resolve()`] checks them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the spec's field of the same name")]
pub struct Layer {
    pub name: Option<Sourced<String>>,
    pub appid: Option<Sourced<String>>,
    pub system_project: Option<Sourced<String>>,
    pub env: Option<Sourced<String>>,
    pub projects: Option<Vec<Sourced<String>>>,
    pub domains: Option<Vec<Sourced<Domain>>>,
    pub port_console: Option<Sourced<u32>>,
    pub port_dashboard: Option<Sourced<u32>>,
    pub port_minio: Option<Sourced<u32>>,
    pub port_api: Option<Sourced<u32>>,
    pub port_postgres: Option<Sourced<u32>>,
    pub port_registry: Option<Sourced<u32>>,
    pub flyte: Option<Sourced<String>>,
    pub kubernetes: Option<Sourced<String>>,
    pub engine: Option<Sourced<String>>,
    pub context: Option<Sourced<String>>,
    pub kubeconfig: Option<Sourced<String>>,
    pub storage_class: Option<Sourced<String>>,
    pub idle: Option<Sourced<String>>,
    pub spare: Option<Sourced<bool>>,
    /// By component; layers add to each other.
    pub images: Vec<(String, Sourced<String>)>,
    /// By registry; layers add to each other.
    pub registry_mirrors: Vec<(String, Sourced<String>)>,
    /// Layers add to each other.
    pub keep_external: Vec<Sourced<String>>,
    pub network_policies: Option<Sourced<bool>>,
    pub registry: Option<Sourced<bool>>,
    pub scheduler: Option<Sourced<bool>>,
    /// By the key below `tasks`, such as `limits.cpu`; layers add to each other.
    pub tasks: Vec<(String, Sourced<String>)>,
    pub bucket: Option<Sourced<String>>,
    pub access_key: Option<Sourced<String>>,
    pub secret_key: Option<Sourced<Secret>>,
    pub credentials: Option<Sourced<Vec<CredentialSource>>>,
}

impl Layer {
    /// This layer with `above` laid over it.
    #[must_use]
    pub fn under(self, above: Self) -> Self {
        Self {
            name: above.name.or(self.name),
            appid: above.appid.or(self.appid),
            system_project: above.system_project.or(self.system_project),
            env: above.env.or(self.env),
            projects: above.projects.or(self.projects),
            domains: above.domains.or(self.domains),
            port_console: above.port_console.or(self.port_console),
            port_dashboard: above.port_dashboard.or(self.port_dashboard),
            port_minio: above.port_minio.or(self.port_minio),
            port_api: above.port_api.or(self.port_api),
            port_postgres: above.port_postgres.or(self.port_postgres),
            port_registry: above.port_registry.or(self.port_registry),
            flyte: above.flyte.or(self.flyte),
            kubernetes: above.kubernetes.or(self.kubernetes),
            engine: above.engine.or(self.engine),
            context: above.context.or(self.context),
            kubeconfig: above.kubeconfig.or(self.kubeconfig),
            storage_class: above.storage_class.or(self.storage_class),
            idle: above.idle.or(self.idle),
            spare: above.spare.or(self.spare),
            images: by_key(self.images, above.images),
            registry_mirrors: by_key(self.registry_mirrors, above.registry_mirrors),
            keep_external: self.keep_external.into_iter().chain(above.keep_external).collect(),
            network_policies: above.network_policies.or(self.network_policies),
            registry: above.registry.or(self.registry),
            scheduler: above.scheduler.or(self.scheduler),
            tasks: by_key(self.tasks, above.tasks),
            bucket: above.bucket.or(self.bucket),
            access_key: above.access_key.or(self.access_key),
            secret_key: above.secret_key.or(self.secret_key),
            credentials: above.credentials.or(self.credentials),
        }
    }
}

/// All of both; `above` counts where both have one.
fn by_key(
    below: Vec<(String, Sourced<String>)>,
    above: Vec<(String, Sourced<String>)>,
) -> Vec<(String, Sourced<String>)> {
    let mut all = below;
    all.retain(|(key, _)| !above.iter().any(|(other, _)| other == key));
    all.extend(above);
    all
}
