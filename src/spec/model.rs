//! The spec itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::credentials::{Keys, Secret};
use super::mirrors::Mirrors;
use crate::manifest::ImageRef;
use crate::release::Release;

/// What an image can be given for in `images`.
pub const COMPONENTS: &[&str] = &[
    "datacatalog",
    "flyteadmin",
    "flyteconsole",
    "flytepropeller",
    "flytescheduler",
    "gateway",
    "image-registry",
    "k3s",
    "kubernetes-dashboard",
    "minio",
    "postgres",
];

/// What makes the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// The `k3d` on the path.
    K3d,
    /// The Docker API, as k3d would use it.
    Docker,
    /// This program itself, which plays a node where there is none.
    Rehearsal,
    /// No node is made: a cluster that is there, by its kubeconfig context.
    Context,
}

impl EngineKind {
    /// All of them.
    pub const ALL: &[Self] = &[Self::K3d, Self::Docker, Self::Rehearsal, Self::Context];

    /// The word it is asked for by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::K3d => "k3d",
            Self::Docker => "docker",
            Self::Rehearsal => "rehearsal",
            Self::Context => "context",
        }
    }
}

/// A Flyte domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Part of the workflow namespace's name, such as `d-dev`.
    pub id: String,
    /// Shown in the console, such as `Development`.
    pub name: String,
}

/// Ports on the host's loopback address. Inside the node the NodePorts are always 30081 to 30084.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Console and admin, HTTP and gRPC.
    pub console: u16,
    /// Kubernetes dashboard.
    pub dashboard: u16,
    /// Minio.
    pub minio: u16,
    /// The Kubernetes API; chosen among the free ones where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<u16>,
    /// Postgres; not published where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<u16>,
    /// The registry for images that people push; there is none where absent. The node listens on the same port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<u16>,
}

/// The object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// The bucket of admin and datacatalog; a project's is called after it.
    pub bucket: String,
    /// Minio's access key.
    pub access_key: String,
    /// Minio's secret key; never written with the rest.
    #[serde(skip)]
    pub secret_key: Secret,
    /// Who issues the projects' keys; they are derived from `secret_key` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialSource>,
    /// What that one has issued, by project; never written with the rest.
    #[serde(skip)]
    pub issued: BTreeMap<String, Keys>,
}

/// Who issues the keys of a project; docs/storage.md has the contract. `{project}` and `{bucket}` stand for their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialSource {
    /// A file for each project.
    File(String),
    /// A program and its arguments, run for each project.
    Command(Vec<String>),
    /// An HTTP endpoint, asked for each project.
    Url(String),
}

impl CredentialSource {
    /// Whether a word stands in it.
    pub(super) fn names(&self, word: &str) -> bool {
        match self {
            Self::File(text) | Self::Url(text) => text.contains(word),
            Self::Command(words) => words.iter().any(|one| one.contains(word)),
        }
    }
}

impl Storage {
    /// The bucket that a project's workflows write to, and the name by which the store knows whoever may.
    #[must_use]
    pub fn bucket_of(&self, project: &str) -> String {
        format!("{}-{project}", self.bucket)
    }

    /// What opens every bucket: the store's own.
    #[must_use]
    pub fn root(&self) -> Keys {
        Keys { access_key: self.access_key.clone(), secret_key: self.secret_key.clone(), expires_at: None }
    }

    /// What a project's propellers and task pods reach its bucket with; absent where somebody else is to issue them, and
    /// has not yet.
    #[must_use]
    pub fn keys_of(&self, project: &str) -> Option<Keys> {
        match &self.credentials {
            Some(_) => self.issued.get(project).cloned(),
            None => Some(Keys {
                access_key: self.bucket_of(project),
                secret_key: self.secret_key.of_project(project),
                expires_at: None,
            }),
        }
    }
}

/// Quantities of resources, as Kubernetes writes them: `500m`, `1Gi`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}

/// The resources of task pods. What is absent is as the manifests say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tasks {
    /// The requests of a task that names none, and its limits.
    #[serde(flatten)]
    pub defaults: Resources,
    /// The most that a task may name.
    #[serde(default)]
    pub limits: Resources,
    /// The requests and limits of a task that names none, by project, in place of `defaults`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub projects: BTreeMap<String, Resources>,
}

impl Tasks {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A complete, valid description of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The cluster's name, at most 32 characters, a DNS label.
    pub name: String,
    /// The owner id in the namespace convention `<appid>-<project>-<env>`.
    pub appid: String,
    /// The project part of the system namespace.
    pub system_project: String,
    /// The environment part of the system namespace.
    pub env: String,
    /// Flyte projects.
    pub projects: Vec<String>,
    /// Those of them that `project add` added: no layer has them, and `up` keeps them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added_projects: Vec<String>,
    /// Flyte domains, the same for every project.
    pub domains: Vec<Domain>,
    /// Ports on the host.
    pub ports: Ports,
    /// The Flyte release.
    #[serde(default)]
    pub flyte: Release,
    /// The k3s release, such as `v1.21.2+k3s1`.
    pub kubernetes: String,
    /// The k3s node image.
    pub node_image: ImageRef,
    /// What makes the node; k3d where it is on the path, or else Docker, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKind>,
    /// The kubeconfig context that the engine `context` uses; always there with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The kubeconfig that has the context; `$KUBECONFIG` or `~/.kube/config` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
    /// The StorageClass of the volumes with the data; only on an attached cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// How long nothing must have run for `gc` to freeze the node, as [`humantime`] reads it; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<String>,
    /// Whether `up` leaves a spare behind: a frozen node of the same kind, which the next `up` takes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spare: bool,
    /// Whether nothing is published on the host yet: so it is while a spare is made.
    #[serde(skip)]
    pub unpublished: bool,
    /// Images to use in place of the pinned ones, by component (`flyteadmin`, `minio`, …).
    pub images: BTreeMap<String, ImageRef>,
    /// Registries that images are pulled from in place of their own.
    #[serde(default, skip_serializing_if = "Mirrors::is_empty")]
    pub registry_mirrors: Mirrors,
    /// Hosts outside the sandbox that manifests may make it speak to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep_external: Vec<String>,
    /// Whether pods are reached only by those who have business with them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network_policies: bool,
    /// Whether launch plans with a schedule start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scheduler: bool,
    /// What the pods of tasks ask for, and may have.
    #[serde(default, skip_serializing_if = "Tasks::is_empty")]
    pub tasks: Tasks,
    /// The object store.
    pub storage: Storage,
}

/// The namespace in which one project's workflows of one domain run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkflowNamespace {
    /// Flyte project id.
    pub project: String,
    /// Flyte domain id.
    pub domain: String,
    /// Such as `103020-flytepoc-x-d-dev`.
    pub name: String,
}

impl Spec {
    /// The system namespace and all workflow namespaces.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        let workflows = self.workflow_namespaces().into_iter().map(|namespace| namespace.name);
        std::iter::once(self.system_namespace()).chain(workflows).collect()
    }

    /// Where Flyte itself runs: `<appid>-<systemProject>-<env>`.
    #[must_use]
    pub fn system_namespace(&self) -> String {
        format!("{}-{}-{}", self.appid, self.system_project, self.env)
    }

    /// What flyteadmin makes workflow namespaces from; exactly one space within each pair of braces.
    #[must_use]
    pub fn namespace_template(&self) -> String {
        format!("{}-{}-{{{{ project }}}}-{{{{ domain }}}}", self.appid, self.system_project)
    }

    /// Every secret of this spec, for what must not show one.
    pub fn secrets(&self) -> impl Iterator<Item = Secret> {
        let of_projects = self.projects.iter().filter_map(|project| Some(self.storage.keys_of(project)?.secret_key));
        std::iter::once(self.storage.secret_key.clone())
            .chain(of_projects)
            .filter(|secret| *secret != Secret::default())
    }

    /// All workflow namespaces, projects first, domains within.
    #[must_use]
    pub fn workflow_namespaces(&self) -> Vec<WorkflowNamespace> {
        let prefix = format!("{}-{}", self.appid, self.system_project);
        let of_project = |project: &String| {
            let (project, prefix) = (project.clone(), prefix.clone());
            self.domains.iter().map(move |domain| WorkflowNamespace {
                name: format!("{prefix}-{project}-{}", domain.id),
                project: project.clone(),
                domain: domain.id.clone(),
            })
        };
        self.projects.iter().flat_map(of_project).collect()
    }
}
