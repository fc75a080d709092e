//! Pods that are replaced although the plan has them as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::outdated::Outdated;
use crate::flyte::names;
use crate::manifest::{ImageRef, Object, ObjectRef};
use crate::plan::Plan;
use crate::render::PodReference;

/// Why pods are replaced that the plan has as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Restart {
    /// They started before somebody's edit was taken away.
    Mended,
    /// They run another image than this name stands for now.
    Outdated(ImageRef),
    /// Admin's are.
    WithAdmin,
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mended => f.write_str("what it reads or runs as was edited or deleted"),
            Self::Outdated(image) => write!(f, "its pods ran another image than {image} is now"),
            Self::WithAdmin => f.write_str("flyteadmin is"),
        }
    }
}

/// The workloads that read what was mended, and the outdated ones. Propellers restart with admin: one whose connection ends
/// may be on its way to the old pod for longer than a workflow is waited for.
pub(super) fn restarts(
    plan: &Plan,
    mended: &BTreeSet<ObjectRef>,
    outdated: BTreeSet<Outdated>,
) -> BTreeMap<ObjectRef, Restart> {
    let reads = |workload: &&Object| {
        let read = PodReference::all(workload);
        let is_read = |object: &ObjectRef| read.iter().any(|one| one.kind == object.kind && one.name == object.name);
        mended.iter().any(|object| workload.namespace() == object.namespace.as_deref() && is_read(object))
    };
    let reading = plan.manifests().filter(reads).map(|object| (object.reference(), Restart::Mended));
    let mut all: BTreeMap<_, _> = reading.collect();
    all.extend(outdated.into_iter().map(|Outdated { object, image }| (object, Restart::Outdated(image))));
    if all.keys().any(|workload| workload.name == names::ADMIN) {
        let propellers: BTreeSet<_> = plan.spec.workflow_namespaces().iter().map(names::propeller).collect();
        for workload in plan.workloads().filter(|workload| propellers.contains(&workload.name)) {
            all.entry(workload).or_insert(Restart::WithAdmin);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Bundle;
    use crate::render::render;
    use crate::spec::Spec;

    #[test]
    fn pods_are_replaced_that_run_an_image_which_was_built_again_and_propellers_with_admin() {
        let spec = Spec { projects: vec!["x".to_owned()], ..Spec::default() };
        let rendered = render(&spec, Bundle::embedded(spec.flyte).expect("built in")).expect("renders");
        let plan = Plan::new(spec, rendered).expect("a plan");
        let image = |name: &str| -> ImageRef { name.parse().expect("an image") };
        let outdated = |names: &[&str]| {
            let workloads = plan.workloads().filter(|one| names.contains(&one.name.as_str()));
            workloads.map(|object| Outdated { object, image: image("a/b:1") }).collect::<BTreeSet<_>>()
        };
        for (names, restarted) in [
            (&["flyteconsole"][..], vec!["flyteconsole"]),
            (&["postgres", "minio"], vec!["minio", "postgres"]),
            (
                &["flyteadmin", "postgres"],
                vec![
                    "flyteadmin",
                    "flytepropeller-x-d-dev",
                    "flytepropeller-x-p-dev",
                    "flytepropeller-x-t-dev",
                    "postgres",
                ],
            ),
        ] {
            let outdated = outdated(names);
            assert_eq!(outdated.len(), names.len());
            let found = restarts(&plan, &BTreeSet::new(), outdated);
            assert_eq!(found.keys().map(|one| one.name.as_str()).collect::<Vec<_>>(), restarted);
            for (object, why) in &found {
                let own = names.contains(&object.name.as_str());
                let wanted = if own { Restart::Outdated(image("a/b:1")) } else { Restart::WithAdmin };
                assert_eq!(*why, wanted, "{object}");
            }
        }
    }
}
