//! The transforms in order, and what each of them changed.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use serde_json::Value;

use super::changes::{self, Change};
use super::component::{Component, component_of, is_workload};
use super::context::{Context, Draft, Effect, Warning};
use super::deviations::{Deviation, deviations};
use super::error::RenderError;
use super::lock::Lock;
use super::pod_references::PodReference;
use super::references::services_in;
use super::transforms::TRANSFORMS;
use super::verify;
use crate::flyte::workflow::DEFINITION;
use crate::manifest::{Bundle, ImageRef, Object, Overridden};
use crate::spec::Spec;

/// What this sandbox runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// Sorted by kind (in the order in which kinds depend on each other), namespace and name.
    pub objects: Vec<Object>,
    /// The images that propellers put into task pods.
    pub task_images: Vec<ImageRef>,
    /// What could not be placed, and what is not as it was when it was last seen to work.
    pub warnings: Vec<Warning>,
    /// What is kept, though the built-in manifests say otherwise.
    pub deviations: Vec<Deviation>,
}

impl Rendered {
    /// The images of all containers, and those that propellers put into task pods.
    #[must_use]
    pub fn images(&self) -> BTreeSet<ImageRef> {
        self.objects.iter().flat_map(Object::images).chain(self.task_images.iter().cloned()).collect()
    }
}

/// Turns a bundle into what this sandbox runs.
///
/// # Errors
/// [`RenderError`] says what the bundle lacks, or which object cannot be brought into the form that every sandbox has.
pub fn render(spec: &Spec, bundle: Bundle) -> Result<Rendered, RenderError> {
    run(spec, bundle, None)
}

/// As [`render`], and tells which transform changed what, and why.
///
/// # Errors
/// As [`render`].
pub fn explain(spec: &Spec, bundle: Bundle) -> Result<(Rendered, Vec<Change>), RenderError> {
    let mut changes = Vec::new();
    let rendered = run(spec, bundle, Some(&mut changes))?;
    Ok((rendered, changes))
}

fn run(spec: &Spec, bundle: Bundle, mut changes: Option<&mut Vec<Change>>) -> Result<Rendered, RenderError> {
    must_be_flyte(&bundle)?;
    let is_built_in = bundle.is_embedded();
    let context = Context {
        spec,
        system: spec.system_namespace(),
        workflows: spec.workflow_namespaces(),
        origins: origins(&bundle.objects),
        lock: Lock::embedded(spec.flyte)?,
        is_built_in,
        built_in: OnceCell::new(),
    };
    let overridden = bundle.overridden.into_iter().map(|Overridden { object, first, last }| {
        let message = format!("stands in {first} and, otherwise, in {last}: the last one counts");
        Warning { effect: Effect::Differs, object, message }
    });
    let mut draft = Draft { warnings: overridden.collect(), objects: bundle.objects };
    // Where a transform takes the first of several, the order of the input must not decide.
    sort(&mut draft.objects);
    for transform in TRANSFORMS {
        let before = changes.is_some().then(|| draft.objects.clone());
        (transform.run)(&context, &mut draft)?;
        if let (Some(changes), Some(before)) = (changes.as_deref_mut(), before) {
            changes.extend(changes::between(&before, &draft.objects).into_iter().map(|(object, what)| Change {
                transform: transform.name,
                why: transform.why,
                object,
                what,
            }));
        }
    }
    sort(&mut draft.objects);
    verify::verify(&context, &draft.objects)?;
    let deviations = if is_built_in {
        Vec::new()
    } else {
        deviations(&render(spec, Bundle::embedded(spec.flyte)?)?.objects, &draft.objects)?
    };
    let mut warnings = draft.warnings;
    warnings.extend(unplaced(&draft.objects));
    warnings.extend(unserved(&context.system, &draft.objects));
    warnings.extend(deviations.iter().map(|one| Warning {
        effect: Effect::Harmless,
        object: one.object.clone(),
        message: one.to_string(),
    }));
    warnings.sort();
    warnings.dedup();
    let task_images = context.lock.copilot().map(|pin| pin.image.clone()).into_iter().collect();
    Ok(Rendered { objects: draft.objects, task_images, warnings, deviations })
}

/// The namespaces of the parts without which there is no Flyte, admin's first.
fn origins(objects: &[Object]) -> Vec<String> {
    let mut found = Vec::new();
    for component in std::iter::once(Component::Flyteadmin).chain(ESSENTIAL) {
        for object in objects.iter().filter(|object| is_essential(object, component)) {
            found.extend(object.namespace().map(str::to_owned).filter(|namespace| !found.contains(namespace)));
        }
    }
    found
}

const ESSENTIAL: [Component; 6] = [
    Component::Postgres,
    Component::Minio,
    Component::Datacatalog,
    Component::Flyteadmin,
    Component::Flytepropeller,
    Component::Flyteconsole,
];

fn is_essential(object: &Object, component: Component) -> bool {
    is_workload(object) && component_of(object) == Some(component)
}

fn must_be_flyte(bundle: &Bundle) -> Result<(), RenderError> {
    let is_there = |component: &Component| bundle.objects.iter().any(|object| is_essential(object, *component));
    let mut missing: Vec<String> =
        ESSENTIAL.iter().filter(|component| !is_there(component)).map(|one| format!("Deployment {one}")).collect();
    if !bundle.objects.iter().any(|object| object.is("CustomResourceDefinition", DEFINITION)) {
        missing.push(format!("CustomResourceDefinition {DEFINITION}"));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut found: Vec<String> = bundle
        .objects
        .iter()
        .filter(|object| is_workload(object) || object.kind() == "CustomResourceDefinition")
        .map(|object| format!("{} {}", object.kind(), object.name()))
        .collect();
    found.sort();
    let single = bundle.objects.iter().find(|object| is_single_binary(object));
    let single = single.map(|object| format!("{} {}", object.kind(), object.name()));
    Err(RenderError::NotFlyte { origin: bundle.origin.clone(), missing, found, single })
}

fn is_single_binary(object: &Object) -> bool {
    let images = object.containers().filter_map(|container| container.get("image")?.as_str()?.parse::<ImageRef>().ok());
    images.into_iter().any(|image| image.repository().rsplit('/').next() == Some("flyte-binary"))
}

const KINDS: [&str; 11] = [
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "Role",
    "RoleBinding",
    "NetworkPolicy",
    "Service",
    "PersistentVolumeClaim",
    "Deployment",
];

/// What no transform knows, and names in it that lead nowhere.
fn unplaced(objects: &[Object]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for object in objects {
        let mut warn = |effect, message: String| warnings.push(Warning { effect, object: object.reference(), message });
        if is_workload(object) && component_of(object).is_none() {
            let images: BTreeSet<&str> = object.containers().filter_map(|one| one.get("image")?.as_str()).collect();
            let images: Vec<&str> = images.into_iter().collect();
            warn(
                Effect::Differs,
                format!("is kept and runs {}: it is no component that a sandbox knows", images.join(", ")),
            );
        } else if !KINDS.contains(&object.kind()) {
            warn(Effect::Differs, "is kept as it is: no transform knows what it is for".to_owned());
        }
        for missing in PodReference::dangling(object, objects) {
            warn(
                Effect::Fails,
                format!("names the {} `{}`, which is not there: its pods may not start", missing.kind, missing.name),
            );
        }
    }
    warnings
}

/// Services of the system namespace that settings name and nobody brought; each told of once.
fn unserved(system: &str, objects: &[Object]) -> Vec<Warning> {
    let services: BTreeSet<&str> =
        objects.iter().filter(|object| object.kind() == "Service").map(Object::name).collect();
    let mut told = BTreeSet::new();
    let mut warnings = Vec::new();
    for object in objects.iter().filter(|object| object.kind() == "ConfigMap") {
        let texts = object.get("/data").and_then(Value::as_object).into_iter().flat_map(|data| data.values());
        for name in texts.filter_map(Value::as_str).flat_map(|text| services_in(text, system)) {
            if !services.contains(name) && told.insert(name) {
                let message = format!("names the Service `{name}`, which is not there");
                warnings.push(Warning { effect: Effect::Differs, object: object.reference(), message });
            }
        }
    }
    warnings
}

fn sort(objects: &mut [Object]) {
    let rank = |object: &Object| KINDS.iter().position(|kind| *kind == object.kind()).unwrap_or(KINDS.len());
    objects.sort_by_cached_key(|object| {
        let reference = object.reference();
        (rank(object), reference.kind, reference.namespace, reference.name, reference.api_version)
    });
}
