//! The transforms in order, and what each of them changed.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use super::changes::{self, Change};
use super::component::{Component, FLYTE_WORKFLOWS, component_of, is_workload};
use super::context::{Context, Draft, Warning};
use super::error::RenderError;
use super::lock::Lock;
use super::transforms::TRANSFORMS;
use super::verify;
use crate::manifest::{Bundle, ImageRef, Object};
use crate::spec::Spec;

/// What this sandbox runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// Sorted by kind (in the order in which kinds depend on each other), namespace and name.
    pub objects: Vec<Object>,
    /// What could not be placed.
    pub warnings: Vec<Warning>,
}

impl Rendered {
    /// The images of all containers. Text that is no image reference is left to the node to refuse.
    #[must_use]
    pub fn images(&self) -> BTreeSet<ImageRef> {
        let containers = self.objects.iter().flat_map(Object::containers);
        containers.filter_map(|container| container.get("image")?.as_str()?.parse().ok()).collect()
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
    let admin = bundle.objects.iter().find(|object| is_essential(object, Component::Flyteadmin));
    let context = Context {
        spec,
        system: spec.system_namespace(),
        workflows: spec.workflow_namespaces(),
        origin: admin.and_then(Object::namespace).map(str::to_owned),
        lock: Lock::embedded()?,
        built_in: OnceCell::new(),
    };
    let mut draft = Draft { objects: bundle.objects, warnings: Vec::new() };
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
    let mut warnings = draft.warnings;
    warnings.extend(unplaced(&draft.objects));
    warnings.sort();
    warnings.dedup();
    Ok(Rendered { objects: draft.objects, warnings })
}

fn is_essential(object: &Object, component: Component) -> bool {
    is_workload(object) && component_of(object) == Some(component)
}

fn must_be_flyte(bundle: &Bundle) -> Result<(), RenderError> {
    const ESSENTIAL: [Component; 6] = [
        Component::Postgres,
        Component::Minio,
        Component::Datacatalog,
        Component::Flyteadmin,
        Component::Flytepropeller,
        Component::Flyteconsole,
    ];
    let is_there = |component: &Component| bundle.objects.iter().any(|object| is_essential(object, *component));
    let mut missing: Vec<String> =
        ESSENTIAL.iter().filter(|component| !is_there(component)).map(|one| format!("Deployment {one}")).collect();
    if !bundle.objects.iter().any(|object| object.is("CustomResourceDefinition", FLYTE_WORKFLOWS)) {
        missing.push(format!("CustomResourceDefinition {FLYTE_WORKFLOWS}"));
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
    Err(RenderError::NotFlyte { origin: bundle.origin.clone(), missing, found })
}

const KINDS: [&str; 10] = [
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "Role",
    "RoleBinding",
    "Service",
    "PersistentVolumeClaim",
    "Deployment",
];

fn unplaced(objects: &[Object]) -> Vec<Warning> {
    let strange = objects.iter().filter(|object| {
        let known = KINDS.contains(&object.kind());
        !known || (is_workload(object) && component_of(object).is_none())
    });
    let message = "is kept as it is: no transform knows what it is for";
    strange.map(|object| Warning { object: object.reference(), message: message.to_owned() }).collect()
}

fn sort(objects: &mut [Object]) {
    let rank = |object: &Object| KINDS.iter().position(|kind| *kind == object.kind()).unwrap_or(KINDS.len());
    objects.sort_by_cached_key(|object| {
        let reference = object.reference();
        (rank(object), reference.kind, reference.namespace, reference.name, reference.api_version)
    });
}
