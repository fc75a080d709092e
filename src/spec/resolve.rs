//! Layers to spec.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Problem;
use super::check::{Check, sandbox_name};
use super::credentials::MachineKey;
use super::file;
use super::layer::{Layer, Origin, Provenance, Sourced};
use super::model::{Domain, EngineKind, Spec, Storage};
use super::rules::{LABEL_LIMIT, bucket, idle_limit, k3s_image, kubernetes_version, label, secret};

/// A valid spec, and where its values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The spec.
    pub spec: Spec,
    /// Its values' origins.
    pub provenance: Provenance,
}

/// Lays the layers over the built-in one, in order, and checks the result. A secret that no layer has is derived from
/// `key`.
///
/// # Errors
/// Every problem there is, in the order of the keys.
pub fn resolve(layers: impl IntoIterator<Item = Layer>, key: &MachineKey) -> Result<Resolved, Vec<Problem>> {
    let layer = laid_over(layers)?;
    let mut check = Check::default();

    let name = check.name(layer.name);
    let appid = check.value("appid", layer.appid, |text| label(text, LABEL_LIMIT));
    let system_project = check.value("systemProject", layer.system_project, |text| label(text, LABEL_LIMIT));
    let env = check.value("env", layer.env, |text| label(text, LABEL_LIMIT));
    let projects = check
        .list("projects", layer.projects, |project: &String| label(project, LABEL_LIMIT).map(|()| project.clone()));
    let domains = check
        .list("domains", layer.domains, |domain: &Domain| label(&domain.id, LABEL_LIMIT).map(|()| domain.id.clone()));
    let registry = check.switch("registry", layer.registry);
    let ports = check.ports([
        ("ports.console", layer.port_console),
        ("ports.dashboard", layer.port_dashboard),
        ("ports.minio", layer.port_minio),
        ("ports.api", layer.port_api),
        ("ports.postgres", layer.port_postgres),
        ("ports.registry", layer.port_registry.filter(|_| registry)),
    ]);
    let flyte = check.release(layer.flyte);
    let of_release = || Sourced { value: flyte.facts().kubernetes.clone(), origin: Origin::Default };
    let kubernetes = Some(layer.kubernetes.unwrap_or_else(of_release));
    let kubernetes = check.value("kubernetes", kubernetes, |text| kubernetes_version(text).map(|_| ()));
    let engine = check.engine(layer.engine);
    let context = check.optional("context", layer.context);
    let kubeconfig = check.optional("kubeconfig", layer.kubeconfig);
    let storage_class = layer.storage_class.map(|given| {
        check.value("storageClass", Some(given), |text| text.split('.').try_for_each(|part| label(part, LABEL_LIMIT)))
    });
    check.attached_cluster(engine, context.as_deref(), storage_class.as_deref());
    let idle = layer.idle.map(|given| check.value("idle", Some(given), |text| idle_limit(text).map(drop)));
    let spare = check.switch("spare", layer.spare);
    check.only_on_a_node(engine, idle.as_deref(), spare);
    check.registry(engine, registry);
    let images = check.images(layer.images);
    let registry_mirrors = check.mirrors(layer.registry_mirrors);
    let keep_external = check.hosts("keepExternal", layer.keep_external);
    let network_policies = check.switch("networkPolicies", layer.network_policies);
    let scheduler = check.scheduler(layer.scheduler, flyte);
    let tasks = check.tasks(layer.tasks, &projects);
    let storage = Storage {
        bucket: check.value("storage.bucket", layer.bucket, |text| bucket(text)),
        access_key: check.value("storage.accessKey", layer.access_key, |text| secret(text, 3)),
        secret_key: check.secret("storage.secretKey", layer.secret_key, || key.storage_secret(&name)),
        credentials: check.credentials(layer.credentials),
        issued: BTreeMap::new(),
    };
    let node_image = images.get("k3s").cloned().or_else(|| k3s_image(&kubernetes));
    let (Some(node_image), Some(ports), true) = (node_image, ports, check.problems.is_empty()) else {
        return Err(check.problems);
    };

    let spec = Spec {
        name,
        appid,
        system_project,
        env,
        projects,
        added_projects: Vec::new(),
        domains,
        ports,
        flyte,
        kubernetes,
        node_image,
        engine,
        context,
        kubeconfig,
        storage_class,
        idle,
        spare,
        unpublished: false,
        images,
        registry_mirrors,
        keep_external,
        network_policies,
        scheduler,
        tasks,
        storage,
    };
    check.namespaces(&spec);
    if check.problems.is_empty() { Ok(Resolved { spec, provenance: check.provenance }) } else { Err(check.problems) }
}

/// The spec again, with what `origin` made of its projects checked by the same rules.
fn with_projects(spec: Spec, projects: Vec<String>, origin: &Origin) -> Result<Spec, Vec<Problem>> {
    let mut check = Check::default();
    let given = projects.into_iter().map(|value| Sourced { value, origin: origin.clone() }).collect();
    let projects =
        check.list("projects", Some(given), |project: &String| label(project, LABEL_LIMIT).map(|()| project.clone()));
    let mut spec = Spec { projects, ..spec };
    spec.tasks.projects.retain(|project, _| spec.projects.contains(project));
    check.namespaces(&spec);
    if check.problems.is_empty() { Ok(spec) } else { Err(check.problems) }
}

/// The sandbox's name alone, for what needs no more: nothing else that the layers have is checked.
///
/// # Errors
/// The name's problem.
pub fn name(layers: impl IntoIterator<Item = Layer>) -> Result<String, Vec<Problem>> {
    let mut check = Check::default();
    let name = check.name(laid_over(layers)?.name);
    if check.problems.is_empty() { Ok(name) } else { Err(check.problems) }
}

/// Whether a sandbox can have this name: what Docker has labels for need not be one of ours.
#[must_use]
pub fn is_name(text: &str) -> bool {
    sandbox_name(text).is_ok()
}

/// The engine alone, as it is asked for; nothing else that the layers have is checked.
///
/// # Errors
/// The built-in layer's; never in a released binary.
pub fn engine(layers: impl IntoIterator<Item = Layer>) -> Result<Option<EngineKind>, Vec<Problem>> {
    let given = laid_over(layers)?.engine;
    Ok(given.and_then(|given| EngineKind::ALL.iter().copied().find(|engine| engine.name() == given.value)))
}

fn laid_over(layers: impl IntoIterator<Item = Layer>) -> Result<Layer, Vec<Problem>> {
    let bottom = file::built_in().map_err(|problem| vec![problem])?;
    Ok(layers.into_iter().fold(bottom, Layer::under))
}

impl Spec {
    /// Major and minor version of the node's Kubernetes, such as `(1, 21)`.
    #[must_use]
    pub fn kubernetes_minor(&self) -> (u32, u32) {
        kubernetes_version(&self.kubernetes).unwrap_or((1, 21))
    }

    /// How long nothing must have run in the sandbox for `gc` to freeze it.
    #[must_use]
    pub fn idle_limit(&self) -> Option<Duration> {
        idle_limit(self.idle.as_deref()?).ok()
    }

    /// This spec with one project more, which comes last; as it is where it has the project.
    ///
    /// # Errors
    /// What is wrong with the project's name, or with the namespaces that it would bring.
    pub fn with_project(&self, project: &str, origin: &Origin) -> Result<Self, Vec<Problem>> {
        if self.projects.iter().any(|known| known == project) {
            return Ok(self.clone());
        }
        let mut spec = self.clone();
        spec.added_projects.push(project.to_owned());
        let projects = self.projects.iter().cloned().chain([project.to_owned()]).collect();
        with_projects(spec, projects, origin)
    }

    /// This spec without a project; as it is where it has none of this name.
    ///
    /// # Errors
    /// It is the only one.
    pub fn without_project(&self, project: &str, origin: &Origin) -> Result<Self, Vec<Problem>> {
        let mut spec = self.clone();
        spec.added_projects.retain(|known| known != project);
        let projects = self.projects.iter().filter(|known| *known != project).cloned().collect();
        with_projects(spec, projects, origin)
    }
}

impl Default for Spec {
    /// What `sandbox up` makes without any file, variable or flag, on a machine whose key is of zeros.
    fn default() -> Self {
        resolve([], &MachineKey::default()).expect("the built-in sandbox.yaml is valid; a test reads it").spec
    }
}
