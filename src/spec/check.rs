//! The values of all layers, one by one: each against its rule, and all problems kept.

use std::collections::BTreeMap;

use super::Problem;
use super::credentials::Secret;
use super::layer::{Origin, Provenance, Sourced};
use super::mirrors::Mirrors;
use super::model::{COMPONENTS, CredentialSource, EngineKind, Ports, Spec, Tasks};
use super::rules::{LABEL_LIMIT, closest, credentials, is_node_port, label, quantity, secret};
use crate::manifest::{ImageRef, Quantity};
use crate::release::Release;

/// k3d's limit for cluster names (`pkg/types/defaults.go`, v4.4.8 and v5.9.0).
pub(crate) const NAME_LIMIT: usize = 32;
/// A name that no sandbox can have: the folder of this name holds the evidence of all.
const EVIDENCE: &str = "failures";

/// What was checked so far.
#[derive(Default)]
pub(super) struct Check {
    pub(super) problems: Vec<Problem>,
    pub(super) provenance: Provenance,
}

impl Check {
    fn problem(&mut self, origin: &Origin, message: impl Into<String>, hint: Option<String>) {
        self.problems.push(Problem { origin: origin.clone(), message: message.into(), hint });
    }

    pub(super) fn value(
        &mut self,
        key: &str,
        given: Option<Sourced<String>>,
        rule: impl Fn(&String) -> Result<(), String>,
    ) -> String {
        let Some(Sourced { value, origin }) = given else {
            self.problem(&Origin::Default, format!("`{key}` has no value"), None);
            return String::new();
        };
        if let Err(why) = rule(&value) {
            self.problem(&origin, format!("`{key}: {value}`: {why}"), None);
        }
        self.provenance.insert(key.to_owned(), origin);
        value
    }

    pub(super) fn name(&mut self, given: Option<Sourced<String>>) -> String {
        self.value("name", given, |name| sandbox_name(name))
    }

    /// What is wrong with a secret is told without it.
    pub(super) fn secret(
        &mut self,
        key: &str,
        given: Option<Sourced<Secret>>,
        generate: impl FnOnce() -> Secret,
    ) -> Secret {
        let generated = || Sourced { value: generate(), origin: Origin::Generated };
        let Sourced { value, origin } = given.unwrap_or_else(generated);
        if let Err(why) = secret(value.expose(), 8) {
            self.problem(&origin, format!("`{key}`: {why}"), None);
        }
        self.provenance.insert(key.to_owned(), origin);
        value
    }

    pub(super) fn list<T>(
        &mut self,
        key: &str,
        given: Option<Vec<Sourced<T>>>,
        rule: impl Fn(&T) -> Result<String, String>,
    ) -> Vec<T> {
        let given = given.unwrap_or_default();
        if given.is_empty() {
            self.problem(&Origin::Default, format!("`{key}` is empty"), Some(format!("name at least one in `{key}`")));
        }
        let mut seen = BTreeMap::<String, Origin>::new();
        let mut values = Vec::new();
        for Sourced { value, origin } in given {
            match rule(&value) {
                Err(why) => self.problem(&origin, format!("`{key}`: {why}"), None),
                Ok(id) => {
                    if let Some(first) = seen.insert(id.clone(), origin.clone()) {
                        self.problem(&origin, format!("`{key}`: `{id}` stands twice, first at {first}"), None);
                    }
                }
            }
            self.provenance.entry(key.to_owned()).or_insert(origin);
            values.push(value);
        }
        values
    }

    pub(super) fn ports(&mut self, given: [(&'static str, Option<Sourced<u32>>); 6]) -> Option<Ports> {
        let mut taken = BTreeMap::<u16, &str>::new();
        let [console, dashboard, minio, api, postgres, registry] = given.map(|(key, given)| {
            let Sourced { value, origin } = given?;
            self.provenance.insert(key.to_owned(), origin.clone());
            let Some(port) = u16::try_from(value).ok().filter(|port| *port > 0) else {
                self.problem(&origin, format!("`{key}: {value}`: a port is a number from 1 to 65535"), None);
                return None;
            };
            if let Some(other) = taken.insert(port, key) {
                let hint = format!("give one of them another port, such as {}", port.saturating_add(1000));
                self.problem(&origin, format!("`{key}: {port}`: `{other}` has this port already"), Some(hint));
            }
            if key == "ports.registry" && is_node_port(port) {
                let hint = "the node listens on the same port; give it another, such as 5050".to_owned();
                self.problem(&origin, format!("`{key}: {port}`: Kubernetes uses this port of the node"), Some(hint));
            }
            Some(port)
        });
        Some(Ports { console: console?, dashboard: dashboard?, minio: minio?, api, postgres, registry })
    }

    pub(super) fn release(&mut self, given: Option<Sourced<String>>) -> Release {
        let Some(Sourced { value, origin }) = given else { return Release::default() };
        let found = Release::of(&value);
        if found.is_none() {
            let names: Vec<_> = Release::all().map(Release::name).collect();
            let hint = format!("releases are: {}; `--manifests` brings another one", names.join(", "));
            self.problem(&origin, format!("`flyte`: there is no release `{value}`"), Some(hint));
        }
        self.provenance.insert("flyte".to_owned(), origin);
        found.unwrap_or_default()
    }

    pub(super) fn engine(&mut self, given: Option<Sourced<String>>) -> Option<EngineKind> {
        let Sourced { value, origin } = given?;
        let found = EngineKind::ALL.iter().copied().find(|engine| engine.name() == value);
        if found.is_none() {
            let names: Vec<_> = EngineKind::ALL.iter().map(|engine| engine.name()).collect();
            let hint = format!("engines are: {}", names.join(", "));
            self.problem(&origin, format!("`engine`: there is no engine `{value}`"), Some(hint));
        }
        self.provenance.insert("engine".to_owned(), origin);
        found
    }

    pub(super) fn switch(&mut self, key: &str, given: Option<Sourced<bool>>) -> bool {
        let Some(Sourced { value, origin }) = given else { return false };
        self.provenance.insert(key.to_owned(), origin);
        value
    }

    pub(super) fn credentials(&mut self, given: Option<Sourced<Vec<CredentialSource>>>) -> Option<CredentialSource> {
        let Sourced { value: mut sources, origin } = given?;
        self.provenance.insert("storage.credentials".to_owned(), origin.clone());
        let source = sources.pop().filter(|_| sources.is_empty());
        let why = credentials(source.as_ref()).err();
        if let Some(why) = why {
            self.problem(&origin, format!("`storage.credentials`: {why}"), None);
        }
        source
    }

    pub(super) fn optional(&mut self, key: &str, given: Option<Sourced<String>>) -> Option<String> {
        let given = given?;
        Some(self.value(key, Some(given), |text| if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(()) }))
    }

    /// A cluster that is there is never guessed: neither that one is wanted, nor which.
    pub(super) fn attached_cluster(&mut self, engine: Option<EngineKind>, context: Option<&str>, class: Option<&str>) {
        let origin = |check: &Self, key: &str| check.provenance.get(key).cloned().unwrap_or(Origin::Default);
        match (engine, context) {
            (Some(EngineKind::Context), None) => {
                let hint = "`--context NAME` names it; `kubectl config get-contexts` lists them".to_owned();
                let message = "`engine: context`: which context is not said, and the current one is never taken";
                self.problem(&origin(self, "engine"), message, Some(hint));
            }
            (None, Some(context)) => {
                let hint = "`--engine context` puts the sandbox on it".to_owned();
                let message = format!("`context: {context}`: only the engine `context` has a context");
                self.problem(&origin(self, "context"), message, Some(hint));
            }
            _ => {}
        }
        if let (Some(class), None | Some(EngineKind::K3d | EngineKind::Docker | EngineKind::Rehearsal)) =
            (class, engine)
        {
            let hint = "on a node of the sandbox's own, data is on a Docker volume".to_owned();
            let message = format!("`storageClass: {class}`: only the engine `context` has storage classes");
            self.problem(&origin(self, "storageClass"), message, Some(hint));
        }
    }

    /// Where nothing of the sandbox's own can be frozen, that is told.
    pub(super) fn only_on_a_node(&mut self, engine: Option<EngineKind>, idle: Option<&str>, spare: bool) {
        if let (Some(EngineKind::K3d), true) = (engine, spare) {
            let origin = self.provenance.get("spare").cloned().unwrap_or(Origin::Default);
            let message = "`spare: true`: a spare is made through Docker, without k3d".to_owned();
            self.problem(&origin, message, Some("leave it out, or `engine: k3d`".to_owned()));
        }
        if !matches!(engine, Some(EngineKind::Context | EngineKind::Rehearsal)) {
            return;
        }
        let idle = idle.map(|idle| ("idle", format!("`idle: {idle}`: only a node of the sandbox's own is frozen")));
        let spare = spare.then(|| ("spare", "`spare: true`: only a node of the sandbox's own has a spare".to_owned()));
        for (key, message) in idle.into_iter().chain(spare) {
            let origin = self.provenance.get(key).cloned().unwrap_or(Origin::Default);
            self.problem(&origin, message, Some("leave it out".to_owned()));
        }
    }

    /// A release whose scheduler nobody tried has none.
    pub(super) fn scheduler(&mut self, given: Option<Sourced<bool>>, flyte: Release) -> bool {
        let wanted = self.switch("scheduler", given);
        if wanted && !flyte.facts().scheduler {
            let origin = self.provenance.get("scheduler").cloned().unwrap_or(Origin::Default);
            let message = format!("`scheduler: true`: Flyte {flyte} has none in a sandbox");
            let hint = Release::all().find(|release| release.facts().scheduler);
            self.problem(&origin, message, hint.map(|release| format!("`--flyte {release}` has one")));
        }
        wanted
    }

    /// On somebody else's cluster no node pulls from here.
    pub(super) fn registry(&mut self, engine: Option<EngineKind>, wanted: bool) {
        if let (true, Some(EngineKind::Context)) = (wanted, engine) {
            let origin = self.provenance.get("registry").cloned().unwrap_or(Origin::Default);
            let message = "`registry: true`: only a node of the sandbox's own pulls from it";
            self.problem(&origin, message, Some("leave it out, and push to the cluster's registry".to_owned()));
        }
    }

    pub(super) fn images(&mut self, given: Vec<(String, Sourced<String>)>) -> BTreeMap<String, ImageRef> {
        let mut images = BTreeMap::new();
        for (component, Sourced { value, origin }) in given {
            if !COMPONENTS.contains(&component.as_str()) {
                let hint = closest(&component, COMPONENTS.iter().copied())
                    .map(|close| format!("did you mean `{close}`?"))
                    .unwrap_or_else(|| format!("components are: {}", COMPONENTS.join(", ")));
                self.problem(&origin, format!("`images`: there is no component `{component}`"), Some(hint));
            }
            match value.parse::<ImageRef>() {
                Ok(image) => {
                    self.provenance.insert(format!("images.{component}"), origin);
                    images.insert(component, image);
                }
                Err(error) => self.problem(&origin, format!("`images.{component}`: {error}"), None),
            }
        }
        images
    }

    /// Hosts, each once: neither URLs nor ports.
    pub(super) fn hosts(&mut self, key: &str, given: Vec<Sourced<String>>) -> Vec<String> {
        let mut hosts = Vec::new();
        for Sourced { value, origin } in given {
            let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            let is_name = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric());
            if !value.chars().all(is_host) || !value.split('.').all(is_name) {
                let hint = "write the host alone, such as db.example.org".to_owned();
                self.problem(&origin, format!("`{key}`: `{value}` is not a host"), Some(hint));
            } else if !hosts.contains(&value) {
                self.provenance.insert(format!("{key}.{value}"), origin);
                hosts.push(value);
            }
        }
        hosts
    }

    /// Quantities, no default above its limit, and of no other projects than there are.
    pub(super) fn tasks(&mut self, given: Vec<(String, Sourced<String>)>, projects: &[String]) -> Tasks {
        let mut tasks = Tasks::default();
        for (key, Sourced { value, origin }) in given {
            if let Err(why) = quantity(&value) {
                self.problem(&origin, format!("`tasks.{key}: {value}`: {why}"), None);
            }
            match key.as_str() {
                "cpu" => tasks.defaults.cpu = Some(value),
                "memory" => tasks.defaults.memory = Some(value),
                "limits.cpu" => tasks.limits.cpu = Some(value),
                "limits.memory" => tasks.limits.memory = Some(value),
                own => {
                    let Some((project, key)) = own.strip_prefix("projects.").and_then(|own| own.rsplit_once('.'))
                    else {
                        continue;
                    };
                    if !projects.iter().any(|known| known == project) {
                        let hint = format!("there are: {}; `projects` has them", projects.join(", "));
                        self.problem(&origin, format!("`tasks.projects`: there is no project `{project}`"), Some(hint));
                    }
                    let resources = tasks.projects.entry(project.to_owned()).or_default();
                    match key {
                        "cpu" => resources.cpu = Some(value),
                        _ => resources.memory = Some(value),
                    }
                }
            }
            self.provenance.insert(format!("tasks.{key}"), origin);
        }
        let own = tasks.projects.iter().map(|(project, resources)| (format!("projects.{project}."), resources));
        let all = std::iter::once((String::new(), &tasks.defaults)).chain(own);
        let (cpu, memory) = (&tasks.limits.cpu, &tasks.limits.memory);
        let pairs = all.flat_map(|(at, given)| {
            [(format!("{at}cpu"), &given.cpu, "cpu", cpu), (format!("{at}memory"), &given.memory, "memory", memory)]
        });
        for (at, default, key, limit) in pairs {
            let (Some(default), Some(limit)) = (default, limit) else { continue };
            if Quantity::of(&default.as_str().into()) > Quantity::of(&limit.as_str().into()) {
                let origin = self.provenance.get(&format!("tasks.{at}")).cloned().unwrap_or(Origin::Default);
                let message = format!("`tasks.{at}: {default}` is more than `tasks.limits.{key}: {limit}`");
                self.problem(&origin, message, None);
            }
        }
        tasks
    }

    pub(super) fn mirrors(&mut self, given: Vec<(String, Sourced<String>)>) -> Mirrors {
        let mut mirrors = Mirrors::default();
        for (registry, Sourced { value, origin }) in given {
            if let Err(why) = mirrors.add(&registry, &value) {
                self.problem(&origin, format!("`registryMirrors`: {why}"), None);
            }
            self.provenance.insert(format!("registryMirrors.{registry}"), origin);
        }
        mirrors
    }

    pub(super) fn namespaces(&mut self, spec: &Spec) {
        let system = spec.system_namespace();
        let workflows = spec.workflow_namespaces();
        let origin = |check: &Self, key: &str| check.provenance.get(key).cloned().unwrap_or(Origin::Default);
        if system.len() > LABEL_LIMIT {
            let (at, over) = (origin(self, "systemProject"), system.len() - LABEL_LIMIT);
            self.problem(
                &at,
                format!("the system namespace `{system}` is {over} characters too long for Kubernetes"),
                None,
            );
        }
        for project in &spec.projects {
            let of_project = workflows.iter().filter(|namespace| namespace.project == *project);
            let Some(longest) = of_project.max_by_key(|namespace| namespace.name.len()) else { continue };
            if longest.name.len() > LABEL_LIMIT {
                let (at, over) = (origin(self, "projects"), longest.name.len() - LABEL_LIMIT);
                let message =
                    format!("the workflow namespace `{}` is {over} characters too long for Kubernetes", longest.name);
                self.problem(&at, message, Some(format!("shorten project `{project}` by {over}")));
            }
        }
        for project in &spec.projects {
            let bucket = spec.storage.bucket_of(project);
            if let Some(over) = bucket.len().checked_sub(LABEL_LIMIT).filter(|over| *over > 0) {
                let message = format!("the bucket `{bucket}` is {over} characters too long");
                let at = origin(self, "projects");
                self.problem(&at, message, Some(format!("shorten project `{project}`, or `storage.bucket`")));
            }
        }
        let mut seen = BTreeMap::from([(system, "Flyte itself".to_owned())]);
        for namespace in workflows {
            let owner = format!("project `{}`, domain `{}`", namespace.project, namespace.domain);
            if let Some(other) = seen.insert(namespace.name.clone(), owner.clone()) {
                let at = origin(self, "projects");
                self.problem(&at, format!("{owner} and {other} would share the namespace `{}`", namespace.name), None);
            }
        }
    }
}

/// Whether a sandbox can be called this.
pub(super) fn sandbox_name(name: &str) -> Result<(), String> {
    match label(name, NAME_LIMIT) {
        Ok(()) if name == EVIDENCE => Err(format!("`{name}` is where the evidence of failures is kept")),
        checked => checked,
    }
}
