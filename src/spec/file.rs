//! A layer from YAML text, with the position of every value.

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use super::Problem;
use super::credentials::Secret;
use super::layer::{Layer, Origin, Sourced};
use super::model::{CredentialSource, Domain};
use super::rules::closest;
use crate::yaml::{self, Position, Spanned};

const BUILT_IN: &str = include_str!("../../sandbox/sandbox.yaml");

/// The profiles within the binary, by name.
pub const PROFILES: &[(&str, &str)] = &[("minimal", include_str!("../../sandbox/profiles/minimal.yaml"))];

/// The spec that everything else is laid over.
///
/// # Errors
/// Never in a released binary: a test reads it.
pub fn built_in() -> Result<Layer, Problem> {
    read(BUILT_IN, "the built-in sandbox.yaml", |_| Origin::Default)
}

/// A profile by name.
///
/// # Errors
/// An unknown name, with the closest known one.
pub fn profile(name: &str, origin: &Origin) -> Result<Layer, Problem> {
    let Some((_, text)) = PROFILES.iter().find(|(known, _)| *known == name) else {
        let names = PROFILES.iter().map(|(name, _)| *name);
        return Err(Problem {
            origin: origin.clone(),
            message: format!("there is no profile `{name}`"),
            hint: closest(name, names.clone())
                .map(|close| format!("did you mean `{close}`?"))
                .or_else(|| Some(format!("profiles are: {}", names.collect::<Vec<_>>().join(", ")))),
        });
    };
    read(text, name, |_| Origin::Profile(name.to_owned()))
}

/// A user's `sandbox.yaml`. An empty file is an empty layer.
///
/// # Errors
/// Bad YAML, an unknown key (with the closest known one) or a value of the wrong type, with its position.
pub fn parse(text: &str, path: &str) -> Result<Layer, Problem> {
    read(text, path, |position| Origin::File { path: path.to_owned(), position })
}

fn read(text: &str, path: &str, origin: impl Fn(Option<Position>) -> Origin) -> Result<Layer, Problem> {
    let file: Option<SpecFile> = yaml::typed(text).map_err(|error| Problem {
        origin: Origin::File { path: path.to_owned(), position: error.position },
        hint: error.unknown_key.as_ref().map(|(key, known)| match closest(key, known.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("keys are: {}", known.join(", ")),
        }),
        message: match &error.unknown_key {
            Some((key, _)) => format!("unknown key `{key}`"),
            None => error.message,
        },
    })?;
    Ok(file.unwrap_or_default().into_layer(&origin))
}

/// The JSON schema of `sandbox.yaml`.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema_for!(SpecFile).to_value()
}

/// What a sandbox is. All keys are optional.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct SpecFile {
    /// The cluster's name: a DNS label of at most 32 characters.
    #[schemars(with = "Option<String>")]
    name: Option<Spanned<String>>,
    /// Owner id, the first part of every namespace.
    #[schemars(with = "Option<String>")]
    appid: Option<Spanned<String>>,
    /// Second part of every namespace.
    #[schemars(with = "Option<String>")]
    system_project: Option<Spanned<String>>,
    /// Last part of the system namespace.
    #[schemars(with = "Option<String>")]
    env: Option<Spanned<String>>,
    /// Flyte projects.
    #[schemars(with = "Option<Vec<String>>")]
    projects: Option<Vec<Spanned<String>>>,
    /// Flyte domains, the same for every project.
    #[schemars(with = "Option<Vec<FileDomain>>")]
    domains: Option<Vec<Spanned<FileDomain>>>,
    /// Ports on 127.0.0.1.
    ports: Option<FilePorts>,
    /// The Flyte release, `0.15` or `1.16`.
    #[schemars(with = "Option<String>")]
    flyte: Option<Spanned<String>>,
    /// The k3s release that the node runs, such as `v1.21.2+k3s1`; where absent, the one that the Flyte release wants.
    #[schemars(with = "Option<String>")]
    kubernetes: Option<Spanned<String>>,
    /// What makes the node, `k3d` or `docker`; k3d where it is on the PATH, or else docker, where absent. `context` makes
    /// none, and uses a cluster that is there.
    #[schemars(with = "Option<String>")]
    engine: Option<Spanned<String>>,
    /// The kubeconfig context of the cluster, for the engine `context`.
    #[schemars(with = "Option<String>")]
    context: Option<Spanned<String>>,
    /// The kubeconfig that has the context; `$KUBECONFIG` or `~/.kube/config` where absent.
    #[schemars(with = "Option<String>")]
    kubeconfig: Option<Spanned<String>>,
    /// The StorageClass of the volumes that Postgres and Minio keep their data in, for the engine `context`; without one,
    /// data goes with its pod there.
    #[schemars(with = "Option<String>")]
    storage_class: Option<Spanned<String>>,
    /// How long nothing must have run in the sandbox, such as `30m`, for `sandbox gc` to freeze it; never where absent.
    #[schemars(with = "Option<String>")]
    idle: Option<Spanned<String>>,
    /// Whether `up` leaves a spare behind: a frozen node of the same kind, which the next `up` takes. Only a node of the
    /// sandbox's own has one.
    #[schemars(with = "Option<bool>")]
    spare: Option<Spanned<bool>>,
    /// Images in place of the pinned ones, by component.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    images: Option<BTreeMap<String, Spanned<String>>>,
    /// Registries that images are pulled from in place of their own, such as `cr.flyte.org: ghcr.io`.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    registry_mirrors: Option<BTreeMap<String, Spanned<String>>>,
    /// Hosts outside the sandbox, such as a database's, that manifests may make it speak to.
    #[schemars(with = "Option<Vec<String>>")]
    keep_external: Option<Vec<Spanned<String>>>,
    /// Whether NetworkPolicies let pods be reached only by those who have business with them.
    #[schemars(with = "Option<bool>")]
    network_policies: Option<Spanned<bool>>,
    /// Whether the sandbox has a registry that images are pushed to, on the port `ports.registry`.
    #[schemars(with = "Option<bool>")]
    registry: Option<Spanned<bool>>,
    /// Whether launch plans with a schedule start: flytescheduler, which release 1.16 has.
    #[schemars(with = "Option<bool>")]
    scheduler: Option<Spanned<bool>>,
    /// The resources of task pods.
    tasks: Option<FileTasks>,
    /// The object store.
    storage: Option<FileStorage>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileDomain {
    /// Part of the workflow namespace's name, such as `d-dev`.
    id: String,
    /// Shown in the console; the id where absent.
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FilePorts {
    /// Console and admin.
    #[schemars(with = "Option<u16>")]
    console: Option<Spanned<u32>>,
    /// Kubernetes dashboard.
    #[schemars(with = "Option<u16>")]
    dashboard: Option<Spanned<u32>>,
    /// Minio.
    #[schemars(with = "Option<u16>")]
    minio: Option<Spanned<u32>>,
    /// The Kubernetes API; a free port where absent.
    #[schemars(with = "Option<u16>")]
    api: Option<Spanned<u32>>,
    /// Postgres; not published where absent.
    #[schemars(with = "Option<u16>")]
    postgres: Option<Spanned<u32>>,
    /// The registry, where `registry` is `true`.
    #[schemars(with = "Option<u16>")]
    registry: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct FileStorage {
    /// The bucket of admin and datacatalog; project x gets one of its own, which is called after it with `-x`.
    #[schemars(with = "Option<String>")]
    bucket: Option<Spanned<String>>,
    /// Minio's access key, at least 3 characters.
    #[schemars(with = "Option<String>")]
    access_key: Option<Spanned<String>>,
    /// Minio's secret key, at least 8 characters; one for this machine and sandbox where absent.
    #[schemars(with = "Option<String>")]
    secret_key: Option<Spanned<Secret>>,
    /// Who issues the keys of each project, one of `file`, `command` and `url`; they are derived where absent.
    #[schemars(with = "Option<FileCredentials>")]
    credentials: Option<Spanned<FileCredentials>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FileTasks {
    /// Processors of a task that names none, such as `500m`: its request, and its limit.
    #[schemars(with = "Option<String>")]
    cpu: Option<Spanned<String>>,
    /// Memory of a task that names none, such as `1Gi`: its request, and its limit. At least 500Mi where absent.
    #[schemars(with = "Option<String>")]
    memory: Option<Spanned<String>>,
    /// The most that a task may name; one that names more is refused when it is registered.
    limits: FileResources,
    /// `cpu` and `memory` of the tasks of one project, in place of those of all, by the project's id.
    projects: BTreeMap<String, FileResources>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FileResources {
    /// Processors, such as `2`.
    #[schemars(with = "Option<String>")]
    cpu: Option<Spanned<String>>,
    /// Memory, such as `8Gi`.
    #[schemars(with = "Option<String>")]
    memory: Option<Spanned<String>>,
}

impl FileTasks {
    /// Each value with its key below `tasks`.
    fn by_key(self) -> Vec<(String, Spanned<String>)> {
        let FileResources { cpu, memory } = self.limits;
        let all = [("cpu", self.cpu), ("memory", self.memory), ("limits.cpu", cpu), ("limits.memory", memory)];
        let all = all.into_iter().map(|(key, given)| (key.to_owned(), given));
        let own = self.projects.into_iter().flat_map(|(project, FileResources { cpu, memory })| {
            [("cpu", cpu), ("memory", memory)].map(|(key, given)| (format!("projects.{project}.{key}"), given))
        });
        all.chain(own).filter_map(|(key, given)| Some((key, given?))).collect()
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FileCredentials {
    /// A JSON file with a project's keys; `{project}` in it stands for the project's id, `{bucket}` for its bucket.
    file: Option<String>,
    /// A program and its arguments, with `{project}` in one, that prints the project's keys as JSON.
    command: Option<Vec<String>>,
    /// An HTTP endpoint, with `{project}` in its URL, that answers with the project's keys as JSON.
    url: Option<String>,
}

impl FileCredentials {
    /// All that is named; the rules say that it is one.
    fn sources(self) -> Vec<CredentialSource> {
        let file = self.file.map(CredentialSource::File);
        let command = self.command.map(CredentialSource::Command);
        let url = self.url.map(CredentialSource::Url);
        [file, command, url].into_iter().flatten().collect()
    }
}

impl SpecFile {
    fn into_layer(self, origin: &impl Fn(Option<Position>) -> Origin) -> Layer {
        fn given<T>(spanned: Spanned<T>, origin: &impl Fn(Option<Position>) -> Origin) -> Sourced<T> {
            let at = Position::known(spanned.referenced.line(), spanned.referenced.column());
            Sourced { origin: origin(at), value: spanned.value }
        }
        let by_key = |map: Option<BTreeMap<String, Spanned<String>>>| {
            map.unwrap_or_default().into_iter().map(|(key, v)| (key, given(v, origin))).collect()
        };
        let domain = |domain: Spanned<FileDomain>| {
            let Sourced { value, origin } = given(domain, origin);
            Sourced { value: Domain { name: value.name.unwrap_or_else(|| value.id.clone()), id: value.id }, origin }
        };
        let ports = self.ports.unwrap_or_default();
        let storage = self.storage.unwrap_or_default();
        Layer {
            name: self.name.map(|v| given(v, origin)),
            appid: self.appid.map(|v| given(v, origin)),
            system_project: self.system_project.map(|v| given(v, origin)),
            env: self.env.map(|v| given(v, origin)),
            projects: self.projects.map(|list| list.into_iter().map(|v| given(v, origin)).collect()),
            domains: self.domains.map(|list| list.into_iter().map(domain).collect()),
            port_console: ports.console.map(|v| given(v, origin)),
            port_dashboard: ports.dashboard.map(|v| given(v, origin)),
            port_minio: ports.minio.map(|v| given(v, origin)),
            port_api: ports.api.map(|v| given(v, origin)),
            port_postgres: ports.postgres.map(|v| given(v, origin)),
            port_registry: ports.registry.map(|v| given(v, origin)),
            flyte: self.flyte.map(|v| given(v, origin)),
            kubernetes: self.kubernetes.map(|v| given(v, origin)),
            engine: self.engine.map(|v| given(v, origin)),
            context: self.context.map(|v| given(v, origin)),
            kubeconfig: self.kubeconfig.map(|v| given(v, origin)),
            storage_class: self.storage_class.map(|v| given(v, origin)),
            idle: self.idle.map(|v| given(v, origin)),
            spare: self.spare.map(|v| given(v, origin)),
            images: by_key(self.images),
            registry_mirrors: by_key(self.registry_mirrors),
            keep_external: self.keep_external.unwrap_or_default().into_iter().map(|v| given(v, origin)).collect(),
            network_policies: self.network_policies.map(|v| given(v, origin)),
            registry: self.registry.map(|v| given(v, origin)),
            scheduler: self.scheduler.map(|v| given(v, origin)),
            tasks: self
                .tasks
                .unwrap_or_default()
                .by_key()
                .into_iter()
                .map(|(key, v)| (key, given(v, origin)))
                .collect(),
            bucket: storage.bucket.map(|v| given(v, origin)),
            access_key: storage.access_key.map(|v| given(v, origin)),
            secret_key: storage.secret_key.map(|v| given(v, origin)),
            credentials: storage.credentials.map(|v| {
                let Sourced { value, origin } = given(v, origin);
                Sourced { value: value.sources(), origin }
            }),
        }
    }
}
